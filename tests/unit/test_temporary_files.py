"""What a killed function leaves in /tmp is deleted, and what a living one has there is not."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from batchdrop import temporary_files

FUNCTIONS = Path(temporary_files.__file__).parents[1]
SPOOLS = """
from pathlib import Path
from batchdrop.temporary_files import own_folder, temporary_folder
with temporary_folder() as folder:
    (Path(folder) / "requests.jsonl").write_text("a prompt")
    print(own_folder(), flush=True)
    input()
"""


class Processes:
    """Processes that spool below one folder for temporary files, as a sandbox's do."""

    def __init__(self, tmp: Path) -> None:
        self.tmp = tmp
        self._started: list[subprocess.Popen[str]] = []

    def start(self) -> tuple[subprocess.Popen[str], Path]:
        """A process that has spooled a file, and its folder."""
        environment = os.environ | {"TMPDIR": str(self.tmp)}
        command = [sys.executable, "-c", SPOOLS]
        process = subprocess.Popen(
            command, env=environment, cwd=FUNCTIONS, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._started.append(process)
        assert process.stdout is not None
        return process, Path(process.stdout.readline().strip())

    def end(self) -> None:
        for process in self._started:
            process.kill()
            process.communicate()


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[Processes]:
    found = Processes(tmp_path)
    yield found
    found.end()


def spooled(tmp: Path) -> list[Path]:
    return sorted(path.relative_to(tmp) for path in tmp.rglob("*.jsonl"))


def test_what_a_killed_function_spooled_is_deleted_when_the_next_one_starts(processes: Processes) -> None:
    killed, folder = processes.start()
    killed.send_signal(signal.SIGKILL)
    killed.wait()
    assert len(spooled(processes.tmp)) == 1
    _, own = processes.start()
    assert not folder.exists() or folder == own
    assert [path.parts[0] for path in spooled(processes.tmp)] == [own.name]


def test_what_another_process_spools_stays(processes: Processes) -> None:
    _, first = processes.start()
    _, second = processes.start()
    assert first != second
    assert sorted(path.parts[0] for path in spooled(processes.tmp)) == sorted([first.name, second.name])


def test_folders_of_others_that_lie_beside_are_left_alone(processes: Processes) -> None:
    (processes.tmp / "elsewhere").mkdir()
    (processes.tmp / "elsewhere" / "a.jsonl").touch()
    (processes.tmp / "batchdrop-spool-link").symlink_to(processes.tmp / "elsewhere")
    _, own = processes.start()
    assert [path.parts[0] for path in spooled(processes.tmp)] == [own.name, "elsewhere"]


def test_functions_spool_nowhere_else() -> None:
    texts = {path.name: path.read_text(encoding="utf-8") for path in FUNCTIONS.rglob("*.py")}
    assert [name for name, text in texts.items() if "tempfile" in text] == ["temporary_files.py"]
