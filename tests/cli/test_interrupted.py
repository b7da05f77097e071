"""Ctrl-C at any time of the command's life, on a terminal and in a pipe."""

import os
import pty
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager

import pytest

from batchdrop_cli import main as console
from batchdrop_cli.exit_codes import INTERRUPTED

_PRESSED = """
import os, signal, sys

module = sys.argv[1]

class Press:
    def find_spec(self, name, path=None, target=None):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)
            try:
                import a_module_that_is_not_there
            except ImportError:
                raise RuntimeError("the command went on")

sys.meta_path.insert(0, Press())
handler = signal.SIG_IGN if sys.argv[2:] == ["ignored"] else signal.default_int_handler
signal.signal(signal.SIGINT, handler)
from batchdrop_cli.main import main
sys.argv[1:] = ["jobs"]
sys.exit(main())
"""


@contextmanager
def terminal() -> Iterator[tuple[int, int]]:
    """What reads from a terminal, and the terminal."""
    reader, writer = pty.openpty()
    with closing(os.fdopen(reader, "rb", buffering=0)) as source, closing(os.fdopen(writer, "wb", buffering=0)) as sink:
        yield source.fileno(), sink.fileno()


FIRST = "batchdrop_cli.application"  # what the console imports; cyclopts comes with it


@pytest.mark.parametrize("module", [FIRST, "cyclopts", "batchdrop_cli.job_commands", "boto3"])
def test_ctrl_c_during_the_imports_ends_quietly_in_a_pipe(module: str) -> None:
    ran = subprocess.run([sys.executable, "-c", _PRESSED, module], capture_output=True, check=False)
    assert (ran.returncode, ran.stdout, ran.stderr) == (INTERRUPTED, b"", b"")


def test_ctrl_c_during_the_imports_ends_quietly_on_a_terminal() -> None:
    with terminal() as (source, sink):
        ran = subprocess.run([sys.executable, "-c", _PRESSED, FIRST], stdin=sink, stdout=sink, stderr=sink, check=False)
        os.write(sink, b"end")
        assert (ran.returncode, os.read(source, 1_000)) == (INTERRUPTED, b"end")


def test_where_a_shell_ignores_ctrl_c_the_command_does() -> None:
    ran = subprocess.run([sys.executable, "-c", _PRESSED, FIRST, "ignored"], capture_output=True, check=False)
    assert ran.returncode == 1
    assert b"the command went on" in ran.stderr


def test_the_console_and_the_commands_end_with_the_same_code() -> None:
    assert console._INTERRUPTED == INTERRUPTED  # noqa: SLF001 - written twice, since one is imported too late
