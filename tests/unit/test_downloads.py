"""A provider's download that is cut goes on where it stopped, as long as it gets on."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import pytest
from batchdrop.errors import Transient
from batchdrop.providers.answers import whole_stream

WHOLE = bytes(range(256)) * 10


class Server:
    """Sends `after` bytes of an answer, then cuts it; `takes_offsets` says whether it begins where it is asked to."""

    def __init__(self, *, after: int, takes_offsets: bool = True) -> None:
        self.after, self.takes_offsets = after, takes_offsets
        self.calls = 0

    @contextmanager
    def opened(self, at: int) -> Iterator[httpx2.Response]:
        self.calls += 1
        at = at if self.takes_offsets else 0
        yield httpx2.Response(206 if at else 200, stream=Cut(WHOLE[at : at + self.after], self.after))


class Cut(httpx2.SyncByteStream):
    def __init__(self, piece: bytes, after: int) -> None:
        self._piece, self._after = piece, after

    def __iter__(self) -> Iterator[bytes]:
        yield self._piece
        if len(self._piece) == self._after:
            raise httpx2.ReadError("cut")


Opened = Callable[[int], AbstractContextManager[httpx2.Response]]


def read(opened: Opened) -> bytes:
    return b"".join(whole_stream(opened, (httpx2.TransportError,)))


def test_a_download_that_gets_on_is_never_cut_too_often() -> None:
    server = Server(after=100)
    assert read(server.opened) == WHOLE
    assert server.calls == 26


def test_a_download_that_gets_no_further_is_left_for_later() -> None:
    server = Server(after=100, takes_offsets=False)
    with pytest.raises(Transient, match="cut 5 times at byte 100"):
        read(server.opened)
    assert server.calls == 6
