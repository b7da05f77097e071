"""Finds a local cloud and whether it runs, without the packages that bring one up."""

from pathlib import Path

from local_cloud import processes
from local_cloud.state import REGION, STACK_NAME, Folder, LocalCloud, Saved

_HERE = Path(__file__).resolve().parent
# The project's own in a clone; the one that came with the package elsewhere.
PROVIDERS_FILE = next(
    (each for each in (_HERE.parent / "providers.toml", _HERE / "providers.toml") if each.is_file()), _HERE
)


def exists(state_dir: Path) -> bool:
    """Return whether this folder holds a cloud, up or not."""
    return Folder(state_dir).read() is not None


def own_providers(state_dir: Path) -> Path | None:
    """The providers' file that the cloud of this folder was brought up with last, when it is not the project's."""
    saved = Folder(state_dir).read()
    return None if saved is None or saved.options.providers_file is None else Path(saved.options.providers_file)


def current(state_dir: Path) -> LocalCloud | None:
    """The cloud of this folder, if all of it is running."""
    folder = Folder(state_dir)
    saved = folder.read()
    if (
        saved is None
        or not (saved.outputs and saved.secret_access_key)
        or not all(runs(saved, name) for name in _needed(saved))
    ):
        return None
    return describe(folder, saved)


def describe(folder: Folder, saved: Saved) -> LocalCloud:
    """The cloud of a folder, as a client needs it."""
    return LocalCloud(
        endpoint=saved.endpoint,
        region=REGION,
        access_key_id=saved.access_key_id,
        secret_access_key=saved.secret_access_key,
        bucket=saved.outputs["Bucket"],
        table=saved.outputs["Table"],
        deployment=saved.outputs["Deployment"],
        simulator_url=saved.simulator_url if saved.options.uses_simulator else None,
        simulator_key=saved.simulator_key,
        stack_name=STACK_NAME,
        poll_function=saved.outputs["PollFunction"],
        sweep_function=saved.outputs["SweepFunction"],
        providers=tuple(saved.outputs["Providers"].split(",")),
        providers_file=str(folder.providers),
        providers_from=saved.options.providers_file or str(PROVIDERS_FILE),
        state_dir=str(folder.path),
        logs=str(folder.logs),
        pids={name: process.pid for name, process in saved.processes.items()},
    )


def _needed(saved: Saved) -> tuple[str, ...]:
    return ("emulator", "ticker", "simulator") if saved.options.uses_simulator else ("emulator", "ticker")


def runs(saved: Saved, name: str) -> bool:
    """Return whether this process of the cloud is running."""
    return name in saved.processes and processes.is_running(saved.processes[name])


def programs(state_dir: Path) -> dict[str, bool]:
    """The programs that the cloud of this folder needs, and whether each runs; none where there is no cloud."""
    saved = Folder(state_dir).read()
    return {} if saved is None else {name: runs(saved, name) for name in _needed(saved)}
