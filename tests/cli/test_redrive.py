"""Dead letters are listed, asked about, and sent back to the queue that they came from."""

import io
import json
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest
from faking.parts import Parts, stack_with_parts

if TYPE_CHECKING:
    from conftest import Aws, Run

BODIES = [
    {"job": "j1", "split": 0},
    {"job": "j2", "batch": "00000-0-0001"},
    {"time": "2026-11-05T09:14:12Z", "detail": {"object": {"key": "input/a.jsonl"}}},
    {"job": "\x1b[31m\u202ej3"},
]
REDRIVEN = {"redriven": {"DataType": "Number", "StringValue": "3"}}


@pytest.fixture
def parts(aws: "Aws", monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    assert aws.keys() == []
    with stack_with_parts(monkeypatch) as found:
        yield found


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> "Terminal":
    typed = Terminal()
    monkeypatch.setattr("sys.stdin", typed)
    return typed


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True

    def type(self, text: str) -> None:
        self.write(text)
        self.seek(0)


def fail(parts: Parts, *bodies: object) -> None:
    for body in bodies:
        parts.sqs.send_message(QueueUrl=parts.dead_letters, MessageBody=json.dumps(body), MessageAttributes=REDRIVEN)


def lying_in(parts: Parts, queue: str) -> list[Any]:
    answer = parts.sqs.receive_message(
        QueueUrl=queue, MaxNumberOfMessages=10, VisibilityTimeout=0, MessageAttributeNames=["All"]
    )
    return answer.get("Messages", [])


def bodies(parts: Parts, queue: str) -> list[object]:
    return sorted((json.loads(each["Body"]) for each in lying_in(parts, queue)), key=str)


def test_letters_go_back_as_they_were(run: "Run", parts: Parts) -> None:
    fail(parts, *BODIES)
    ran = run("redrive", "--yes")
    assert (ran.code, ran.err) == (0, "4 letters sent again. See: batchdrop doctor\n")
    assert bodies(parts, parts.queue) == sorted(BODIES, key=str)
    assert bodies(parts, parts.dead_letters) == []
    attributes = lying_in(parts, parts.queue)[0]["MessageAttributes"]
    assert attributes["redriven"]["StringValue"] == "3"


def test_more_than_one_call_takes_are_all_sent(run: "Run", parts: Parts) -> None:
    fail(parts, *({"job": str(number)} for number in range(23)))
    assert run("redrive", "--yes").err == "23 letters sent again. See: batchdrop doctor\n"


def test_what_they_are_about_is_listed(run: "Run", parts: Parts) -> None:
    fail(parts, *BODIES)
    listed = json.loads(run("redrive", "--yes", "--json").out)
    assert sorted((each["step"], each["job"] or "", each["unit"] or "", each["key"] or "") for each in listed) == [
        ("plan", "", "", "input/a.jsonl"),
        ("plan", "\x1b[31m\u202ej3", "", ""),
        ("plan", "j1", "part 0", ""),
        ("plan", "j2", "00000-0-0001", ""),
    ]


def test_what_others_wrote_is_shown_escaped(run: "Run", parts: Parts) -> None:
    fail(parts, *BODIES)
    out = run("redrive", "--yes").out
    assert "\\x1b[31m\\u202ej3" in out
    assert ("\x1b" in out, "\u202e" in out) == (False, False)


def test_nobody_is_asked_in_a_pipe_and_nothing_is_changed(
    run: "Run", parts: Parts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    fail(parts, BODIES[0])
    ran = run("redrive")
    assert (ran.code, ran.err) == (2, "To send them again: batchdrop redrive --yes\n")
    assert bodies(parts, parts.dead_letters) == [BODIES[0]]


@pytest.mark.parametrize(("answer", "left"), [("n\n", [BODIES[0]]), ("y\n", [])])
def test_on_a_terminal_it_asks(run: "Run", parts: Parts, terminal: Terminal, answer: str, left: list[object]) -> None:
    fail(parts, BODIES[0])
    terminal.type(answer)
    assert run("redrive").code == len(left)
    assert bodies(parts, parts.dead_letters) == left


@pytest.mark.usefixtures("parts")
def test_where_there_are_none_it_says_so(run: "Run") -> None:
    assert run("redrive") == (0, "", "There are no dead letters.\n")
    assert run("redrive", "--json") == (0, "[]\n", "There are no dead letters.\n")


def test_ctrl_d_is_a_no_and_the_letters_are_released(run: "Run", parts: Parts, terminal: Terminal) -> None:
    fail(parts, *BODIES)
    assert terminal.getvalue() == ""
    ran = run("redrive")
    assert (ran.code, ran.err.splitlines()[-1]) == (1, "Nothing was changed.")
    assert len(bodies(parts, parts.dead_letters)) == len(BODIES)
