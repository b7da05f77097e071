"""Text from elsewhere never reaches a terminal as anything but text."""

import json
import sys
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
from batchdrop.records import Job
from batchdrop.states import JobState

from batchdrop_cli.escapes import escape, escape_json
from batchdrop_cli.job_logs import LoggedLine, say_logged
from batchdrop_cli.say import wrap

if TYPE_CHECKING:
    from conftest import Aws, Run

HOSTILE = "\x1b]0;owned\x07 \x9b31m \u202egnp.exe\u2066 a\r\nJob x completed \u2028 \U000e0041 \x7f"
SHOWN = "\\x1b]0;owned\\x07 \\x9b31m \\u202egnp.exe\\u2066 a\\r\\nJob x completed \\u2028 \\U000e0041 \\x7f"


def is_obeyed(character: str) -> bool:
    """Whether a terminal does something else than show it, or does not show it; the layout of JSON aside."""
    category, direction = unicodedata.category(character), unicodedata.bidirectional(character)
    bidi = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}
    return category in {"Cc", "Zl", "Zp", "Cs"} or direction in bidi or character in "\u200e\u200f\u061c\ufeff\u200b"


def test_whatever_a_terminal_obeys_or_hides_is_shown_and_all_else_is_as_it_was() -> None:
    everything = [chr(number) for number in range(sys.maxunicode + 1)]
    obeyed = [each for each in everything if is_obeyed(each)]
    assert [each for each in obeyed if not escape(each).isascii()] == []
    assert [each for each in obeyed if each != "\n" and not escape_json(each).isascii()] == []
    kept = ("Grüße", "שלום", "\u0646\u200c\u062e", "👩\u200d🔬", "漢字 \\x1b")
    assert [each for each in kept if escape(each) != each] == []
    assert (escape(HOSTILE), escape(SHOWN)) == (SHOWN, SHOWN)


@pytest.mark.parametrize("text", [HOSTILE, "\ud800", "\x00\x85\U000e0020", "plain"])
def test_escaped_json_is_of_the_same_value(text: str) -> None:
    written = escape_json(json.dumps({text: text}, ensure_ascii=False, indent=2))
    assert json.loads(written) == {text: text}
    assert [each for each in written.replace("\n", "") if is_obeyed(each)] == []


def test_a_broken_line_is_escaped_too() -> None:
    assert "".join(wrap(HOSTILE, 400)) == SHOWN


@pytest.mark.parametrize("arguments", [("show", "latest"), ("jobs",), ("wait", "latest"), ("watch", "latest")])
@pytest.mark.parametrize("width", [None, 80, 300])
def test_keys_and_reasons_of_others_are_shown_escaped(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], arguments: tuple[str, ...], width: int | None
) -> None:
    aws.store.add(a_job(state=JobState.FAILED, key=f"input/{HOSTILE}.jsonl", reason=HOSTILE))
    said = run(*arguments, width=width)
    assert "]0;owned" in said.out + said.err
    assert [each for each in f"{said.out}{said.err}" if each != "\n" and is_obeyed(each)] == []
    assert "\nJob x completed" not in f"{said.out}{said.err}"


def test_a_hostile_reason_is_escaped_by_the_doctor(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    aws.store.add(a_job(state=JobState.HELD, reason=HOSTILE))
    said = run("doctor").out
    assert SHOWN in said
    assert [each for each in said if each != "\n" and is_obeyed(each)] == []


@pytest.mark.parametrize("width", [None, 80])
def test_a_hostile_log_line_is_escaped(capsys: pytest.CaptureFixture[str], width: int | None) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", str(width)) if width else patch.delenv("COLUMNS", raising=False)
        say_logged(LoggedLine(at="", step="plan", level="INFO", message=HOSTILE, details={HOSTILE: HOSTILE}))
    said = capsys.readouterr().out
    assert "]0;owned" in said
    assert [each for each in said if each != "\n" and is_obeyed(each)] == []


def test_json_of_a_hostile_job_holds_no_control_characters(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    aws.store.add(a_job(key=f"input/{HOSTILE}.jsonl"))
    out = run("jobs", "--json").out
    assert [each for each in out.replace("\n", "") if is_obeyed(each)] == []
    assert json.loads(out)[0]["key"] == f"input/{HOSTILE}.jsonl"
