"""What a local cloud is, and the folder that holds all of it."""

import json
import secrets
import socket
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Self

HOST = "127.0.0.1"
REGION = "us-east-1"
STACK_NAME = "batchdrop"
SECRET_ACCESS_KEY = "local"  # noqa: S105 - the emulator checks no signature


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
    stack_name: str
    poll_function: str
    sweep_function: str
    providers: tuple[str, ...]
    providers_file: str
    providers_from: str
    state_dir: str
    logs: str
    pids: dict[str, int]

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
    """What is remembered between two starts. Ports and account stay: they are part of queues' URLs and of names."""

    account: str
    endpoint_port: int
    simulator_port: int
    options: Options = field(default_factory=Options)
    deployed: str | None = None
    outputs: dict[str, str] = field(default_factory=dict)
    processes: dict[str, Process] = field(default_factory=dict)

    @classmethod
    def new(cls) -> Self:
        endpoint_port, simulator_port = _free_ports()
        return cls(account=_account(), endpoint_port=endpoint_port, simulator_port=simulator_port)

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
        kept = (self.emulator_state, self.objects, self.code, self.simulator, self.function_logs)
        for folder in (*kept, self.tmp, self.home):
            folder.mkdir(parents=True, exist_ok=True)

    def read(self) -> Saved | None:
        if not self._saved.exists():
            return None
        values = json.loads(self._saved.read_text())
        options = Options(**values.pop("options"))
        processes = {name: Process(**process) for name, process in values.pop("processes").items()}
        return Saved(**values, options=options, processes=processes)

    def write(self, saved: Saved) -> None:
        new = self._saved.with_suffix(".new")
        new.write_text(json.dumps(asdict(saved), indent=1) + "\n")
        new.replace(self._saved)


def _account() -> str:
    """Twelve digits: as an access key it is the account's number, and the CDK remembers one account for each key."""
    return str(10**11 + secrets.randbelow(9 * 10**11))


def _free_ports() -> tuple[int, int]:
    with socket.socket() as first, socket.socket() as second:
        first.bind((HOST, 0))
        second.bind((HOST, 0))
        return int(first.getsockname()[1]), int(second.getsockname()[1])
