"""Faults on the wire: which calls go wrong, and how. What goes wrong inside a batch is a shape (`shape_rules`)."""

import threading
from collections.abc import Callable
from typing import Literal

import msgspec

from provider_simulator.facts import Json, ProviderName
from provider_simulator.store import Store

type FaultName = Literal[
    "reply_lost",
    "timeout",
    "connection_reset",
    "late",
    "status",
    "unknown_status",
    "rewritten",
    "not_found_as",
    "cut",
    "compressed",
    "garbage",
    "slow",
    "stopped",
    "misfit",
]
type Operation = Literal[
    "upload", "create", "retrieve", "list", "results", "cancel", "delete", "file_retrieve", "file_list", "realtime", "*"
]


class Fault(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`times` calls go wrong (None: all) once `after` calls that fit have passed."""

    provider: ProviderName | Literal["*"] = "*"
    operation: Operation = "*"
    fault: FaultName
    match: str | None = None
    """Only real-time calls in whose body this is found, as canonical JSON; None: whatever the body is."""
    times: int | None = 1
    after: int = 0
    code: int = 500
    """Status of `status` and `not_found_as`."""
    retry_after: float | None = None
    type: str | None = None
    error_code: str | None = None
    message: str | None = None
    charset: str = "utf-8"
    """What the body of `status` is written in."""
    values: Json = {}
    without: list[str] = []
    """What `rewritten` sets in the batches of an answer, and what it takes out."""
    bytes: int = 1000
    """How much of a download arrives before `cut`."""
    encoding: str = "gzip"
    """Of `compressed`: `gzip`, `deflate`, or a name that nobody knows."""
    seconds: float = 0.0
    """Of `late` (on the simulator's clock), `slow` and `timeout` (really waited on a socket, else on its clock)."""
    stop: str | None = None
    """Why a `stopped` answer ends, in the endpoint's words; None: it is cut off."""


class Faults:
    """The faults to come, kept in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._lock = threading.Lock()

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._store.set("faults", [*self.pending(), fault])

    def clear(self) -> None:
        with self._lock:
            self._store.set("faults", [])

    def pending(self) -> list[Fault]:
        return self._store.setting("faults", list[Fault], [])

    def strike(self, provider: ProviderName, operation: str, body: Callable[[], bytes | None]) -> Fault | None:
        """The fault of this call, if it has one. A call that only passes (`after`) counts for every fault it fits."""
        with self._lock:
            faults = self.pending()
            struck: Fault | None = None
            left = []
            for fault in faults:
                if struck is not None or not _fits(fault, provider, operation, body):
                    left.append(fault)
                elif fault.after:
                    left.append(msgspec.structs.replace(fault, after=fault.after - 1))
                else:
                    struck = fault
                    left.extend(_rest(fault))
            if left != faults:
                self._store.set("faults", left)
            return struck


def _rest(fault: Fault) -> list[Fault]:
    if fault.times is None:
        return [fault]
    return [msgspec.structs.replace(fault, times=fault.times - 1)] if fault.times > 1 else []


def _fits(fault: Fault, provider: ProviderName, operation: str, body: Callable[[], bytes | None]) -> bool:
    if fault.provider not in {"*", provider} or fault.operation not in {"*", operation}:
        return False
    if fault.match is None:
        return True
    found = body()
    return found is not None and fault.match.encode() in found
