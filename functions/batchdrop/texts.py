"""Texts from outside, cut to what a row, an event, a header, a metric or a sentence has room for."""

_ELLIPSIS = "…"


def cut(text: str, max_bytes: int) -> str:
    """The text where it has at most `max_bytes` bytes in UTF-8, else as many whole characters as fit before an "…".

    Half of a surrogate pair, which UTF-8 cannot hold, becomes "?".
    """
    if len(text) <= max_bytes and text.isascii():
        return text
    written = text[: max_bytes + 1].encode(errors="replace")
    if len(written) <= max_bytes:
        return written.decode()
    return written[: max_bytes - len(_ELLIPSIS.encode())].decode(errors="ignore") + _ELLIPSIS
