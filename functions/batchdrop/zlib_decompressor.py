"""zlib's decompressor in the shape of zstd's own, so that one loop reads members of either."""

import zlib

GZIP, ZLIB, DEFLATE = 31, 15, -15  # window bits: of gzip, whose checksums are checked; of zlib; of bare deflate


class ZlibDecompressor:
    """One member; `eof`, `needs_input`, `unused_data` and `decompress` are those of bz2, lzma and zstd."""

    def __init__(self, window_bits: int) -> None:
        self._zlib = zlib.decompressobj(window_bits)

    @property
    def eof(self) -> bool:
        return self._zlib.eof

    @property
    def needs_input(self) -> bool:
        return not self._zlib.unconsumed_tail

    @property
    def unused_data(self) -> bytes:
        return self._zlib.unused_data

    def decompress(self, data: bytes, max_length: int) -> bytes:
        return self._zlib.decompress(self._zlib.unconsumed_tail + data, max_length)
