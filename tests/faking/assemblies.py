"""A split to be assembled, all of it in memory: its plan, its batches and their results."""

import tempfile
from array import array
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
from batchdrop.aws import keys
from batchdrop.batches.accounting import Accounts
from batchdrop.batches.result_index import index_key, raw_key
from batchdrop.batches.split_plan import IndexedLine, LineNumbering, Plan, Route
from batchdrop.outputs.assembly import Assembly
from batchdrop.records import Batch, Split
from batchdrop.states import BatchState, JobState, SplitState

from faking.rows import a_batch, a_job, a_split

LINES_BEFORE = 1_000


class MemoryFiles:
    """Objects in memory, read in small pieces."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def get(self, key: str) -> bytes:
        return self.objects[key]

    def put(self, key: str, body: bytes | Path, **_: object) -> None:
        self.objects[key] = body if isinstance(body, bytes) else body.read_bytes()

    def stream(self, key: str, *, start: int = 0, end: int | None = None, **_: object) -> Iterator[bytes]:
        found = self.objects[key][start:end]
        return (found[at : at + 1_000] for at in range(0, len(found), 1_000))

    def reader(self, key: str, *_: object) -> Callable[[int, int], Iterator[bytes]]:
        return lambda start, end: self.stream(key, start=start, end=end)


class SplitInMemory:
    """Lines of a split, and batches that hold some of them."""

    def __init__(self, lines: list[IndexedLine], routes: list[Route]) -> None:
        self.files, self.batches, self.lines = MemoryFiles(), list[Batch](), lines
        self.split = a_split(1, state=SplitState.PLANNED, round=9)
        self.job = a_job(state=JobState.RUNNING, line_numbering_key="numbering")
        numbering = LineNumbering(lines_before=[0, LINES_BEFORE], lines=len(lines), blank_lines=0)
        self.plan = Plan(
            lines=len(lines),
            blank_lines=0,
            invalid=0,
            index_key="index",
            routes=routes,
            batches=[],
            first_errors=[],
        )
        self.files.put("numbering", msgspec.json.encode(numbering))
        self._put_plan()
        self.files.put("index", b"".join(msgspec.json.encode(each) + b"\n" for each in lines))
        self.files.put(self.job.key, b"".join(b"%-99d\n" % each.number for each in lines))

    def _put_plan(self) -> None:
        self.files.put(keys.plan_key(self.split.job, 1, 0), msgspec.json.encode(self.plan))

    def share(self, pairs: list[tuple[int, int]]) -> None:
        """Let lines share the requests of others: their places, and those of the others."""
        self.files.put("shared", array("I", chain.from_iterable(pairs)).tobytes())
        self.plan = msgspec.structs.replace(self.plan, shared_key="shared")
        self._put_plan()

    def add(self, members: list[int], results: bytes | None, max_bytes: int = 4_000, **changes: Any) -> Batch:
        """Add a batch of some lines with the text of its results; None for one that failed as a whole."""
        number = len(self.batches)
        batch = a_batch(
            number,
            BatchState.COLLECTED if results is not None else BatchState.FAILED,
            **{
                "requests": len(members),
                "members_key": f"members-{number}",
                "batch_id": f"batch_{number}",
                "ended_at": 1_800_000_000,
                "token": f"{number:016x}",
                **changes,
            },
        )
        self.files.put(batch.members_key, array("I", members).tobytes())
        if results is not None:
            prefix = f"results-{number}/"
            batch = batch.with_(collected_key=prefix)
            accounts = Accounts(batch, "test", max_bytes=max_bytes)
            self.files.put(raw_key(prefix, 0), results)
            for span in accounts.read([results], 0):
                accounts.read_rows(self.files.reader(raw_key(prefix, 0)), 0, span)
            self.files.put(index_key(prefix), accounts.collected.to_bytes())
        self.batches.append(batch)
        return batch

    def assemble(
        self,
        before: Callable[[Assembly], object] = lambda _: None,
        *,
        piece_bytes: int = 2**30,
        spool_bytes: int = 2**30,
        has_time: Callable[[], bool] = lambda: True,
    ) -> dict[str, bytes]:
        """What a whole assembly writes, run after run; `before` each run it may change it."""
        services: Any = SimpleNamespace(
            files=self.files,
            store=SimpleNamespace(batches=lambda *_: self.batches),
            settings=SimpleNamespace(piece_bytes=piece_bytes, spool_bytes=spool_bytes),
            now=lambda: 1_800_000_000,
        )
        known, split = set(self.files.objects), self.split
        while split.assembled < len(self.lines):
            split = self._run(services, split, before, has_time)
        return {key: self.files.objects.pop(key) for key in sorted(set(self.files.objects) - known)}

    def _run(
        self, services: Any, split: Split, before: Callable[[Assembly], object], has_time: Callable[[], bool]
    ) -> Split:
        with tempfile.TemporaryDirectory() as folder, tempfile.TemporaryFile() as spool:
            assembly = Assembly(self.job, split, services, Path(folder), spool)
            before(assembly)
            part = assembly.run(has_time)
        split = split.with_(assembled=assembly.done, epoch=split.epoch + 1)
        self.files.put(f"{keys.attempt_prefix(split, 'assemble')}part", msgspec.json.encode(part))
        return split
