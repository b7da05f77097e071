"""Writes an output of a split in sealed pieces."""

from pathlib import Path
from typing import BinaryIO

from batchdrop.outputs.sealed_parts import Sealed
from batchdrop.services import Services

_WRITE_BUFFER = 256 * 1024


class SplitOutput:
    """An output of the split in one or more sealed pieces, each on disk until it is whole."""

    def __init__(self, folder: Path, name: str, prefix: str, services: Services, piece_bytes: int) -> None:
        self._folder, self._name, self._prefix, self._services = folder, name, prefix, services
        self._piece_bytes = piece_bytes
        self.sealed: list[Sealed] = []
        self._open()

    def _open(self) -> None:
        self._path = self._folder / f"{self._name}-{len(self.sealed)}"
        self._file: BinaryIO = self._path.open("wb", buffering=_WRITE_BUFFER)
        self._bytes = self._lines = self._first = self._last = 0

    def write(self, line: bytes, number: int = 0) -> None:
        if self._bytes >= self._piece_bytes:
            self.seal()
            self._open()
        self._file.write(line)
        self._bytes += len(line)
        self._lines += 1
        self._first = self._first or number
        self._last = number

    def write_head(self, text: bytes) -> None:
        """Write what stands before the first line, and is none."""
        self._file.write(text)
        self._bytes += len(text)

    def write_lines(self, text: bytes, numbers: list[int]) -> None:
        """Write whole lines, each with its number, as `write` does one after the other."""
        if len(numbers) == 1:
            self.write(text, numbers[0])
            return
        if self._bytes + len(text) > self._piece_bytes:
            for line, number in zip(text.removesuffix(b"\n").split(b"\n"), numbers, strict=True):
                self.write(line + b"\n", number)
            return
        self._file.write(text)
        self._bytes += len(text)
        self._lines += len(numbers)
        self._first = self._first or numbers[0]
        self._last = numbers[-1]

    def seal(self) -> None:
        """Write what was written since the last piece to an object; nothing is no piece."""
        self._file.close()
        if not self._bytes:
            self._path.unlink()
            return
        key = f"{self._prefix}{self._name}-{len(self.sealed):05}.jsonl"
        self._services.files.put(key, self._path)
        self._path.unlink()
        self.sealed.append(
            Sealed(key=key, bytes=self._bytes, lines=self._lines, first_line=self._first, last_line=self._last)
        )
