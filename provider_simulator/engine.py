"""Files and batches, and what becomes of them. It knows no HTTP: `openai_api` and `anthropic_api` do."""

import contextlib
import fnmatch
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec

from provider_simulator import lifecycle, scan
from provider_simulator.errors import RefusedError
from provider_simulator.facts import Batch, Limits, LineError, ProviderName, Scan, Shape, StoredFile
from provider_simulator.lifecycle import Phase
from provider_simulator.produce import produce
from provider_simulator.rates import Rates
from provider_simulator.shape_rules import ShapeRule, use_rules
from provider_simulator.store import Store

ID_PREFIXES = {"openai": "batch_", "anthropic": "msgbatch_"}
OUTPUT_PREFIXES = {"output": "file-out-", "errors": "file-err-"}


class Seen(NamedTuple):
    """A batch as it stood at a moment: all that time had brought about by then is in its facts."""

    batch: Batch
    at: float

    @property
    def phase(self) -> Phase:
        return lifecycle.phase(self.batch, self.at)

    @property
    def ended(self) -> bool:
        return self.phase in lifecycle.ENDED


class Engine:
    """One per simulator. Safe to use from many threads: each batch is settled under a lock of its own."""

    def __init__(self, store: Store, *, clock: Callable[[], float], seconds_to_complete: float) -> None:
        self.store = store
        self.rates = Rates(store)
        self.seconds_to_complete = seconds_to_complete
        self._clock = clock
        self._advanced = store.setting("advanced", float, 0.0)
        self._lock = threading.RLock()
        self._batch_locks: dict[str, threading.RLock] = {}

    def now(self) -> float:
        return self._clock() + self._advanced

    def advance(self, seconds: float) -> float:
        with self._lock:
            self._advanced += seconds
            self.store.set("advanced", self._advanced)
        return self.now()

    def reset(self) -> None:
        with self._lock:
            self._advanced = 0.0
            self.store.reset()

    @property
    def limits(self) -> Limits:
        return self.store.setting("limits", Limits, Limits())

    def enqueued_limit(self, model: str) -> int | None:
        limits = self.store.setting("enqueued_limits", dict[str, int], {})
        return next((tokens for pattern, tokens in limits.items() if fnmatch.fnmatch(model, pattern)), None)

    def add_shape(self, rule: ShapeRule) -> None:
        with self._lock:
            self.store.set("shapes", [*self._shape_rules(), rule])

    def _shape_rules(self) -> list[ShapeRule]:
        return self.store.setting("shapes", list[ShapeRule], [])

    def _shape(self, provider: ProviderName, model: str) -> Shape:
        with self._lock:
            rules = self._shape_rules()
            wanted, left = use_rules(rules, provider, model)
            if left != rules:
                self.store.set("shapes", left)
        return msgspec.convert({"seconds_to_complete": self.seconds_to_complete, **wanted}, Shape)

    def add_file(self, org: str, source: Path, *, filename: str, purpose: str, seconds: float | None) -> StoredFile:
        """Take the spooled bytes as a stored file."""
        now = self.now()
        file = StoredFile(
            id=self.store.new_id("file-", table="files"),
            org=org,
            created_at=now,
            filename=filename,
            purpose=purpose,
            bytes=source.stat().st_size,
            expires_at=None if seconds is None else now + seconds,
        )
        source.rename(self.store.file_path(file.id))
        self.store.put_file(file)
        return file

    def file(self, org: str, file_id: str) -> StoredFile:
        """Raises: RefusedError(404)."""
        file = self.store.file(file_id)
        if file is None or file.org != org or not file.exists(self.now()):
            raise RefusedError(404, f"No such File object: {file_id}", param="id")
        return file

    def files(self, org: str) -> list[StoredFile]:
        """Return the files that exist, newest first."""
        self._settle_all("openai", org)
        return [file for file in self.store.files(org) if file.exists(self.now())]

    def delete_file(self, org: str, file_id: str) -> None:
        """Raises: RefusedError(404)."""
        file = self.file(org, file_id)
        self._keep_input_of_batches(file)
        self.store.put_file(msgspec.structs.replace(file, deleted_at=self.now()))
        self.store.file_path(file_id).unlink(missing_ok=True)

    def _keep_input_of_batches(self, file: StoredFile) -> None:
        """A batch that was created before its file was deleted goes on, as if it had read it already."""
        for batch in self.store.unsettled("openai", file.org):
            if batch.input_file_id == file.id and batch.created_at <= self.now():
                self._link_input(batch)

    def _link_input(self, batch: Batch) -> Path | None:
        """The batch's own name for its input, or None if there was no such file when the batch was created."""
        own = self.store.batch_folder(batch.id) / "input.jsonl"
        file = self.store.file(batch.input_file_id or "")
        if own.exists():
            return own
        if file is None or file.org != batch.org or not file.exists(batch.created_at):
            return None
        with contextlib.suppress(FileExistsError):
            os.link(self.store.file_path(file.id), own)
        return own

    def create(self, wanted: Batch, *, delay: float, model: str = "", source: Path | None = None) -> Batch:
        """Accept a batch; what is wrong with its requests shows later.

        Args:
            wanted: The batch without what only the provider knows.
            delay: It arrives so many seconds from now.
            model: What shapes go by; without it the first line of the input file tells.
            source: The requests, one a line, if they came with the call.
        """
        if wanted.input_file_id is not None:
            model = _first_model(self.store.file_path(wanted.input_file_id))
        batch = msgspec.structs.replace(
            wanted,
            id=self.store.new_id(ID_PREFIXES[wanted.provider], table="batches"),
            created_at=self.now() + delay,
            shape=self._shape(wanted.provider, model),
        )
        folder = self.store.batch_folder(batch.id)
        folder.mkdir()
        if source is not None:
            source.rename(folder / "input.jsonl")
        return self._put(batch)

    def queued_requests(self, org: str) -> int:
        """Anthropic's requests in processing."""
        now = self.now()
        return sum(batch.total for batch in self.store.unsettled("anthropic", org) if lifecycle.is_live(batch, now))

    def batch(self, provider: ProviderName, org: str, batch_id: str) -> Seen:
        """The batch as it stands now.

        Raises:
            RefusedError: 404, there is no such batch (yet).
        """
        batch = self.store.batch(batch_id)
        now = self.now()
        gone = batch is None or (batch.provider, batch.org) != (provider, org) or batch.deleted_at is not None
        if batch is None or gone or now < batch.created_at + batch.shape.not_found_after_create:
            raise RefusedError(404, f"No batch found with id '{batch_id}'.")
        return self._settle(batch_id)

    def batches(self, provider: ProviderName, org: str) -> list[str]:
        """The ids of those that exist, newest first."""
        return self.store.batch_ids(provider, org, now=self.now())

    def look(self, batch_id: str) -> Seen:
        """A batch that exists, whoever owns it, as it stands now."""
        return self._settle(batch_id)

    def cancel(self, provider: ProviderName, org: str, batch_id: str) -> Seen:
        """Begin to cancel; again is no error while it lasts.

        Raises:
            RefusedError: 404, or 409 if it has ended.
        """
        with self._locked(batch_id):
            seen = self.batch(provider, org, batch_id)
            if seen.ended:
                raise RefusedError(409, f"Cannot cancel a batch with status '{seen.phase.value}'.")
            if seen.batch.cancel_at is None:
                self._put(msgspec.structs.replace(seen.batch, cancel_at=seen.at))
            return self._settle(batch_id)

    def delete_batch(self, provider: ProviderName, org: str, batch_id: str) -> None:
        """Raises: RefusedError, 404, or 400 if it has not ended."""
        with self._locked(batch_id):
            seen = self.batch(provider, org, batch_id)
            if not seen.ended:
                raise RefusedError(400, f"Batch {batch_id} is still being processed; cancel it before it is deleted.")
            self._put(msgspec.structs.replace(seen.batch, deleted_at=seen.at))
            (self.store.batch_folder(batch_id) / "output").unlink(missing_ok=True)

    def results_path(self, batch_id: str) -> Path:
        return self.store.batch_folder(batch_id) / "output"

    # --- settling: facts that time has brought about are written when they are first looked for ---

    def _put(self, batch: Batch) -> Batch:
        self.store.put_batch(batch, live=batch.outcome is None and not lifecycle.failed(batch))
        return batch

    @contextlib.contextmanager
    def _locked(self, batch_id: str) -> Iterator[None]:
        with self._lock:
            lock = self._batch_locks.setdefault(batch_id, threading.RLock())
        with lock:
            yield

    def _settle_all(self, provider: ProviderName, org: str) -> None:
        for batch in self.store.unsettled(provider, org):
            self._settle(batch.id)

    def _settle(self, batch_id: str) -> Seen:
        with self._locked(batch_id):
            batch = self.store.batch(batch_id)
            if batch is None:
                raise RefusedError(404, f"No batch found with id '{batch_id}'.")
            now = self.now()
            if batch.scan is None and now >= min(lifecycle.validated_at(batch), lifecycle.ends_at(batch)):
                batch = self._put(self._scanned(batch))
            if batch.scan and batch.outcome is None and not lifecycle.failed(batch) and now >= lifecycle.ends_at(batch):
                batch = self._put(self._ended(batch))
                (self.store.batch_folder(batch.id) / "input.jsonl").unlink(missing_ok=True)
            return Seen(batch, now)

    def _scanned(self, batch: Batch) -> Batch:
        folder = self.store.batch_folder(batch.id)
        if batch.provider == "anthropic":
            return msgspec.structs.replace(batch, scan=scan.scan_anthropic(folder / "input.jsonl", folder))
        source = self._link_input(batch)
        if source is None:
            return msgspec.structs.replace(batch, scan=_without_file(batch))
        found = scan.scan_openai(source, folder, endpoint=batch.endpoint, limits=self.limits)
        error = self._refused_as_shaped(batch, found) or self._over_enqueued_limit(batch, found)
        if error is not None and not found.errors:
            found = msgspec.structs.replace(found, errors=(error,))
        return msgspec.structs.replace(batch, scan=found, total=found.total)

    def _refused_as_shaped(self, batch: Batch, found: Scan) -> LineError | None:
        code = batch.shape.fail_batch
        if code is None:
            return None
        if code == "token_limit_exceeded" and batch.shape.fail_message is None:
            return _token_limit(batch, found.model or "", self.enqueued_limit(found.model or "") or 2_000_000)
        if code == "invalid_request" and batch.shape.fail_message is None:
            return _without_file(batch).errors[0]
        message = batch.shape.fail_message or f"The batch failed: {code}."
        return LineError(code=code, message=message, line=batch.shape.fail_line)

    def _over_enqueued_limit(self, batch: Batch, found: Scan) -> LineError | None:
        limit = self.enqueued_limit(found.model or "")
        if limit is None:
            return None
        at = lifecycle.validated_at(batch)
        enqueued = found.input_tokens
        for other in self._earlier(batch):
            if other.scan and other.scan.model == found.model and lifecycle.is_live(other, at):
                enqueued += other.scan.input_tokens
        return _token_limit(batch, found.model or "", limit) if enqueued > limit else None

    def _earlier(self, batch: Batch) -> Iterator[Batch]:
        """Batches created before this one, settled first, so that the first come is the first served."""
        for other in self.store.unsettled(batch.provider, batch.org):
            if other.id == batch.id:
                return
            yield self._settle(other.id).batch

    def _ended(self, batch: Batch) -> Batch:
        folder = self.store.batch_folder(batch.id)
        outcome = produce(batch, folder)
        ended = msgspec.structs.replace(batch, outcome=outcome)
        if batch.provider == "openai":
            self._add_output(ended, "output", outcome.output_bytes)
            self._add_output(ended, "errors", outcome.error_bytes)
        return ended

    def _add_output(self, batch: Batch, name: str, size: int) -> None:
        """A result with no line has no file, unless the batch is shaped otherwise."""
        source = self.store.batch_folder(batch.id) / name
        if batch.shape.files == "none" or (size == 0 and batch.shape.files != "both"):
            source.unlink()
            return
        file_id = output_file_id(batch, name)
        source.rename(self.store.file_path(file_id))
        ended = lifecycle.ends_at(batch)
        label = "output" if name == "output" else "error"
        self.store.put_file(
            StoredFile(
                id=file_id,
                org=batch.org,
                created_at=ended,
                filename=f"{batch.id}_{label}.jsonl",
                purpose="batch_output",
                bytes=size,
                expires_at=ended + batch.output_seconds,
            )
        )


def output_file_id(batch: Batch, name: str) -> str:
    return OUTPUT_PREFIXES[name] + batch.id.removeprefix("batch_")


def _without_file(batch: Batch) -> Scan:
    message = f"Cannot find file {batch.input_file_id}, or organization {batch.org} does not have access to it."
    error = LineError(code="invalid_request", message=message, param="file_id")
    return Scan(total=0, input_tokens=0, model=None, errors=(error,))


def _token_limit(batch: Batch, model: str, limit: int) -> LineError:
    message = (
        f"Enqueued token limit reached for {model} in organization {batch.org}. Limit: {limit:,} enqueued tokens. "
        "Please try again once some in_progress batches have been completed."
    )
    return LineError(code="token_limit_exceeded", message=message)


def _first_model(path: Path) -> str:
    """The model of the first line, for choosing a shape; empty if that is not known."""
    try:
        _, _, line = next(scan.lines(path))
        request = scan.decode(line)
    except (OSError, StopIteration, ValueError):
        return ""
    body = request.get("body") if isinstance(request, dict) else None
    model = body.get("model") if isinstance(body, dict) else None
    return model if isinstance(model, str) else ""
