"""Keeps the emulator's state: rows are journalled as they are written, the rest is saved as it changes."""
# ruff: noqa: SLF001 - ministack offers no other way in; its version is pinned

import errno
import json
import os
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

SAVE_EVERY_SECONDS = 0.25
JOURNAL_BYTES = 4_000_000  # above this the table is saved whole, and the journal begins anew
READING = {"GET", "HEAD", "OPTIONS"}
NOT_SAVED = {"cloudwatch", "cloudwatch_logs"}  # grow with every invocation, and nothing reads them
NOT_CONFIGURING = (
    *(b"Get", b"Describe", b"List", b"Query", b"Scan", b"BatchGet", b"TransactGet", b"PutEvents"),
    *(b"PutItem", b"UpdateItem", b"DeleteItem", b"BatchWriteItem", b"TransactWriteItems"),
)
ROWS = "dynamodb"
Table = dict[str, Any]


class Journal:
    """Every row as it is written, by the table's ARN and the row's key; the last line of a key is the row."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()
        self._file = path.open("ab", buffering=0)
        self._file.truncate(path.read_bytes().rfind(b"\n") + 1)  # a line that a kill cut: its write was never answered

    def write(self, table: Table, pk: str, sk: str, item: object) -> None:
        """Raises: OSError, when the disk is full: nothing is left of the line, and the write is not answered."""
        line = json.dumps([table["TableArn"], pk, sk, item]).encode() + b"\n"
        with self._lock:
            before = self._path.stat().st_size
            if self._file.write(line) != len(line):
                self._file.truncate(before)
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))

    def replay(self, tables: list[Table], put: Callable[..., object], remove: Callable[..., object]) -> None:
        by_arn = {table["TableArn"]: table for table in tables}
        for line in self._path.read_bytes().splitlines():
            arn, pk, sk, item = json.loads(line)
            if arn in by_arn:
                put(by_arn[arn], pk, sk, item) if item is not None else remove(by_arn[arn], pk, sk)

    def is_long(self) -> bool:
        return self._path.stat().st_size > JOURNAL_BYTES

    def begin_anew(self, save: Callable[[], None]) -> None:
        with self._lock:
            save()
            self._file.truncate(0)


class Saver:
    """Saves each service's state soon after it changed."""

    def __init__(self, app: ModuleType, journal: Journal) -> None:
        self._app = app
        self._journal = journal
        self._persistence = import_module("ministack.core.persistence")
        self._queues = import_module("ministack.services.sqs")._queues
        self._messages: object = None
        self._changed = threading.Event()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self.run, daemon=True, name="saver")

    def start(self) -> None:
        self._thread.start()

    def note(self, method: str, path: str, headers: dict[bytes, bytes]) -> None:
        """A request was answered. Objects save themselves, rows are journalled, messages are compared."""
        signed, action = headers.get(b"authorization", b""), headers.get(b"x-amz-target", b"").rsplit(b".", 1)[-1]
        if not (
            method in READING
            or path.endswith("/invocations")
            or any(f"/{service}/".encode() in signed for service in ("s3", "sqs"))
            or action.startswith(NOT_CONFIGURING)
        ):
            self._changed.set()

    def run(self) -> None:
        while not self._stopped.wait(SAVE_EVERY_SECONDS):
            try:
                self.save_what_changed()
            except (RuntimeError, OSError):  # a dictionary changed while it was copied, or the disk is full
                self._changed.set()

    def finish(self) -> None:
        """Save everything once, and end."""
        self._stopped.set()
        self._thread.join()  # two writers would share a temporary file
        try:
            self.save_all()
        finally:
            os._exit(0)

    def save_what_changed(self) -> None:
        if self._changed.is_set():
            self._changed.clear()
            self.save_all()
        elif self._journal.is_long():
            self._journal.begin_anew(lambda: self._save(ROWS))
        messages = [
            (url, message["id"], message["receive_count"])
            for url, queue in list(self._queues._data.items())
            for message in list(queue["messages"])
        ]
        if messages != self._messages:
            self._save("sqs")
            self._messages = messages

    def save_all(self) -> None:
        for name in list(self._states()):
            if name == ROWS:
                self._journal.begin_anew(lambda: self._save(ROWS))
            else:
                self._save(name)

    def _states(self) -> dict[str, Callable[[], Any]]:
        found: dict[str, Callable[[], Any]] = self._app._build_persistence_save_dict()
        return {name: state for name, state in found.items() if name not in NOT_SAVED}

    def _save(self, name: str) -> None:
        state = self._states()[name]()
        if state is not None:
            self._persistence.save_state(name, state)


def journal_rows(dynamodb: ModuleType, journal: Journal) -> None:
    """Put the journal under every write, and behind the loading of what was saved."""
    set_item, remove_item, load = dynamodb._set_item, dynamodb._remove_item, dynamodb.load_persisted_state

    def set_and_write(table: Table, pk: str, sk: str, item: object) -> object:
        old = set_item(table, pk, sk, item)
        journal.write(table, pk, sk, item)
        return old

    def remove_and_write(table: Table, pk: str, sk: str) -> object:
        old = remove_item(table, pk, sk)
        journal.write(table, pk, sk, None)
        return old

    def load_and_replay(data: object) -> None:
        load(data)
        journal.replay(list(dynamodb._tables._data.values()), set_item, remove_item)

    dynamodb._set_item = set_and_write  # type: ignore[attr-defined]
    dynamodb._remove_item = remove_and_write  # type: ignore[attr-defined]
    dynamodb.load_persisted_state = load_and_replay  # type: ignore[attr-defined]


def free_messages(sqs: ModuleType) -> None:
    """Make messages that were being worked on visible when they are loaded. A delay that was asked for stays."""
    load = sqs.load_persisted_state

    def load_and_free(data: object) -> None:
        load(data)
        for queue in sqs._queues._data.values():
            for message in queue["messages"]:
                if message.get("receive_count"):
                    message["visible_at"] = 0

    sqs.load_persisted_state = load_and_free  # type: ignore[attr-defined]
