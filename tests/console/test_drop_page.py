import json
import re
from html import unescape
from pathlib import Path
from tempfile import gettempdir
from typing import TYPE_CHECKING

import pyarrow.parquet
import pytest
from faking.cloud import jsonl
from faking.lines import capped
from faking.rows import a_job
from httpx import Response
from starlette.testclient import TestClient

from batchdrop_console import drop_page
from batchdrop_console.pages import READ_ONLY
from batchdrop_console.uploads import Uploads

if TYPE_CHECKING:
    from conftest import World

WRONG = "The most that it may cost must be US dollars above 0, 1,000,000,000 at most"
AS_IN = "with 6 decimals at most, as in 20 or 12.50"
GOOD = jsonl([capped("q", "r"), b"{bad"])


def give(client: TestClient, name: str, body: bytes, **fields: str) -> Response:
    answer: Response = client.post("/drop", files={"file": (name, body)}, data=fields)
    return answer


def alert(page: str) -> str:
    (found,) = re.findall(r'role="alert">(.+?)</p>', page)
    return unescape(found)


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
    assert list(Path(writer.app.state.uploads._folder.name).iterdir()) == []  # type: ignore[attr-defined]  # noqa: SLF001
    (line,) = [json.loads(each) for each in world.log]
    assert (line["action"], line["job"], line["result"]) == ("drop", job, "done")
    again = writer.post(send)
    assert (again.status_code, "This file is not here any more" in again.text) == (404, True)


def test_a_file_that_may_cost_more_than_its_limit_is_not_sent(world: "World", writer: TestClient) -> None:
    send = way_to_send(give(writer, "mine.jsonl", GOOD).text)
    dear, wrong = (writer.post(send, data={"max_cost": each}) for each in ("0.000001", "cheap"))
    said = ["It may cost more than $0.000001, or nobody knows how much. Nothing was sent.", f"{WRONG}, {AS_IN}."]
    for answer, problem, given in ((dear, said[0], "0.000001"), (wrong, said[1], "cheap")):
        assert (answer.status_code, alert(answer.text), way_to_send(answer.text)) == (400, problem, send)
        assert f'value="{given}"' in answer.text
    assert world.cloud.keys("input/") == []
    assert [(each["job"], each["result"]) for each in map(json.loads, world.log)] == [(None, each) for each in said]
    assert writer.post(send, data={"max_cost": "20"}).status_code == 303


def test_a_drop_is_followed_by_a_page_that_renews_itself_until_there_is_a_job(
    world: "World", writer: TestClient
) -> None:
    location = writer.post(way_to_send(give(writer, "mine.jsonl", GOOD).text)).headers["location"]
    coming = writer.get(location)
    (part,) = re.findall(r'data-hx-get="([^"]+)"', coming.text)
    again = writer.get(part, headers={"hx-request": "true"})
    for answer in (coming, again):
        assert (answer.status_code, "It is being taken up" in answer.text, part in answer.text) == (200, True, True)
    assert "hx-refresh" not in again.headers
    job = location.removeprefix("/jobs/").removesuffix("?done=drop")
    world.cloud.services.store.add(a_job(job=job, bucket="bucket"))
    assert writer.get(part).headers["hx-refresh"] == "true"
    assert "The file was dropped as this job." in writer.get(location).text


def test_the_same_bytes_are_not_sent_twice_and_no_folder_of_this_machine_is_told(
    world: "World", writer: TestClient
) -> None:
    sent = [writer.post(way_to_send(give(writer, "mine.jsonl", GOOD).text)) for _ in range(2)]
    assert [each.status_code for each in sent] == [303, 409]
    job = sent[0].headers["location"].removeprefix("/jobs/").removesuffix("?done=drop")
    assert alert(sent[1].text) == f"Job {job} is already processing the same bytes. Nothing was sent."
    (given,) = writer.app.state.uploads._found.values()  # type: ignore[attr-defined]  # noqa: SLF001 - to lose it
    given.path.unlink()
    lost = writer.post(f"/drop/{given.id}")
    told = "".join([lost.text, *world.log, *(json.dumps(each) for each in world.cloud.events())])
    assert ("mine.jsonl does not exist." in alert(lost.text), gettempdir() in told) == (True, False)


def test_a_file_that_is_too_large_is_not_taken(browser: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drop_page, "MOST_BYTES", -drop_page._OTHERS_BYTES)  # noqa: SLF001 - nothing fits
    answer = give(browser, "mine.jsonl", GOOD)
    said = "Here a file may have 1.0 GB at most. A larger one is dropped with: batchdrop put FILE"
    assert (answer.status_code, alert(answer.text)) == (413, said)


def test_what_was_filled_in_stays(browser: TestClient) -> None:
    page = give(browser, "a.jsonl", b"", folder="mine", model="gpt-4o-mini", prompt="About {{ it }}").text
    assert ['value="mine"' in page, 'value="gpt-4o-mini"' in page, ">About {{ it }}</textarea>" in page] == [True] * 3


def test_a_parquet_file_is_dropped_as_the_command_drops_it(world: "World", writer: TestClient, tmp_path: Path) -> None:
    path = tmp_path / "t.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"text": ["good", "bad"]}), path)
    page = give(writer, path.name, path.read_bytes(), model="gpt-4o-mini", prompt="Sentiment of: {{ text }}").text
    assert writer.post(way_to_send(page)).status_code == 303
    assert world.cloud.read("input/t.jsonl") == b'{"text":"good"}\n{"text":"bad"}\n'


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
    problem = alert(answer.text)
    assert (answer.status_code, said in problem, gettempdir() in problem) == (400, True, False)


@pytest.mark.parametrize(
    ("name", "body", "is_what", "column"),
    [
        ("d.jsonl", b'{"text":"good"}\n', "holds data, not requests (no line names a model)", "text"),
        ("t.csv", b"text\ngood\n", "is a table", "COLUMN"),
    ],
)
def test_what_nothing_is_asked_about_is_said_in_words_of_the_form(
    browser: TestClient, name: str, body: bytes, is_what: str, column: str
) -> None:
    assert alert(give(browser, name, body).text) == (
        f"{name} {is_what}: fill in model and prompt, or put a batchdrop.toml with [template] into its folder in the "
        f"bucket. A prompt, for example: Sentiment of: {{{{ {column} }}}}"
    )


def test_a_console_that_only_reads_quotes_and_does_not_send(world: "World", browser: TestClient) -> None:
    page = give(browser, "mine.jsonl", GOOD).text
    assert READ_ONLY in page
    assert 'action="/drop/' not in page
    assert browser.app.state.uploads._found == {}  # type: ignore[attr-defined]  # noqa: SLF001 - nothing waits
    answer = browser.post("/drop/any")
    assert (answer.status_code, alert(answer.text)) == (403, READ_ONLY)
    (line,) = [json.loads(each) for each in world.log]
    assert (line["action"], line["job"], line["result"]) == ("drop", None, READ_ONLY)
    assert world.cloud.keys("input/") == []


def test_few_files_wait_and_none_is_left_behind(tmp_path: Path) -> None:
    uploads = Uploads()
    given = [uploads.add((tmp_path / "x").open("w+b"), "x", f"input/{n}.jsonl", None) for n in range(4)]  # type: ignore[arg-type]
    assert [each.path.exists() for each in given] == [False, False, True, True]
    uploads.close()
    assert not any(each.path.parent.parent.exists() for each in given)
