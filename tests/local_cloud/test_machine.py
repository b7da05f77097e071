"""What a local cloud finds of this machine: its disk, its ports, and the folder where somebody stands."""

import socket
from pathlib import Path

import pytest

import local_cloud
from local_cloud import LocalCloudError, machine, processes, simulator
from local_cloud.state import HOST, Folder, Saved


def test_a_cloud_is_not_begun_on_a_disk_that_is_almost_full(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "NEEDED_BYTES", 10**18)
    folder = tmp_path / "state"
    said = r"has \d+ MB left, and a local cloud needs 1000000000000: make room, or"
    try:
        with pytest.raises(LocalCloudError, match=said):
            local_cloud.up(folder)
        assert not folder.exists()
    finally:
        local_cloud.down(folder)  # where the rule is broken, one was begun


def test_a_full_disk_is_said_in_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert machine.full_disk(tmp_path) is None
    monkeypatch.setattr(machine, "FULL_BYTES", 10**18)
    said = machine.full_disk(tmp_path / "not" / "there")
    assert said is not None
    assert said.startswith(f"The disk of {tmp_path / 'not' / 'there'} is full (")


def test_a_taken_port_is_said_in_a_sentence(tmp_path: Path) -> None:
    folder, saved = Folder(tmp_path), Saved.new()
    folder.make()
    with socket.socket() as other:
        other.bind((HOST, saved.simulator_port))
        other.listen()
        with pytest.raises(LocalCloudError, match=f"Port {saved.simulator_port}, .* is taken by another program: end"):
            simulator.start(folder, saved)


def test_nothing_that_lies_where_one_stands_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = tmp_path / "here"
    here.mkdir()
    for name in ("bisect", "json", "argparse", "local_cloud", "provider_simulator", "sitecustomize"):
        (here / f"{name}.py").write_text(f"open({str(tmp_path / 'run')!r}, 'a').write('{name}')\n")
    monkeypatch.chdir(here)
    folder, saved = Folder(tmp_path / "state"), Saved.new()
    folder.make()
    processes.stop(simulator.start(folder, saved))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("name", ["cloud", "simulator", "emulator"])
def test_every_python_is_started_so_that_it_looks_in_no_folder_of_its_callers(name: str) -> None:
    text = (Path(processes.__file__).parent / f"{name}.py").read_text()
    started = [line for line in text.splitlines() if "sys.executable, " in line or "str(PYTHON), " in line]
    assert started
    assert all('"-P"' in line for line in started)
