"""The emulator's process: ministack, with thirteen things that it does not do by itself.

It is run by the emulator's own Python, which has ministack and nothing of this project.

- ministack answers whoever asks. Here only what is signed with the cloud's key is answered, and no web page.
- ministack saves its state when it is stopped. Here rows are journalled as they are written and the rest is saved as it
  changes, so that a killed emulator comes back with what it had.
- ministack keeps a log stream for every invocation, in memory. Here a function's log is a file.
- ministack unpacks the code for every worker, for seconds on its own thread. Here it is unpacked once.
- ministack holds a copy of the code for each function, and hashes it at every save. Here it is held and hashed once.
- A worker is loaded when it is first needed. Here an event of ours loads it before, and no handler sees it.
- ministack starts as many workers as are asked for at once, and ends those that are idle. Here no more of them are
  loaded at once than there are processors, a function has no more than it may run at once, and they stay.
- Asked to stop, ministack waits until every client has closed its connection. Here functions may finish, and it ends.
- Messages that a function held when the emulator ended are visible at once: nobody holds them any more.
- ministack gives the whole of an object's version, whatever range was asked for. Here it is cut.
- ministack's events of a versioned bucket name no version. Here, as at AWS, they do: each version becomes a job.
- ministack wants grants of their own for batches of messages. Here, as at AWS, who may send one may send ten.
- ministack keeps the versions of objects in memory, and reads the whole file for each range. Here they lie on the disk
  alone, and what is read of them is what was asked for.
"""
# ruff: noqa: SLF001 - ministack offers no other way in; its version is pinned

import asyncio
import hashlib
import os
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Mapping
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

if "local_cloud" not in sys.modules:  # the package's own beginning needs what the emulator's Python does not have
    sys.modules["local_cloud"] = ModuleType("local_cloud")
    sys.modules["local_cloud"].__path__ = [str(Path(__file__).parent)]

from local_cloud.emulator_objects import cut_versions, keep_bodies_on_disk, name_versions
from local_cloud.emulator_state import ROWS, SAVE_EVERY_SECONDS, Journal, Saver, free_messages, journal_rows
from local_cloud.guard import Guard

FINISH_SECONDS = 5.0
LOG_BYTES = 10_000_000
SINGLE_MESSAGE = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}
WORKER_SECONDS = 86_400  # in which an idle worker stays: to load one again takes seconds
CODES = 4  # that are known at a time: those before and after an upgrade, and somebody's own
LOAD = {"local_cloud": "load"}


def authorize_batches_of_messages(iam_actions: ModuleType) -> None:
    """Check the action that AWS checks: its policies know no `sqs:SendMessageBatch`."""
    action_of = iam_actions._action_from_target

    def as_aws(headers: dict[str, str]) -> str | None:
        action: str | None = action_of(headers)
        return SINGLE_MESSAGE.get(action or "", action)

    iam_actions._action_from_target = as_aws  # type: ignore[attr-defined]


def log_to_files(lambda_svc: ModuleType, directory: Path) -> None:
    """A file for each function, named as its log lines' service is: by its step. One older file is kept of each."""

    def emit(func: dict[str, Any], _request_id: str, log_text: str, *_more: object, **_named: object) -> None:
        if not log_text:
            return
        config = func.get("config") or func
        name = config.get("Handler", "").split(".")[-2] or config["FunctionName"]
        path = directory / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(directory / f"{name}.log.1")
        with path.open("a") as file:
            file.write(log_text.rstrip("\n") + "\n")

    lambda_svc._emit_lambda_logs = emit  # type: ignore[attr-defined]
    lambda_svc._emit_lambda_metrics = lambda *_given, **_named: None  # type: ignore[attr-defined]


class UnpackedOnce(zipfile.ZipFile):
    """An archive that is unpacked once for all workers: like /var/task, nobody writes there."""

    lock = threading.Lock()
    directory = Path()

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:  # noqa: ANN401 - as inherited
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        unpacked = self.directory / digest
        with self.lock:
            if not unpacked.exists():
                new = self.directory / "new"
                shutil.rmtree(new, ignore_errors=True)
                super().extractall(new, members, pwd)
                new.rename(unpacked)
        Path(path).rmdir()
        Path(path).symlink_to(unpacked)
        Path(str(self.filename)).unlink()  # a copy of it for each worker would fill the disk


def unpack_once(lambda_runtime: ModuleType, directory: Path) -> None:
    """Keep what was unpacked last: it is most likely what is deployed."""
    for old in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old)
    UnpackedOnce.directory = directory
    names = {name: getattr(zipfile, name) for name in ("BadZipFile", "LargeZipFile")}
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=UnpackedOnce, **names)  # type: ignore[attr-defined]


def hold_once(lambda_svc: ModuleType) -> None:
    """Hold equal code once, and hash and measure it once: it is 50 MB, and all our functions have the same."""
    fetch, read, write = lambda_svc._fetch_code_from_s3, lambda_svc._read_code_blob, lambda_svc._write_code_blob

    @lru_cache(maxsize=CODES)
    def held(code: bytes) -> bytes:
        return code

    @lru_cache(maxsize=CODES)
    def digest(code: bytes) -> str:
        return hashlib.sha256(code).hexdigest()

    def write_if_gone(code: bytes) -> str:
        name = digest(code)
        return name if Path(lambda_svc.CODE_BLOB_DIR, f"{name}.zip").exists() else str(write(code))

    lambda_svc._fetch_code_from_s3 = lambda *given, **named: held(fetch(*given, **named))  # type: ignore[attr-defined]
    lambda_svc._read_code_blob = lambda name: held(read(name))  # type: ignore[attr-defined]
    lambda_svc._write_code_blob = write_if_gone  # type: ignore[attr-defined]
    lambda_svc._unzipped_size = lru_cache(maxsize=CODES)(lambda_svc._unzipped_size)  # type: ignore[attr-defined]


def bound_workers(lambda_runtime: ModuleType, *, processors: int, at_most: int) -> None:
    """Load as many workers at once as there are processors: more of them would all be late, and none ever ready."""
    spawn, loading = lambda_runtime.Worker._spawn, threading.BoundedSemaphore(processors)

    def spawn_in_turn(worker: Any) -> None:  # noqa: ANN401 - ministack's
        with loading:
            spawn(worker)

    lambda_runtime.Worker._spawn = spawn_in_turn
    lambda_runtime._LOCAL_MAX_WORKERS = at_most  # type: ignore[attr-defined]
    lambda_runtime._LOCAL_WORKER_TTL = WORKER_SECONDS  # type: ignore[attr-defined]


def load_on_request(lambda_runtime: ModuleType) -> None:
    invoke = lambda_runtime.Worker.invoke

    def invoke_or_load(worker: Any, event: object, *given: object, **named: object) -> object:  # noqa: ANN401 - ministack's
        if event != LOAD:
            return invoke(worker, event, *given, **named)
        lambda_runtime.ensure_spawned(worker)
        return {"status": "ok", "result": None, "log": "", "cold_start": True}

    lambda_runtime.Worker.invoke = invoke_or_load


def guard(app: ModuleType, environment: Mapping[str, str]) -> Guard:
    """Ask for the cloud's own key, or one that was made in the emulator: for a function's role, or a user of it."""
    iam = import_module("ministack.core.iam_evaluator")
    account, host = environment["MINISTACK_ACCOUNT_ID"], f"{environment['BIND_HOST']}:{environment['GATEWAY_PORT']}"

    def secret_of(access_key_id: str, token: str) -> str | None:
        if access_key_id == account:
            return None if token else environment["AWS_SECRET_ACCESS_KEY"]
        if iam.is_root_access_key(access_key_id):
            return None  # ministack makes an account of any number
        found = iam.resolve_credential(access_key_id, account, token)
        return getattr(found, "secret_access_key", None)

    hosts = [host, urlsplit(environment.get("AWS_ENDPOINT_URL", "")).netloc or host]
    return Guard(app.app, host=host, signed_hosts=hosts, secret_of=secret_of)


async def end_gently(saver: Saver) -> None:
    """Start no function any more, let those that run finish if they are quick, save, end."""
    lambda_svc = import_module("ministack.services.lambda_svc")
    lambda_svc._poll_sqs = lambda: False  # type: ignore[attr-defined]
    deadline = time.monotonic() + FINISH_SECONDS
    while lambda_svc.executions_in_flight()[0] and time.monotonic() < deadline:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(SAVE_EVERY_SECONDS / 10)
    saver.finish()


def patch(journal: Journal, *, logs: Path, code: Path, at_most: int) -> None:
    """Make ministack what the top of this file says."""
    dynamodb, sqs, lambda_svc, s3, eventbridge = (
        import_module(f"ministack.services.{name}") for name in (ROWS, "sqs", "lambda_svc", "s3", "eventbridge")
    )
    journal_rows(dynamodb, journal)
    free_messages(sqs)
    authorize_batches_of_messages(import_module("ministack.core.iam_actions"))
    keep_bodies_on_disk(s3)
    cut_versions(s3)
    name_versions(s3, eventbridge)
    log_to_files(lambda_svc, logs)
    hold_once(lambda_svc)
    lambda_runtime = import_module("ministack.core.lambda_runtime")
    unpack_once(lambda_runtime, code)
    bound_workers(lambda_runtime, processors=os.process_cpu_count() or 1, at_most=at_most)
    load_on_request(lambda_runtime)


def main() -> None:
    state, logs, code, at_most = Path(os.environ["STATE_DIR"]), Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    del sys.argv[1:]
    app = import_module("ministack.app")
    journal = Journal(state / "rows.journal")
    saver = Saver(app, journal)
    patch(journal, logs=logs, code=code, at_most=at_most)
    answer, enforces_grants = guard(app, os.environ), bool(os.environ.get("AUTH"))

    async def noting(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        if enforces_grants and scope["type"] == "http":
            scope["scheme"] = "https"  # policies refuse what is not TLS; nothing here leaves the machine
        await answer(scope, receive, send)
        if scope["type"] == "http":
            saver.note(scope["method"], scope["path"], dict(scope["headers"]))

    app.app = noting  # type: ignore[attr-defined]
    load = app._load_persisted_state

    def load_then_save() -> None:
        load()
        saver.start()  # not earlier: it would save nothing over what is to be loaded
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(end_gently(saver)))

    app._load_persisted_state = load_then_save  # type: ignore[attr-defined]
    app.main()


if __name__ == "__main__":
    main()
