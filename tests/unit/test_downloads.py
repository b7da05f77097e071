"""A provider's download that is cut goes on where it stopped, as long as it gets on."""

import gzip
import random
import zlib
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

import httpx2
import pytest
from backports import zstd
from batchdrop.errors import Transient, Undecodable
from batchdrop.providers.http_errors import resumable_stream

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


Open = Callable[[int], AbstractContextManager[httpx2.Response]]


def read(opened: Open) -> bytes:
    return b"".join(resumable_stream(opened, (httpx2.TransportError,)))


def test_a_download_that_gets_on_is_never_cut_too_often() -> None:
    server = Server(after=100)
    assert read(server.opened) == WHOLE
    assert server.calls == 26


def test_a_download_that_gets_no_further_is_left_for_later() -> None:
    server = Server(after=100, takes_offsets=False)
    with pytest.raises(Transient, match="cut 5 times at byte 100"):
        read(server.opened)
    assert server.calls == 6


ROWS = random.Random(7).randbytes(20_000) * 5  # noqa: S311 - the same each time


def bare_deflate(text: bytes) -> bytes:
    deflating = zlib.compressobj(wbits=-15)
    return deflating.compress(text) + deflating.flush()


def members(text: bytes) -> bytes:
    return gzip.compress(text[:5_000], mtime=0) + gzip.compress(text[5_000:], mtime=0)


ENCODINGS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": lambda text: gzip.compress(text, mtime=0),
    "x-gzip": members,
    "deflate": zlib.compress,
    "Deflate": bare_deflate,
    "zstd": zstd.compress,
    "identity": lambda text: text,
    "": lambda text: text,
    "deflate, gzip": lambda text: gzip.compress(zlib.compress(text), mtime=0),
}


class Compressing(Server):
    """Sends its answer compressed, whatever is asked, and notes where it was asked to begin."""

    def __init__(self, encoding: str, *, body: bytes | None = None, cuts: tuple[int, ...] = ()) -> None:
        super().__init__(after=0)
        self.encoding, self.cuts = encoding, list(cuts)
        self.body = ENCODINGS[encoding](ROWS) if body is None else body
        self.offsets: list[int] = []

    @contextmanager
    def opened(self, at: int) -> Iterator[httpx2.Response]:
        self.offsets.append(at)
        after = self.cuts.pop(0) if self.cuts else len(self.body) + 1
        stream = Cut(self.body[at : at + after], after)
        yield httpx2.Response(206 if at else 200, headers={"Content-Encoding": self.encoding}, stream=stream)


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_compressed_unasked_is_decoded(encoding: str) -> None:
    assert read(Compressing(encoding).opened) == ROWS


@pytest.mark.parametrize("encoding", ENCODINGS)
def test_what_is_compressed_and_cut_is_read_from_its_start_again(encoding: str) -> None:
    server = Compressing(encoding, cuts=(3_000, 9_000, 12_000))
    assert read(server.opened) == ROWS
    is_plain = encoding in {"identity", ""}
    assert any(server.offsets) == is_plain


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "Deflate", "zstd"])
def test_what_is_compressed_and_ends_too_early_is_left_for_later(encoding: str) -> None:
    with pytest.raises(Transient, match="cut 5 times"):
        read(Compressing(encoding, body=ENCODINGS[encoding](ROWS)[:-9]).opened)


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])  # the others have no checksum, or need none
def test_what_is_compressed_and_spoilt_is_left_for_later(encoding: str) -> None:
    body = ENCODINGS[encoding](ROWS)
    with pytest.raises(Transient, match="cut 5 times"):
        read(Compressing(encoding, body=body[:50] + bytes(9) + body[59:]).opened)


@pytest.mark.parametrize("encoding", ["br", "compress", "gzip, br", "x" * 500])
def test_what_cannot_be_decoded_is_refused_by_its_name(encoding: str) -> None:
    with pytest.raises(Undecodable, match="compressed") as raised:
        read(Compressing(encoding, body=b"x").opened)
    assert len(str(raised.value)) < 150


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "zstd"])
def test_a_little_that_becomes_much_comes_in_small_pieces(encoding: str) -> None:
    body = ENCODINGS[encoding](bytes(50_000_000))
    longest = max(len(piece) for piece in resumable_stream(Compressing(encoding, body=body).opened, ()))
    assert longest <= 256 * 1024


def test_an_empty_body_may_be_called_compressed() -> None:
    assert read(Compressing("gzip", body=b"").opened) == b""


class Changing(Compressing):
    """Plain at first, and cut; compressed from then on, whatever part is asked for."""

    @contextmanager
    def opened(self, at: int) -> Iterator[httpx2.Response]:
        if not self.offsets:
            self.offsets.append(at)
            yield httpx2.Response(200, stream=Cut(ROWS[:500], 500))
            return
        with super().opened(at) as response:
            yield response


def test_a_part_of_what_is_compressed_is_never_put_behind_what_was_not() -> None:
    server = Changing("gzip")
    assert read(server.opened) == ROWS
    assert server.offsets == [0, 500, 0]
