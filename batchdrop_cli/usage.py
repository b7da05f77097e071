"""Wrong use in words: what was typed, what is wrong with it, and the help of the command that was meant."""

import shlex
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from cyclopts.exceptions import (
    CoercionError,
    CycloptsError,
    MissingArgumentError,
    UnknownCommandError,
    UnknownOptionError,
    UnusedCliTokensError,
    ValidationError,
)

from batchdrop_cli import groups
from batchdrop_cli.commands import COMMANDS
from batchdrop_cli.operating import COMMANDS as OPERATING

_SHOWN = 3  # of the arguments that are too many
_LONGEST = 60  # characters of a value


def describe_wrong_use(error: CycloptsError) -> str:
    """One sentence, and where to read on."""
    if isinstance(error, UnknownCommandError):
        return _unknown_command(error)
    text = " ".join(_problem(error).split()) or "This cannot be understood"
    end = "" if text.endswith((".", "?", "!")) else "."
    return f"{text}{end} See: {' '.join(['batchdrop', *(error.command_chain or ())])} --help"


def _unknown_command(error: UnknownCommandError) -> str:
    """The nearest command, and how to see all of them; no command's module is imported."""
    chain, typed = list(error.command_chain or ()), (error.unused_tokens or [""])[0]
    name = " ".join([*chain, typed])[:_LONGEST]
    if typed.startswith("-"):
        near, known = get_close_matches(typed, ("--help", "--version"), n=1), "option"
    else:
        near, known = _nearest(typed.lower(), chain), "command"
    meant = f' Did you mean "{near[0]}"?' if near else ""
    is_file = not chain and Path(typed).exists()
    file = f" To drop a file: batchdrop run {shlex.quote(typed)}." if is_file and not near else ""
    return f'There is no {known} "{name}".{meant}{file} All commands: {" ".join(["batchdrop", *chain])} --help'


def _nearest(typed: str, chain: Sequence[str]) -> list[str]:
    """The full name of the command that is nearest, by its whole name or its last word."""
    names = [*COMMANDS, *OPERATING, *groups.GROUPS_OF_COMMANDS]
    own = [name for name in names if name.split()[: len(chain)] == [*chain]] if chain else names
    known = {name.split()[-1]: name for name in own} | {name: name for name in own}
    return [known[each] for each in get_close_matches(typed, known, n=1)]


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


def _listed(words: Sequence[str]) -> str:
    shown = ", ".join(words[:_SHOWN])
    return shown if len(words) <= _SHOWN else f"{shown}, …"
