"""Single requests become a file: gathered by count, bytes and seconds, dropped, and each answered from its job.

All of it but the drop and the reading of results runs in the loop of who asks.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any
from uuid import uuid4

from batchdrop_client.errors import RequestFailed
from batchdrop_client.job import Job
from batchdrop_client.results import Result
from batchdrop_client.sources import encode_line

logger = logging.getLogger("batchdrop.client")

_NONE: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Gather:
    """When gathered requests are dropped: whichever comes first.

    Attributes:
        count: Requests of a file.
        bytes: Of a file; one request may have more.
        seconds: After its first request.
        folder: Where the files go, under `input/`.
        settings: Those of a `batchdrop.toml` for these files, such as `budget_usd`.
    """

    count: int = 1_000
    bytes: int = 8 * 1024 * 1024
    seconds: float = 10.0
    folder: str = "input/asked/"
    settings: Mapping[str, Any] = field(default_factory=lambda: _NONE)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    line: bytes
    answer: asyncio.Future[Result]


type _Put = Callable[[bytes, str, Mapping[str, Any]], Job]


class Gatherer:
    """Gathers for one loop at a time. `jobs` are the ids of what was dropped."""

    def __init__(self, put: _Put, limits: Gather) -> None:
        self.jobs: list[str] = []
        self._put, self._limits = put, limits
        self._loop: asyncio.AbstractEventLoop | None = None
        self._is_over = False
        self._forget()

    def begin(self) -> None:
        """Gather, if again: a block of the client begins."""
        self._is_over = False

    def _forget(self) -> None:
        self._gathered: list[_Asked] = []
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None
        self._flights: set[asyncio.Task[None]] = set()

    async def ask(self, body: Mapping[str, Any]) -> Result:
        """The answer of one request.

        Raises:
            RequestFailed: It has none.
            RuntimeError: The client's block is over, or another loop uses the client.
            TypeError, ValueError: It holds what JSON does not.
        """
        if self._is_over:
            raise RuntimeError("The client's `async with` block is over: ask within it, or begin another one.")
        loop = self._enter(asyncio.get_running_loop())
        line = encode_line({"custom_id": f"ask-{uuid4().hex}", **body}, "The request")
        asked = _Asked(line=line, answer=loop.create_future())
        if self._gathered and self._bytes + len(line) > self._limits.bytes:
            self._drop()
        self._gathered.append(asked)
        self._bytes += len(line)
        if len(self._gathered) >= self._limits.count or self._bytes >= self._limits.bytes:
            self._drop()
        elif self._timer is None:
            self._timer = loop.call_later(self._limits.seconds, self._drop)
        result = await asked.answer
        if result.error is not None:
            raise RequestFailed(result)
        return result

    def _enter(self, loop: asyncio.AbstractEventLoop) -> asyncio.AbstractEventLoop:
        """Be this loop's; what belonged to one that is closed has ended with it."""
        if self._loop is not loop:
            if self._loop is not None and not self._loop.is_closed() and (self._gathered or self._flights):
                raise RuntimeError("Another event loop waits for answers of this client: make one for each loop.")
            self._forget()
            self._loop = loop
        return loop

    def _drop(self) -> None:
        """Begin a file with what is gathered, but for what nobody waits for any more."""
        waiting = [asked for asked in self._take() if not asked.answer.done()]
        if waiting and self._loop is not None:
            flight = self._loop.create_task(self._answer(waiting))
            self._flights.add(flight)
            flight.add_done_callback(lambda _: self._land(flight, waiting))

    def _take(self) -> Sequence[_Asked]:
        """Take the gathered requests; none are left."""
        gathered, self._gathered, self._bytes = self._gathered, [], 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        return gathered

    async def _answer(self, asked: Sequence[_Asked]) -> None:
        """Drop a file, wait for its job, and answer everybody, if only with what went wrong."""
        try:
            job = await asyncio.to_thread(self._put_file, b"".join(each.line for each in asked))
            await job.wait_async()
            results = await asyncio.to_thread(lambda: {result.line: result for result in job.results()})
            for line, each in enumerate(asked, start=1):
                _settle(each.answer, results[line])
        except Exception as error:  # noqa: BLE001 - whatever it is, who asked must learn it
            for each in asked:
                _settle(each.answer, error)

    def _land(self, flight: asyncio.Task[None], asked: Sequence[_Asked]) -> None:
        """End who still waits: the flight was cancelled, perhaps before it began."""
        self._flights.discard(flight)
        for each in asked:
            each.answer.cancel()

    def _put_file(self, lines: bytes) -> Job:
        """In a thread, which ends whatever becomes of the loop: the job of what was uploaded is always known."""
        key = f"{self._limits.folder}{uuid4().hex}.jsonl"
        job = self._put(lines, key, {"on_invalid": "skip", **self._limits.settings})
        self.jobs.append(job.id)
        logger.info("asked: job %s", job.id)
        return job

    async def finish(self) -> None:
        """Drop what is gathered, and wait until all is answered, and what is asked meanwhile; then gather no more."""
        try:
            await asyncio.sleep(0)  # tasks that were made and have not begun ask now
            while self._gathered or self._flights:
                self._drop()
                if self._flights:
                    await asyncio.wait(self._flights)
        finally:
            await self.abandon()

    async def abandon(self) -> None:
        """Gather and drop nothing more and wait for nothing; what was dropped goes on."""
        self._is_over = True
        for asked in self._take():
            asked.answer.cancel()
        flights = list(self._flights)
        for flight in flights:
            flight.cancel()
        await asyncio.gather(*flights, return_exceptions=True)


def _settle(answer: asyncio.Future[Result], found: Result | Exception) -> None:
    if answer.done():  # nobody waits any more
        return
    if isinstance(found, Exception):
        answer.set_exception(found)
    else:
        answer.set_result(found)
