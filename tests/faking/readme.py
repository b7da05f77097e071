"""The commands that the README shows, as a reader would type them."""

import re
import shlex
from pathlib import Path

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
_COMMAND = ".venv/bin/batchdrop "


def shell_lines() -> list[str]:
    """Every command line of the README, without its comment."""
    blocks = re.findall(r"```sh\n(.*?)```", README, re.DOTALL)
    lines = [line.partition("  #")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


def commands(*, on_aws: bool) -> list[list[str]]:
    """The words of each `batchdrop` command, in their order: those for AWS, or those for the local cloud."""
    found = [line.removeprefix(_COMMAND) for line in shell_lines() if line.startswith(_COMMAND)]
    return [shlex.split(line) for line in found if ("--aws" in line) is on_aws]
