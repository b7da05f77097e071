import json
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from faking.cloud import jsonl
from faking.lines import capped
from httpx import Response
from starlette.testclient import TestClient

from batchdrop_console.pages import READ_ONLY
from batchdrop_console.uploads import Uploads

if TYPE_CHECKING:
    from conftest import World

GOOD = jsonl([capped("q", "r"), b"{bad"])


def give(client: TestClient, name: str, body: bytes, **fields: str) -> Response:
    answer: Response = client.post("/drop", files={"file": (name, body)}, data=fields)
    return answer


def way_to_send(page: str) -> str:
    (found,) = re.findall(r'<form method="post" action="(/drop/[^"]+)">', page)
    return str(found)


def test_a_file_is_checked_and_quoted_and_nothing_is_sent(world: "World", writer: TestClient) -> None:
    page = give(writer, "mine.jsonl", GOOD, folder="search").text
    for text in ("search/mine.jsonl", "1 line: invalid_json (line 2)", "gpt-4o-mini", "Send it"):
        assert text in page
    assert (world.cloud.keys("input/"), world.log) == ([], [])


def test_what_was_quoted_is_sent_once_as_the_file_that_it_was(world: "World", writer: TestClient) -> None:
    send = way_to_send(give(writer, "mine.jsonl", GOOD, folder="/input/search/").text)
    answer = writer.post(send)
    assert answer.status_code == 303
    assert world.cloud.keys("input/") == ["input/search/mine.jsonl"]
    assert world.cloud.read("input/search/mine.jsonl") == GOOD
    job = answer.headers["location"].removeprefix("/jobs/").removesuffix("?done=drop")
    (line,) = [json.loads(each) for each in world.log]
    assert (line["action"], line["job"], line["result"]) == ("drop", job, "done")
    again = writer.post(send)
    assert (again.status_code, "This file is not here any more" in again.text) == (500, True)


def test_a_file_that_may_cost_more_than_its_limit_is_not_sent(world: "World", writer: TestClient) -> None:
    send = way_to_send(give(writer, "mine.jsonl", GOOD).text)
    dear, wrong = (writer.post(send, data={"max_cost": each}) for each in ("0.000001", "cheap"))
    assert "more than --max-cost 0.000001" in dear.text
    assert "The most that it may cost must be US dollars above 0" in wrong.text
    assert world.cloud.keys("input/") == []
    assert [json.loads(each)["job"] for each in world.log] == [None, None]


def test_a_table_is_asked_about_row_by_row(writer: TestClient, world: "World") -> None:
    table = b"text\ngood\nbad\n"
    page = give(writer, "t.csv", table, model="gpt-4o-mini", prompt="Sentiment of: {{ text }}").text
    assert '<p class="big">2</p>' in page
    assert writer.post(way_to_send(page)).status_code == 303
    assert "input/t.csv" in world.cloud.keys("input/")


@pytest.mark.parametrize(
    ("name", "body", "fields", "said"),
    [
        ("", b"x", {}, "Choose a file first."),
        ("a.pdf", b"x", {}, "a.pdf is not processed: a file to drop contains JSON lines"),
        ("a.jsonl", b"", {}, "a.jsonl is empty. Nothing was dropped."),
        ("_SUCCESS", b"x", {}, "would not become a job"),
        ("t.csv", b"text\ngood\n", {}, "t.csv"),
        ("t.csv", b"text\ngood\n", {"model": "gpt-4o-mini", "prompt": "{{ none }}"}, "none"),
    ],
)
def test_what_is_wrong_with_a_file_is_said_beside_the_form(
    browser: TestClient, name: str, body: bytes, fields: dict[str, str], said: str
) -> None:
    answer = give(browser, name, body, **fields)
    (problem,) = re.findall(r'role="alert">(.+?)</p>', answer.text)
    assert (answer.status_code, said in problem, "batchdrop-console-" in problem) == (400, True, False)


def test_a_console_that_only_reads_quotes_and_does_not_send(world: "World", browser: TestClient) -> None:
    page = give(browser, "mine.jsonl", GOOD).text
    assert READ_ONLY in page
    assert 'action="/drop/' not in page
    (known,) = browser.app.state.uploads._found  # type: ignore[attr-defined]  # noqa: SLF001 - its id is on no page
    assert READ_ONLY in browser.post(f"/drop/{known}").text
    assert world.cloud.keys("input/") == []


def test_few_files_wait_and_none_is_left_behind(tmp_path: Path) -> None:
    uploads = Uploads()
    given = [uploads.add((tmp_path / "x").open("w+b"), f"input/{n}.jsonl", None) for n in range(7)]  # type: ignore[arg-type]
    assert [each.path.exists() for each in given] == [False, False, *[True] * 5]
    uploads.close()
    assert not any(each.path.parent.parent.exists() for each in given)
