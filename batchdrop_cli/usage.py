"""Wrong use in words: what was typed, what is wrong with it, and the help of the command that was meant."""

from collections.abc import Sequence

from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

_SHOWN = 3  # of the arguments that are too many


def describe_wrong_use(error: CycloptsError) -> str:
    """One sentence, and where to read on."""
    text = " ".join(_problem(error).split()) or "This cannot be understood"
    end = "" if text.endswith((".", "?", "!")) else "."
    return f"{text}{end} See: {' '.join(['batchdrop', *(error.command_chain or ())])} --help"


def _problem(error: CycloptsError) -> str:
    name = _name(error)
    match error:
        case UnusedCliTokensError():
            return f"Too many arguments: {_listed(error.unused_tokens or [])}"
        case UnknownOptionError(token=token) if (token.keyword or token.value) == "-":
            return "Standard input is not read: name a file"
        case MissingArgumentError() if name is not None:
            return f"{name} is missing" if not name.startswith("-") else f"{name} needs a value"
        case ValidationError() if name is not None and error.exception_message:
            return f"{name} {error.exception_message}, not {_value(error)}"
        case CoercionError(token=token) if name is not None and token is not None and error.target_type is int:
            return f"{name} must be a whole number, not {token.value}"
        case _:
            return str(error)


def _name(error: CycloptsError) -> str | None:
    """The option as it is typed, or the argument as the help names it."""
    argument = error.argument
    if argument is None:
        return None
    typed = argument.tokens[0].keyword if argument.tokens else None
    return typed or (argument.name if argument.show and argument.name.startswith("--") else argument.name.lstrip("-"))


def _value(error: ValidationError) -> str:
    value = str(error.argument.value if error.argument is not None else "")
    return (value if len(value) <= _LONGEST else f"{value[:_LONGEST]}…") if value.strip() else "empty"


_LONGEST = 60  # characters of a value


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(words[:_SHOWN])
    return shown if len(words) <= _SHOWN else f"{shown}, …"
