"""`local status`: whether the cloud of a folder is up, and what to do where it is not."""

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from local_cloud import processes
from local_cloud.state import Folder, Saved

if TYPE_CHECKING:
    from conftest import Run

OUTPUTS = ("Bucket", "Table", "Deployment", "PollFunction", "SweepFunction", "Providers")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv("BATCHDROP_STATE_DIR", str(tmp_path / "mine"))
    return Folder(tmp_path / "mine")


def save(folder: Folder, *running: str, process: processes.Process | None = None) -> None:
    folder.make()
    folder.write(
        Saved(
            account="1" * 12,
            endpoint_port=1234,
            simulator_port=2,
            secret_access_key="a-secret",
            outputs=dict.fromkeys(OUTPUTS, "x"),
            processes=dict.fromkeys(running, process) if process else {},
        )
    )


def test_where_there_is_none_it_says_how_to_start_one(run: "Run", folder: Folder) -> None:
    said = f"There is no local cloud in {folder.path}. Start one with: batchdrop local up\n"
    assert run("local", "status") == (1, said, "")


def test_one_that_is_down_keeps_its_state(run: "Run", folder: Folder) -> None:
    save(folder)
    assert run("local", "status") == (
        1,
        f"The local cloud of {folder.path} is down; its state is kept. Start it with: batchdrop local up\n",
        "",
    )


def test_one_that_is_up_or_partly_up_is_told_apart(run: "Run", folder: Folder) -> None:
    folder.make()
    process = processes.start(["/bin/sleep", "600"], environment={}, log=folder.logs / "sleep.log")
    try:
        save(folder, "emulator", "ticker", process=process)
        partly = run("local", "status")
        save(folder, "emulator", "ticker", "simulator", process=process)
        up = run("local", "status", "--json")
    finally:
        processes.stop(process)
    assert partly == (
        1,
        (
            f"The local cloud of {folder.path} is incomplete: simulator is not running. "
            "Restart it with: batchdrop local up\n"
        ),
        "",
    )
    assert (up.code, json.loads(up.out)) == (
        0,
        {
            "state": "up",
            "state_dir": str(folder.path),
            "programs": {"emulator": True, "ticker": True, "simulator": True},
            "endpoint": "http://127.0.0.1:1234",
            "bucket": "x",
            "logs": str(folder.logs),
            "warning": None,
        },
    )
