"""The emulator's process: ministack, with twelve things that it does not do by itself.

It is run by the emulator's own Python, which has ministack and nothing of this project.

- ministack answers whoever asks. Here only what is signed with the cloud's key is answered, and no web page.
- ministack saves its state when it is stopped. Here rows are journalled as they are written and the rest is saved as it
  changes, so that a killed emulator comes back with what it had.
- ministack keeps a log stream for every invocation, in memory. Here a function's log is a file.
- ministack unpacks the code for every worker, for seconds on its own thread. Here it is unpacked once.
- A worker is loaded when it is first needed. Here an event of ours loads it before, and no handler sees it.
- ministack starts as many workers as are asked for at once, and ends those that are idle. Here no more of them are
  loaded at once than there are processors, a function has no more than it may run at once, and they stay.
- Told to stop, ministack waits until every client has closed its connection. Here functions may finish, and it ends.
- Messages that a function held when the emulator ended are visible at once: nobody holds them any more.
- ministack gives the whole of an object's version, whatever range was asked for. Here it is cut.
- ministack's events of a versioned bucket name no version. Here, as at AWS, they do: each version becomes a job.
- ministack wants grants of their own for batches of messages. Here, as at AWS, who may send one may send ten.
- ministack keeps the versions of objects in memory, and reads the whole file for each range. Here they lie on the disk
  alone, and what is read of them is what was asked for.
"""
# ruff: noqa: SLF001 - ministack offers no other way in; its version is pinned

import asyncio
import errno
import hashlib
import json
import mmap
import os
import shutil
import signal
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from importlib import import_module
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

if "local_cloud" not in sys.modules:  # the package's own beginning needs what the emulator's Python does not have
    sys.modules["local_cloud"] = ModuleType("local_cloud")
    sys.modules["local_cloud"].__path__ = [str(Path(__file__).parent)]

from local_cloud.guard import Guard

SAVE_EVERY_SECONDS = 0.25
FINISH_SECONDS = 5.0
JOURNAL_BYTES = 4_000_000  # above this the table is saved whole, and the journal begins anew
LOG_BYTES = 10_000_000
READING = {"GET", "HEAD", "OPTIONS"}
NOT_SAVED = {"cloudwatch", "cloudwatch_logs"}  # grow with every invocation, and nothing reads them
NOT_CONFIGURING = (
    *(b"Get", b"Describe", b"List", b"Query", b"Scan", b"BatchGet", b"TransactGet", b"PutEvents"),
    *(b"PutItem", b"UpdateItem", b"DeleteItem", b"BatchWriteItem", b"TransactWriteItems"),
)
ROWS = "dynamodb"
HTTP_OK, HTTP_PART, HTTP_NO_SUCH_RANGE = 200, 206, 416
SINGLE_MESSAGE = {"SendMessageBatch": "SendMessage", "DeleteMessageBatch": "DeleteMessage"}
WORKER_SECONDS = 86_400  # in which an idle worker stays: to load one again takes seconds
LOAD = {"local_cloud": "load"}

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


def keep_bodies_on_disk(s3: ModuleType) -> None:
    """Let bodies go from memory once they are saved, and map their files where they are read."""
    persist, read, read_version = s3._persist_object, s3._read_body, s3._version_body
    get_data = s3._get_object_data

    def persist_and_release(bucket: str, key: str, record: dict[str, Any]) -> None:
        persist(bucket, key, record)
        for version in s3._object_versions.get((bucket, key)) or []:
            if record.get("body") is None and version["version_id"] == record.get("version_id"):
                version["data"] = None

    def read_mapped(bucket: str, key: str, record: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's
        found = _mapped(s3._object_disk_path(bucket, key)) if record.get("body") is None else None
        return read(bucket, key, record) if found is None else found

    def read_version_mapped(objects: Any, bucket: str, key: str, version: dict[str, Any]) -> Any:  # noqa: ANN401 - ministack's
        path = s3._version_disk_path(bucket, key, version["version_id"])
        found = _mapped(path) if version.get("data") is None else None
        return read_version(objects, bucket, key, version) if found is None else found

    def data_in_memory(*given: Any, **named: Any) -> bytes | None:
        body = get_data(*given, **named)
        return body if body is None else body[:]

    s3._persist_object = persist_and_release  # type: ignore[attr-defined]
    s3._read_body, s3._version_body = read_mapped, read_version_mapped  # type: ignore[attr-defined]
    s3._get_object_data = data_in_memory  # type: ignore[attr-defined]


def _mapped(name: str | None) -> mmap.mmap | None:
    """A file of which only what is used is read; it stays as it is when another takes its place."""
    path = Path(name or "")
    if not path.is_file() or not path.stat().st_size:
        return None
    with path.open("rb") as file:
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def cut_versions(s3: ModuleType) -> None:
    """Let a read of a version give the range that it asks for, as a read without a version does."""
    get = s3._get_object

    def get_range(bucket: str, key: str, headers: dict[str, str], query: Any = None) -> Any:  # noqa: ANN401 - ministack's
        status, answer, body = get(bucket, key, headers, query)
        asked = headers.get("range", "")
        if status != HTTP_OK or not asked:
            return status, answer, body[:]
        span = s3._parse_range(asked, len(body))
        if span is None:
            return (
                HTTP_NO_SUCH_RANGE,
                {"Content-Type": "application/xml"},
                s3._xml_body(s3._range_error_xml(bucket, key)),
            )
        first, last = span
        whole = {name: value for name, value in answer.items() if not name.lower().startswith("x-amz-checksum-")}
        part = {"Content-Length": str(last + 1 - first), "Content-Range": f"bytes {first}-{last}/{len(body)}"}
        return HTTP_PART, whole | part, body[first : last + 1]

    s3._get_object = get_range  # type: ignore[attr-defined]


def name_versions(s3: ModuleType, eventbridge: ModuleType) -> None:
    """Add the version that was written to the event that EventBridge gets of it.

    ministack hands it to the function that makes the event, which leaves it out. Every event is made in a context of
    its own, so that the version that is being told is that of the event being dispatched.
    """
    fire, dispatch = s3._fire_s3_event, eventbridge._dispatch_event
    told: ContextVar[str | None] = ContextVar("version", default=None)

    def fire_with_version(*given: Any, version_id: str | None = None, **named: Any) -> None:
        token = told.set(version_id)
        try:
            fire(*given, version_id=version_id, **named)
        finally:
            told.reset(token)

    def dispatch_with_version(event: dict[str, Any], *given: Any) -> Any:  # noqa: ANN401 - ministack's
        version_id = told.get()
        if version_id and event["Source"] == "aws.s3":
            detail = json.loads(event["Detail"])
            detail["object"]["version-id"] = version_id
            event = event | {"Detail": json.dumps(detail)}
        return dispatch(event, *given)

    s3._fire_s3_event = fire_with_version  # type: ignore[attr-defined]
    eventbridge._dispatch_event = dispatch_with_version  # type: ignore[attr-defined]


def authorize_batches_of_messages(iam_actions: ModuleType) -> None:
    """Check the action that AWS checks: its policies know no `sqs:SendMessageBatch`."""
    action_of = iam_actions._action_from_target

    def as_aws(headers: dict[str, str]) -> str | None:
        action: str | None = action_of(headers)
        return SINGLE_MESSAGE.get(action or "", action)

    iam_actions._action_from_target = as_aws  # type: ignore[attr-defined]


def log_to_files(lambda_svc: ModuleType, directory: Path) -> None:
    """A file for each function, named as its log lines' service is: by its step. One older file is kept of each."""

    def emit(func: dict[str, Any], _request_id: str, log_text: str, *_more: object, **_named: object) -> None:
        if not log_text:
            return
        config = func.get("config") or func
        name = config.get("Handler", "").split(".")[-2] or config["FunctionName"]
        path = directory / f"{name}.log"
        if path.exists() and path.stat().st_size > LOG_BYTES:
            path.replace(directory / f"{name}.log.1")
        with path.open("a") as file:
            file.write(log_text.rstrip("\n") + "\n")

    lambda_svc._emit_lambda_logs = emit  # type: ignore[attr-defined]
    lambda_svc._emit_lambda_metrics = lambda *_given, **_named: None  # type: ignore[attr-defined]


class UnpackedOnce(zipfile.ZipFile):
    """An archive that is unpacked once for all workers: like /var/task, nobody writes there."""

    lock = threading.Lock()
    directory = Path()

    def extractall(self, path: Any = None, members: Any = None, pwd: Any = None) -> None:  # noqa: ANN401 - as inherited
        digest = hashlib.sha256(Path(str(self.filename)).read_bytes()).hexdigest()
        unpacked = self.directory / digest
        with self.lock:
            if not unpacked.exists():
                new = self.directory / "new"
                shutil.rmtree(new, ignore_errors=True)
                super().extractall(new, members, pwd)
                new.rename(unpacked)
        Path(path).rmdir()
        Path(path).symlink_to(unpacked)
        Path(str(self.filename)).unlink()  # a copy of it for each worker would fill the disk


def unpack_once(lambda_runtime: ModuleType, directory: Path) -> None:
    """Keep what was unpacked last: it is most likely what is deployed."""
    for old in sorted(directory.iterdir(), key=lambda path: path.stat().st_mtime)[:-1]:
        shutil.rmtree(old)
    UnpackedOnce.directory = directory
    names = {name: getattr(zipfile, name) for name in ("BadZipFile", "LargeZipFile")}
    lambda_runtime.zipfile = SimpleNamespace(ZipFile=UnpackedOnce, **names)  # type: ignore[attr-defined]


def bound_workers(lambda_runtime: ModuleType, *, processors: int, at_most: int) -> None:
    """Load as many workers at once as there are processors: more of them would all be late, and none ever ready."""
    spawn, loading = lambda_runtime.Worker._spawn, threading.BoundedSemaphore(processors)

    def spawn_in_turn(worker: Any) -> None:  # noqa: ANN401 - ministack's
        with loading:
            spawn(worker)

    lambda_runtime.Worker._spawn = spawn_in_turn
    lambda_runtime._LOCAL_MAX_WORKERS = at_most  # type: ignore[attr-defined]
    lambda_runtime._LOCAL_WORKER_TTL = WORKER_SECONDS  # type: ignore[attr-defined]


def load_when_told(lambda_runtime: ModuleType) -> None:
    invoke = lambda_runtime.Worker.invoke

    def invoke_or_load(worker: Any, event: object, *given: object, **named: object) -> object:  # noqa: ANN401 - ministack's
        if event != LOAD:
            return invoke(worker, event, *given, **named)
        lambda_runtime.ensure_spawned(worker)
        return {"status": "ok", "result": None, "log": "", "cold_start": True}

    lambda_runtime.Worker.invoke = invoke_or_load


def guard(app: ModuleType, environment: Mapping[str, str]) -> Guard:
    """Ask for the cloud's own key, or one that was made in the emulator: for a function's role, or a user of it."""
    iam = import_module("ministack.core.iam_evaluator")
    account, host = environment["MINISTACK_ACCOUNT_ID"], f"{environment['BIND_HOST']}:{environment['GATEWAY_PORT']}"

    def secret_of(access_key_id: str, token: str) -> str | None:
        if access_key_id == account:
            return None if token else environment["AWS_SECRET_ACCESS_KEY"]
        if iam.is_root_access_key(access_key_id):
            return None  # ministack makes an account of any number
        found = iam.resolve_credential(access_key_id, account, token)
        return getattr(found, "secret_access_key", None)

    hosts = [host, urlsplit(environment.get("AWS_ENDPOINT_URL", "")).netloc or host]
    return Guard(app.app, host=host, signed_hosts=hosts, secret_of=secret_of)


async def end_gently(lambda_svc: ModuleType, saver: Saver) -> None:
    """Start no function any more, let those that run finish if they are quick, save, end."""
    lambda_svc._poll_sqs = lambda: False  # type: ignore[attr-defined]
    deadline = time.monotonic() + FINISH_SECONDS
    while lambda_svc.executions_in_flight()[0] and time.monotonic() < deadline:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(SAVE_EVERY_SECONDS / 10)
    saver.finish()


def main() -> None:
    state, logs, code, at_most = Path(os.environ["STATE_DIR"]), Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    del sys.argv[1:]
    app = import_module("ministack.app")
    dynamodb, sqs, lambda_svc = (import_module(f"ministack.services.{name}") for name in (ROWS, "sqs", "lambda_svc"))
    journal = Journal(state / "rows.journal")
    saver = Saver(app, journal)
    journal_rows(dynamodb, journal)
    free_messages(sqs)
    authorize_batches_of_messages(import_module("ministack.core.iam_actions"))
    s3 = import_module("ministack.services.s3")
    keep_bodies_on_disk(s3)
    cut_versions(s3)
    name_versions(s3, import_module("ministack.services.eventbridge"))
    log_to_files(lambda_svc, logs)
    lambda_runtime = import_module("ministack.core.lambda_runtime")
    unpack_once(lambda_runtime, code)
    bound_workers(lambda_runtime, processors=os.process_cpu_count() or 1, at_most=at_most)
    load_when_told(lambda_runtime)
    answer, enforces_grants = guard(app, os.environ), bool(os.environ.get("AUTH"))

    async def noting(scope: dict[str, Any], receive: Any, send: Any) -> None:  # noqa: ANN401 - ASGI's own
        if enforces_grants and scope["type"] == "http":
            scope["scheme"] = "https"  # policies refuse what is not TLS; nothing here leaves the machine
        await answer(scope, receive, send)
        if scope["type"] == "http":
            saver.note(scope["method"], scope["path"], dict(scope["headers"]))

    app.app = noting  # type: ignore[attr-defined]
    load = app._load_persisted_state

    def load_then_save() -> None:
        load()
        saver.start()  # not earlier: it would save nothing over what is to be loaded
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, lambda: loop.create_task(end_gently(lambda_svc, saver)))

    app._load_persisted_state = load_then_save  # type: ignore[attr-defined]
    app.main()


if __name__ == "__main__":
    main()
