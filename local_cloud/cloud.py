"""Bringing a local cloud up and down. Everything it is lies in one folder."""

import fcntl
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from batchdrop.providers.config import load_providers

from local_cloud import deployment, emulator, processes, providers, simulator
from local_cloud.aws import client
from local_cloud.environment import of_client
from local_cloud.errors import LocalCloudError
from local_cloud.machine import need_room
from local_cloud.running import PROVIDERS_FILE, describe, runs
from local_cloud.state import PRIVATE_FOLDER, Folder, LocalCloud, Options, Process, Saved

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient

ENDING = ("ticker", "emulator", "simulator")  # the order in which they are stopped

Say = Callable[[str], None]


def up(  # noqa: PLR0913 - each says another thing about the cloud
    state_dir: Path,
    *,
    openai_base_url: str | None = None,
    anthropic_base_url: str | None = None,
    providers_file: Path | None = None,
    real: bool = False,
    enforces_grants: bool = False,
    functions_endpoint: str | None = None,
    on_step: Say = lambda _step: None,
    on_note: Say = lambda _note: None,
) -> LocalCloud:
    """Bring the cloud of this folder up, as it was when it ended; what runs already is left alone.

    Providers are those of the project's `providers.toml` or of another file. The simulator stands for all of them but
    those whose addresses are given; `real` says their own, with the keys from OPENAI_API_KEY and ANTHROPIC_API_KEY.
    With `enforces_grants` a function may do only what its role allows, as on AWS; the stack has to be deployed already,
    since the CDK's own roles do not fit this emulator. The functions find AWS at `functions_endpoint`, where something
    stands between them and the emulator.

    Raises:
        LocalCloudError: It could not be brought up; the message says what to do.
        ConfigError: A mistake in the providers' file.
    """
    if providers_file is not None:
        load_providers(providers_file)
    folder = Folder(state_dir)
    if not any(processes.is_running(process) for process in _known(folder)):
        need_room(folder.path)
    folder.make()
    with _alone(folder):
        saved = folder.read() or Saved.new()
        if not saved.secret_access_key:  # of a version before: what runs asks for no key
            saved = _stop(folder, saved).with_keys()
        given = (("openai", openai_base_url), ("anthropic", anthropic_base_url))
        options = Options(
            urls={name: url for name, url in given if url is not None},
            providers_file=_another(providers_file),
            real=real,
            enforces_grants=enforces_grants,
            functions_endpoint=functions_endpoint,
        )
        if saved.options != options:
            saved = _stop(folder, saved)  # some of them are part of the emulator's environment
        before = saved
        saved = _start(folder, replace(saved, options=options), on_step)
        folder.write_providers(_providers(saved))
        _give_keys(saved, on_note)
        saved = _deploy(folder, saved, on_step)
        if (saved.processes["emulator"], saved.deployed) != (before.processes.get("emulator"), before.deployed):
            on_step("Loading the functions")
            deployment.warm(saved)
        saved = _start_ticker(folder, saved)
        return describe(folder, saved)


def down(state_dir: Path, *, keeps_keys: bool = False) -> bool:
    """End what `up` started with all that it started, and nothing else; say whether anything ran.

    The folder keeps everything but the providers' keys: the simulator's is made again by `up`, real ones are forgotten
    unless they are to be kept.

    Raises:
        LocalCloudError: Some process could not be ended.
    """
    folder = Folder(state_dir)
    if not folder.path.is_dir():
        return False
    with _alone(folder):
        saved = folder.read()
        if saved is None:
            return False
        ran = any(processes.is_running(process) for process in saved.processes.values())
        left = [pid for name in ENDING if name in saved.processes for pid in processes.stop(saved.processes[name])]
        folder.write(replace(saved, processes={}))
        if not keeps_keys:
            folder.secrets.unlink(missing_ok=True)
        if left:
            numbers = ", ".join(map(str, left))
            raise LocalCloudError(f"These processes could not be ended: {numbers}. End them with kill -9.")
        return ran


def _known(folder: Folder) -> list[Process]:
    saved = folder.read()
    return [] if saved is None else list(saved.processes.values())


def _another(providers_file: Path | None) -> str | None:
    path = (providers_file or PROVIDERS_FILE).resolve()
    return None if path == PROVIDERS_FILE else str(path)


def _start(folder: Folder, saved: Saved, on_step: Say) -> Saved:
    if saved.options.uses_simulator and not runs(saved, "simulator"):
        on_step("Starting the provider simulator")
        saved = _with_process(folder, saved, "simulator", simulator.start(folder, saved))
    if not runs(saved, "emulator"):
        if "emulator" in saved.processes:
            processes.stop(saved.processes["emulator"])  # it was killed: its workers may run on
        on_step("Starting AWS on this machine")
        saved = _with_process(folder, saved, "emulator", emulator.start(folder, saved))
    return saved


def _deploy(folder: Folder, saved: Saved, on_step: Say) -> Saved:
    wanted = deployment.fingerprint(folder)
    outputs = deployment.stack_outputs(saved)
    if outputs is None or wanted != saved.deployed:
        on_step("Bootstrapping the account (cdk bootstrap)")
        deployment.bootstrap(folder, saved)
        on_step("Deploying the stack (cdk deploy)")
        deployment.deploy(folder, saved)
        outputs = deployment.stack_outputs(saved)
    if outputs is None:
        raise LocalCloudError(f"The stack is not complete after its deployment: see {folder.logs / 'deploy.log'}")
    saved = replace(saved, outputs=outputs, deployed=wanted)
    folder.write(saved)
    return saved


def _start_ticker(folder: Folder, saved: Saved) -> Saved:
    if runs(saved, "ticker"):
        return saved
    outputs = saved.outputs
    command = [sys.executable, "-P", "-m", "local_cloud.ticker"]
    command += ["--seconds", str(deployment.TIMES["tick_seconds"])]
    command += ["--table", outputs["Table"], "--at-once", str(emulator.CONCURRENCY)]
    command += ["--poll", outputs["PollFunction"], "--sweep", outputs["SweepFunction"]]
    for provider in outputs["Providers"].split(","):
        command += ["--provider", provider]
    process = processes.start(command, environment=of_client(folder, saved), log=folder.logs / "ticker.log")
    return _with_process(folder, saved, "ticker", process)


def _stop(folder: Folder, saved: Saved) -> Saved:
    for name in ENDING:
        if name in saved.processes:
            processes.stop(saved.processes[name])
    saved = replace(saved, processes={})
    folder.write(saved)
    return saved


def _providers(saved: Saved) -> str:
    text = Path(saved.options.providers_file or PROVIDERS_FILE).read_text(encoding="utf-8")
    simulated = {} if saved.options.real else providers.simulated(text, saved.simulator_url)
    return providers.at(text, simulated | saved.options.urls)


def _give_keys(saved: Saved, on_note: Say) -> None:
    """Put each provider's key where the functions read it. A key that is there already is not written again."""
    secretsmanager = client("secretsmanager", saved)
    names = providers.secrets(_providers(saved))
    keys = providers.real_keys() if saved.options.real else dict.fromkeys(names, saved.simulator_key)
    for provider, secret in names.items():
        if provider in keys:
            _put_secret(secretsmanager, secret, keys[provider])
        else:
            on_note(f"No key for {provider} in the environment: `batchdrop keys set {provider}` gives it one")


def _put_secret(secretsmanager: "SecretsManagerClient", name: str, value: str) -> None:
    try:
        if secretsmanager.get_secret_value(SecretId=name)["SecretString"] != value:
            secretsmanager.put_secret_value(SecretId=name, SecretString=value)
    except secretsmanager.exceptions.ResourceNotFoundException:
        secretsmanager.create_secret(Name=name, SecretString=value)


def _with_process(folder: Folder, saved: Saved, name: str, process: Process) -> Saved:
    """Remember a process at once, so that it is found and ended even if what follows fails."""
    saved = replace(saved, processes=saved.processes | {name: process})
    folder.write(saved)
    return saved


@contextmanager
def _alone(folder: Folder) -> Iterator[None]:
    """One command at a time on one folder; what it and its programs write is for nobody else."""
    usual = os.umask(0o777 & ~PRIVATE_FOLDER)
    handle = os.open(folder.lock, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
        os.umask(usual)
