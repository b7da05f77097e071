"""Answers that are compressed: as the vendors do where the client takes it, and as some servers do where not."""

import zlib
from collections.abc import Iterator

from werkzeug.wrappers import Request, Response

_WINDOWS = {"gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


def compressed(response: Response, request: Request) -> Response:
    """The same answer, as gzip where the client takes it; a part of a file stays as it is."""
    takes_it = request.accept_encodings.quality("gzip") > 0 and "gzip" in request.headers.get("Accept-Encoding", "")
    is_plain = response.status_code == 200 and "Content-Encoding" not in response.headers  # noqa: PLR2004 - not a part
    return encoded(response, "gzip") if takes_it and is_plain else response


def encoded(response: Response, encoding: str) -> Response:
    """The same answer under a content encoding; under one that nobody knows, its bytes are as they were."""
    response.headers["Content-Encoding"] = encoding
    if encoding in _WINDOWS:
        response.headers.remove("Content-Length")
        response.headers.remove("Accept-Ranges")
        response.response = _deflated(response.iter_encoded(), _WINDOWS[encoding])
    return response


def _deflated(pieces: Iterator[bytes], window: int) -> Iterator[bytes]:
    packer = zlib.compressobj(wbits=window)
    for piece in pieces:
        yield packer.compress(piece)
    yield packer.flush()
