"""The state of a local cloud, and the folder that holds all of it."""

import json
import os
import secrets
import socket
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Any, Protocol, Self

HOST = "127.0.0.1"
REGION = "us-east-1"
STACK_NAME = "batchdrop"
# Below those that clients' connections are given (on Linux from 32768, on macOS from 49152): while the cloud is down,
# one of these would take its port.
PORTS = range(20_000, 32_768)
PRIVATE_FOLDER, PRIVATE_FILE = 0o700, 0o600


class Access(Protocol):
    """Where a local cloud is, and the key that it answers to."""

    @property
    def endpoint(self) -> str: ...

    @property
    def access_key_id(self) -> str: ...

    @property
    def secret_access_key(self) -> str: ...


@dataclass(frozen=True, kw_only=True)
class LocalCloud:
    """A running local cloud: what a client needs to use it.

    `providers_file` holds the providers as they are deployed; it was made from `providers_from`.
    """

    endpoint: str
    region: str
    access_key_id: str
    secret_access_key: str
    bucket: str
    table: str
    deployment: str
    simulator_url: str | None
    simulator_key: str
    stack_name: str
    poll_function: str
    sweep_function: str
    providers: tuple[str, ...]
    providers_file: str
    providers_from: str
    state_dir: str
    logs: str
    pids: dict[str, int]

    @property
    def simulator_headers(self) -> dict[str, str]:
        """The headers that the simulator's controls ask for."""
        return {"Authorization": f"Bearer {self.simulator_key}"}

    def as_json(self) -> dict[str, Any]:
        return asdict(self) | {"providers": list(self.providers)}


@dataclass(frozen=True, kw_only=True)
class Process:
    """A program that was started, and what tells it from another that has its number today."""

    pid: int
    identity: str


@dataclass(frozen=True, kw_only=True)
class Options:
    """How the cloud was asked to be. `urls`: given addresses of providers; `providers_file`: not the project's."""

    urls: dict[str, str] = field(default_factory=dict)
    providers_file: str | None = None
    real: bool = False
    enforces_grants: bool = False
    functions_endpoint: str | None = None

    @property
    def reaches_out(self) -> bool:
        return self.real or bool(self.urls)

    @property
    def uses_simulator(self) -> bool:
        return not self.real and (self.providers_file is not None or set(self.urls) != {"openai", "anthropic"})


@dataclass(frozen=True, kw_only=True)
class Saved:
    """The state between two starts. Ports and account stay: they are part of queues' URLs and of names.

    The keys are random; a folder of the version before has none, and gets them by its next `up`.
    """

    account: str
    endpoint_port: int
    simulator_port: int
    secret_access_key: str = ""
    simulator_key: str = ""
    options: Options = field(default_factory=Options)
    deployed: str | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Self:
        endpoint_port, simulator_port = _free_ports()
        new = cls(account=_account(), endpoint_port=endpoint_port, simulator_port=simulator_port)
        return new.with_keys()

    def with_keys(self) -> Self:
        """With random keys in the place of those that it lacks."""
        return replace(
            self,
            secret_access_key=self.secret_access_key or secrets.token_hex(),
            simulator_key=self.simulator_key or f"sk-simulated-{secrets.token_hex()}",
        )

    @property
    def access_key_id(self) -> str:
        """As an access key, twelve digits are the account's number."""
        return self.account

    @property
    def endpoint(self) -> str:
        return f"http://{HOST}:{self.endpoint_port}"

    @property
    def simulator_url(self) -> str:
        return f"http://{HOST}:{self.simulator_port}"


class Folder:
    """Where everything of one local cloud lies. Two folders are two clouds."""

    def __init__(self, path: Path) -> None:
        self.path = path.resolve()
        self.emulator_state = self.path / "aws" / "state"
        self.secrets = self.emulator_state / "secretsmanager.json"
        self.objects = self.path / "aws" / "objects"
        self.code = self.path / "aws" / "code"
        self.tmp = self.path / "tmp"
        self.home = self.path / "home"
        self.simulator = self.path / "simulator"
        self.logs = self.path / "logs"
        self.function_logs = self.logs / "functions"
        self.cdk_out = self.path / "cdk.out"
        self.providers = self.path / "providers.toml"
        self.lock = self.path / "lock"
        self._saved = self.path / "cloud.json"

    def make(self) -> None:
        """Make it, for its owner alone; what a version before left open to others is closed."""
        if not self.path.exists() or self._saved.exists():
            self.path.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
            self.path.chmod(PRIVATE_FOLDER)
        kept = (self.emulator_state, self.objects, self.code, self.simulator, self.function_logs)
        for folder in (self.emulator_state.parent, self.logs, *kept, self.tmp, self.home, self.cdk_out):
            folder.mkdir(PRIVATE_FOLDER, parents=True, exist_ok=True)
            folder.chmod(PRIVATE_FOLDER)
        for file in (*self.emulator_state.iterdir(), self._saved, self.providers):
            if file.is_file():
                file.chmod(PRIVATE_FILE)

    def read(self) -> Saved | None:
        if not self._saved.exists():
            return None
        values = json.loads(self._saved.read_text())
        options = Options(**values.pop("options"))
        processes = {name: Process(**process) for name, process in values.pop("processes").items()}
        return Saved(**values, options=options, processes=processes)

    def write(self, saved: Saved) -> None:
        self._write(self._saved, json.dumps(asdict(saved), indent=1) + "\n")

    def write_providers(self, text: str) -> None:
        self._write(self.providers, text)

    @staticmethod
    def _write(path: Path, text: str) -> None:
        new = path.with_suffix(".new")
        new.unlink(missing_ok=True)
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, PRIVATE_FILE), "w", encoding="utf-8") as file:
            file.write(text)
        new.replace(path)


def _account() -> str:
    """Twelve digits: as an access key it is the account's number, and the CDK remembers one account for each key."""
    return str(10**11 + secrets.randbelow(9 * 10**11))


def _free_ports() -> tuple[int, int]:
    drawn = (PORTS.start + secrets.randbelow(len(PORTS)) for _ in count())
    free = (port for port in drawn if is_free(port))
    first = next(free)
    return first, next(port for port in free if port != first)


def is_free(port: int) -> bool:
    """Return whether a program of this machine could listen there."""
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind((HOST, port))
        except OSError:
            return False
    return True
