"""What a dropped file is when it is no JSONL, told by its first bytes: thousands of broken lines would not say it."""

import codecs
from collections.abc import Iterator

import msgspec

from batchdrop.errors import Unprocessable

_HEAD_BYTES = 64 * 1024
_SAVE_AS_UTF8 = "save it as UTF-8"
_KINDS = (  # the first bytes, what they begin, and what to do
    (b"\x1f\x8b", "gzip", "name it .jsonl.gz"),
    (b"\x28\xb5\x2f\xfd", "zstd", "name it .jsonl.zst"),
    (b"BZh", "bzip2", "unpack it"),
    (b"\xfd7zXZ\x00", "xz", "unpack it"),
    (b"PK\x03\x04", "zip or an Excel workbook (.xlsx)", "unpack it, or export its rows as JSONL"),
    (b"\xd0\xcf\x11\xe0", "an old Excel workbook (.xls)", "export its rows as JSONL"),
    (b"PAR1", "Parquet", "export its rows as JSONL"),
    (codecs.BOM_UTF32_LE, "UTF-32", _SAVE_AS_UTF8),
    (codecs.BOM_UTF32_BE, "UTF-32", _SAVE_AS_UTF8),
    (codecs.BOM_UTF16_LE, "UTF-16", _SAVE_AS_UTF8),
    (codecs.BOM_UTF16_BE, "UTF-16", _SAVE_AS_UTF8),
    (b"{\0", "UTF-16", _SAVE_AS_UTF8),
    (b"\0{", "UTF-16", _SAVE_AS_UTF8),
)
_ARRAY = "The file is one JSON array: write one object a line, with no brackets around them and no commas between them."


def refuse_what_is_no_jsonl(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """The same bytes, when they begin as JSONL does.

    Raises:
        Unprocessable: They are another kind of file; the sentence says which, and what to do.
    """
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= _HEAD_BYTES:
            break
    reason = _other_kind(head)
    if reason is not None:
        raise Unprocessable(reason)
    yield head
    yield from chunks


def _other_kind(head: bytes) -> str | None:
    for magic, name, remedy in _KINDS:
        if head.startswith(magic):
            return f"The file looks like {name}, not like JSONL: {remedy}, and drop it again."
    return _ARRAY if _is_array(head.removeprefix(codecs.BOM_UTF8)) else None


def _is_array(head: bytes) -> bool:
    """Whether a JSON array begins here that is more than a line: a line that is one is that line's mistake only."""
    first, _, rest = head.lstrip().partition(b"\n")
    if not first.startswith(b"["):
        return False
    if _is_json(first):
        return not rest.strip()
    second, line_end, _ = rest.lstrip().partition(b"\n")
    return not (line_end and _is_json(second))


def _is_json(line: bytes) -> bool:
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.DecodeError, RecursionError):
        return False
    return True
