"""`skill install`: a file that explains the command to coding assistants."""

import hashlib
import re
from pathlib import Path
from typing import Annotated

from batchdrop import __version__
from cyclopts import Parameter

from batchdrop_cli.exit_codes import OK, WRONG_USE
from batchdrop_cli.say import say
from batchdrop_cli.user_errors import UserError

SKILL = Path(__file__).with_name("SKILL.md")
DEFAULT = Path(".claude/skills/batchdrop")
_NAME = "SKILL.md"
_MARK = re.compile(r"\n<!-- batchdrop \S+, sha256 ([0-9a-f]{64}) -->\n\Z")


def install(
    *,
    to: Annotated[Path, Parameter(help="The folder, or the file's own name.")] = DEFAULT,
    force: Annotated[
        bool, Parameter(negative="", help="Replace a file that was written or changed by others.")
    ] = False,
) -> int:
    path = to if to.suffix == ".md" else to / _NAME
    if path.exists() and not force and not _is_ours(path.read_bytes()):
        raise UserError(
            f"{path} exists and was written or changed by others: it is not overwritten. To replace it: --force",
            code=WRONG_USE,
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(skill_text(), encoding="utf-8")
    say(f"The skill is in {path}. Run the command again after an upgrade.")
    return OK


def skill_text() -> str:
    """The skill with a mark by which a later version knows that nobody changed it."""
    text = SKILL.read_text(encoding="utf-8")
    return f"{text}\n<!-- batchdrop {__version__}, sha256 {_digest(text)} -->\n"


def _is_ours(found: bytes) -> bool:
    text = found.decode(errors="replace")
    mark = _MARK.search(text)
    return mark is not None and mark[1] == _digest(text[: mark.start()])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
