"""The command: all its commands under one name, and the one place where every error ends.

The command's modules, and the SDKs with them, are imported when it is called: `--help` needs none of them.
"""

from collections.abc import Callable, Sequence
from typing import Any

from batchdrop import __version__
from cyclopts import App, Group, Parameter

from batchdrop_cli import commands, exit_codes, groups, operating

_EXIT_CODES = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in exit_codes.MEANINGS.items()) + "."

_groups = {name: Group(name, sort_key=number) for number, name in enumerate((*groups.GROUPS, "More"))}


def _default_shown(value: object) -> str | None:
    """A default that says something: of a flag, and of a path, the help says it."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


app = App(
    name="batchdrop",
    help="Drop a JSONL file of LLM requests; the answers come back beside it, in order, at half price.",
    help_epilogue=f"{_EXIT_CODES}\n\n{groups.BEGIN}",
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
    default_parameter=Parameter(show_default=_default_shown),
)


def _placed(name: str) -> dict[str, Any]:
    return {"group": _groups[groups.group_of(name) or "More"], "sort_key": groups.place_of(name)}


for _name, _help in groups.GROUPS_OF_COMMANDS.items():
    app.command(App(name=_name, help=_help, help_epilogue="", **_placed(_name)))
for _name in ("--help", "--version"):
    app[_name].group = _groups["More"]


def _paragraphs(text: str) -> str:
    """Each paragraph as one line: the console's width cuts it."""
    return "\n\n".join(" ".join(each.split()) for each in text.split("\n\n"))


for _name, (_path, _help) in {**commands.COMMANDS, **operating.COMMANDS}.items():
    *_group, _last = _name.split()
    _shown = {"help_epilogue": exit_codes.endings_of(_name)} | ({} if _group else _placed(_last))
    (app[_group[0]] if _group else app).command(f"batchdrop_cli.{_path}", name=_last, help=_paragraphs(_help), **_shown)


def run(arguments: Sequence[str] | None, *, begin: Callable[[], None]) -> int:
    """Run the command; the exit code, as `exit_codes` has it. `begin` is called once its modules are imported."""
    from batchdrop_cli import say  # noqa: PLC0415 - brings rich, which takes a while

    try:
        console = say.Patient()
        command, bound, _ = app.parse_args(arguments, console=console, exit_on_error=False, print_error=False)
        begin()
        code = command(*bound.args, **bound.kwargs)
        return code if isinstance(code, int) else exit_codes.OK
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a sentence
        from batchdrop_cli import user_errors  # noqa: PLC0415 - AWS's errors bring its SDK with them

        text, code = user_errors.sentence(error)
        say.note(text, style="red")
        return code
