"""Reads an object as JSONL, inflated where it is compressed, and made of rows where it is a table."""

from collections.abc import Collection, Iterator

from batchdrop.aws import keys
from batchdrop.errors import Unprocessable
from batchdrop.inputs.compression import inflate
from batchdrop.inputs.tables import to_jsonl


def read_source(
    chunks: Iterator[bytes], key: str, *, max_bytes: int, delimiter: str | None = None, columns: Collection[str] = ()
) -> Iterator[bytes]:
    """The lines of an object whose key says that it is compressed, a table, or both.

    Args:
        chunks: Its bytes.
        key: Its key.
        max_bytes: The most that may come of it.
        delimiter: What separates a table's cells; None for what its name says.
        columns: Those that a table must have.

    Raises:
        Unprocessable: It cannot be read, or becomes too large.
    """
    if keys.is_compressed(key):
        chunks = inflate(chunks, key, max_bytes=max_bytes)
    default = keys.table_delimiter(key)
    if default is None:
        return chunks
    return _bounded(to_jsonl(chunks, delimiter=delimiter or default, columns=columns), max_bytes)


def _bounded(pieces: Iterator[bytes], max_bytes: int) -> Iterator[bytes]:
    size = 0
    for piece in pieces:
        size += len(piece)
        if size > max_bytes:
            raise Unprocessable(
                f"The table's rows become more than {max_bytes:,} bytes of JSON, more than one run can process: split "
                "it into several files."
            )
        yield piece
