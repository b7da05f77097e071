"""How many tokens a request may be answered with, as far as it says so itself. Pure."""

import msgspec
from msgspec import Raw

from batchdrop.protocols import anthropic, openai

_NO_OUTPUT = frozenset({openai.EMBEDDINGS, openai.MODERATIONS})  # neither has any output tokens
_HIGHEST = 10**9  # tokens: no model writes so much, so that a larger number is no limit
_WRITE_ANSWERS = frozenset({openai.CHAT, openai.COMPLETIONS})


class Limits(msgspec.Struct, gc=False):
    """The parameters of a request that bound its output, as they are written; None for those that it does not name."""

    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    max_output_tokens: int | None = None
    n: int | None = None
    best_of: int | None = None


_decode = msgspec.json.Decoder(Limits).decode


def output_limit(body: Raw, endpoint: str) -> int | None:
    """The most output tokens of a request, over all the answers that it asks for; None where it names no limit.

    Args:
        body: As it is sent.
        endpoint: Where it is sent; whatever the line asked for, Anthropic's is `/v1/messages`.
    """
    return 0 if endpoint in _NO_OUTPUT else limit_of(_read(body), endpoint)


def limit_of(limits: Limits, endpoint: str) -> int | None:
    """The same of a request whose parameters are known."""
    if endpoint in _NO_OUTPUT:
        return 0
    if endpoint == anthropic.ENDPOINT:
        return _within(limits.max_tokens)
    if endpoint == openai.RESPONSES:
        return _within(limits.max_output_tokens)
    if endpoint not in _WRITE_ANSWERS:
        return None
    # A server that knows one of the two only keeps that one: the greater is the limit.
    named = _within(max(limits.max_completion_tokens or 0, limits.max_tokens or 0))
    return named and named * max(_within(limits.n) or 1, _within(limits.best_of) or 1)


def _read(body: Raw) -> Limits:
    """The limits of a request. A value that is no whole number makes them none: what comes of it is not known."""
    try:
        return _decode(body)
    except msgspec.ValidationError:
        return Limits()


def _within(number: int | None) -> int | None:
    return number if number is not None and 0 < number <= _HIGHEST else None
