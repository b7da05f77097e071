"""Why a line goes to no provider, in words that say what to write instead. Pure."""

from collections.abc import Collection

from batchdrop.protocols.request_checks import LineProblem
from batchdrop.providers.config import Providers
from batchdrop.result_line import ErrorCode


def unknown_model(model: str, providers: Providers) -> LineProblem:
    shown = model if len(model) <= 100 else model[:100] + "…"  # noqa: PLR2004 - enough to recognise it by
    prefix, slash, _ = model.partition("/")
    known = ", ".join(providers)
    if slash:
        text = f'model "{shown}": no provider is named "{prefix[:50]}" and no pattern fits; configured: {known}'
        return LineProblem(ErrorCode.UNKNOWN_PROVIDER, text, route={"model": model})
    text = f'model "{shown}" fits no provider\'s patterns; write "<provider>/{shown}" (configured: {known})'
    return LineProblem(ErrorCode.UNKNOWN_MODEL, text, route={"model": model})


def provider_not_allowed(allowed: Collection[str], route: dict[str, str]) -> LineProblem:
    names = ", ".join(allowed) or "none"
    text = f"provider {route['provider']} is not allowed for files of this folder (allowed: {names})"
    return LineProblem(ErrorCode.PROVIDER_NOT_ALLOWED, text, route)
