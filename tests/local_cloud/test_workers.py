"""The emulator's workers: no more are loaded at once than can be, and their logs do not grow for ever."""
# ruff: noqa: SLF001 - ministack's own names

import hashlib
import threading
import time
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from local_cloud import emulator_process
from local_cloud.emulator_process import bound_workers, hold_once, log_to_files


class Worker:
    """Counts those that are loaded at the same time."""

    now, most = 0, 0
    lock = threading.Lock()

    def _spawn(self) -> None:
        with self.lock:
            Worker.now += 1
            Worker.most = max(Worker.most, Worker.now)
        time.sleep(0.01)
        with self.lock:
            Worker.now -= 1


def test_no_more_workers_are_loaded_at_once_than_there_are_processors() -> None:
    runtime: Any = ModuleType("lambda_runtime")
    runtime.Worker = Worker
    bound_workers(runtime, processors=2, at_most=3)
    threads = [threading.Thread(target=Worker()._spawn) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Worker.most == 2
    assert runtime._LOCAL_MAX_WORKERS == 3
    assert runtime._LOCAL_WORKER_TTL >= 86_400


def test_a_long_log_begins_anew_and_the_one_before_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(emulator_process, "LOG_BYTES", 10)
    service: Any = ModuleType("lambda_svc")
    log_to_files(service, tmp_path)
    for text in ("first, long enough", "second, long enough", "third"):
        service._emit_lambda_logs({"Handler": "handlers.plan.handler"}, "id", text)
    found = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert found == {"plan.log": "third\n", "plan.log.1": "second, long enough\n"}


def test_equal_code_is_held_once_and_written_again_when_its_file_is_gone(tmp_path: Path) -> None:
    ministack: Any = ModuleType("lambda_svc")

    def write(code: bytes) -> str:
        name = hashlib.sha256(code).hexdigest()
        (tmp_path / f"{name}.zip").write_bytes(code)
        return name

    ministack._fetch_code_from_s3 = ministack._read_code_blob = lambda text: text and text.encode()
    ministack._write_code_blob, ministack._unzipped_size, ministack.CODE_BLOB_DIR = write, len, str(tmp_path)
    hold_once(ministack)
    code = ministack._fetch_code_from_s3("the code of a function")
    assert ministack._fetch_code_from_s3("the code of a function") is code
    assert ministack._read_code_blob("the code of a function") is code
    assert (ministack._read_code_blob(None), ministack._unzipped_size(code)) == (None, 22)
    file = tmp_path / f"{ministack._write_code_blob(code)}.zip"
    file.unlink()
    assert ministack._write_code_blob(code) == file.stem
    assert file.read_bytes() == code
