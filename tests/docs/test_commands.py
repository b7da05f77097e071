"""Every `batchdrop` command that a page shows is one that the command line takes, with options that it has.

What the commands then do is held by tests/cli, and for the README's by tests/cli/test_readme.py and tests/e2e.
"""

import re
import shlex

import pytest
from faking.readme import ROOT

from batchdrop_cli.application import app

_FENCED = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`(batchdrop [a-z][^`\n]*)`")
_COMMAND = re.compile(r"^(?:\.venv/bin/)?batchdrop ([a-z].*)")
_ENDS = ("  #", ";", " | ", " > ")
_ELLIPSIS = "…"


def _shown() -> list[tuple[str, str]]:
    pages = [*(ROOT / "docs").glob("*.md"), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "examples/README.md"]
    found = set()
    for page in pages:
        text = page.read_text(encoding="utf-8")
        lines = [line for block in _FENCED.findall(text) for line in block.splitlines()]
        for line in [*lines, *_INLINE.findall(text)]:
            command = _COMMAND.search(line)
            if command and _ELLIPSIS not in line:
                found.add((page.name, _until_end(command[1])))
    return sorted(found)


def _until_end(line: str) -> str:
    """The command without its comment, and without what a shell does after it."""
    for end in _ENDS:
        line = line.partition(end)[0]
    return line.strip()


@pytest.mark.parametrize(("page", "line"), _shown())
def test_a_command_that_a_page_shows_can_be_typed(page: str, line: str) -> None:
    words = shlex.split(line)
    named, _, rest = app.parse_commands(words)
    assert named, f"{page} names a command that is not there"
    if rest:  # otherwise the page only names it
        app.parse_args(words, exit_on_error=False, print_error=False)
