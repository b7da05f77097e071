"""Scripts as processes of their own, forked from one that has loaded the SDKs: loading takes each two seconds."""

import multiprocessing
import os
import runpy
import sys
from pathlib import Path
from typing import NamedTuple

_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["anthropic", "boto3", "openai"])


class Done(NamedTuple):
    code: int | None
    out: str
    err: str


def run_script(script: Path, *arguments: str, folder: Path) -> Done:
    """Run a script to its end; what it says is kept in the folder."""
    out, err = folder / "out.txt", folder / "err.txt"
    process = _SERVER.Process(target=_run, args=(script, arguments, out, err))
    process.start()
    process.join()
    return Done(process.exitcode, out.read_text(encoding="utf-8"), err.read_text(encoding="utf-8"))


def _run(script: Path, arguments: tuple[str, ...], out: Path, err: Path) -> None:
    for descriptor, path in ((1, out), (2, err)):
        with path.open("wb") as file:
            os.dup2(file.fileno(), descriptor)
    sys.argv = [str(script), *arguments]
    runpy.run_path(str(script), run_name="__main__")
