"""Headers that a provider's every call carries beside the SDK's own: which may be given, and the key's place there."""

import re
from collections.abc import Mapping

_LONGEST = 4_000  # characters; servers take 8 kB of all headers together
_KEY = "{key}"  # stands for the key from the provider's secret
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")  # a token of RFC 9110
_VALUE = re.compile(r"[!-~]([ \t!-~]*[!-~])?")  # visible ASCII, with blanks inside
_NOT_GIVEN = {
    "anthropic-version": "set `api_version` instead",
    "anthropic-beta": "set `betas` instead",
    "idempotency-key": "a server would take all calls with the same value for one",
}
_OF_THE_CALL = re.compile(
    r"(accept|content|proxy|sec|x-stainless)-.*"
    r"|accept|connection|expect|host|keep-alive|range|te|trailer|transfer-encoding|upgrade"
)
_SECRET = re.compile(r"(.*[-_])?(keys?|tokens?|secrets?|passwords?|credentials?|authorization|cookie)")


def describe_header_error(name: str, value: str) -> str | None:
    """Return why a header cannot be given, or None; no value is in it, since it may be a key."""
    if not _NAME.fullmatch(name):
        return "not the name of a header"
    if len(value) > _LONGEST or not _VALUE.fullmatch(value):
        return f"its value is not visible ASCII{f', up to {_LONGEST:,} characters' if len(value) > _LONGEST else ''}"
    lower = name.lower()
    if lower in _NOT_GIVEN:
        return _NOT_GIVEN[lower]
    if _OF_THE_CALL.fullmatch(lower):
        return "each call sets it itself"
    if _SECRET.fullmatch(lower) and _KEY not in value:
        return f'do not put keys in this file: store the key in the secret, and write "{_KEY}" where it goes'
    return None


def filled(headers: Mapping[str, str], key: str) -> dict[str, str]:
    """The headers as they are sent."""
    return {name: value.replace(_KEY, key) for name, value in headers.items()}
