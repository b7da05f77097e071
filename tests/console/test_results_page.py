import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from faking.cloud import BUCKET
from faking.lines import chat
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from batchdrop_console import result_lines
from batchdrop_console.result_lines import PAGE, START, Place, read_place

if TYPE_CHECKING:
    from conftest import World


def ran(world: "World", count: int, *, bad: int = 0, key: str = "input/mine/a.jsonl") -> str:
    """A job of so many lines, the bad ones first, with a blank line after each of them."""
    lines: list[Any] = [b"{bad\n" for _ in range(bad)] + [chat(f"ask {n}", f"r-{n}") for n in range(count)]
    return world.cloud.run(key, lines).manifest.job


def pages(browser: TestClient, path: str) -> list[str]:
    found = []
    while path and len(found) < 30:
        page = browser.get(path).text
        found.append(page)
        link = re.search(r'<a href="([^"]+)">Next page', page)
        path = link[1].replace("&amp;", "&") if link else ""
    return found


def numbers(page: str) -> list[int]:
    return [int(each.replace(",", "")) for each in re.findall(r"<b>Line ([\d,]+)</b>", page)]


def test_results_are_paged_in_the_order_of_the_input_each_once(world: "World") -> None:
    job = ran(world, PAGE * 2 + 3, bad=2)
    with world.browser() as browser:
        found = pages(browser, f"/jobs/{job}/results")
    assert [len(numbers(each)) for each in found] == [PAGE, PAGE, 5]
    assert [n for each in found for n in numbers(each)] == [1, 3, *range(5, PAGE * 2 + 8)]


def test_a_job_of_a_table_has_rows(world: "World") -> None:
    template = b'[template]\nmodel = "gpt-4o-mini"\nbody = {messages = [{role = "user", content = "{{ text }}"}]}\n'
    world.cloud.s3.put_object(Bucket=BUCKET, Key="input/table/batchdrop.toml", Body=template)
    job = world.cloud.run("input/table/a.csv", b"text\ngood\nbad,and,more\n").manifest.job
    with world.browser() as browser:
        of_job, results = browser.get(f"/jobs/{job}").text, browser.get(f"/jobs/{job}/results?texts=1").text
    assert re.findall(r"<b>Row ([\d,]+)</b>", results) == ["1", "2"]
    assert {"<h2>Rows</h2>", "<h2>Why rows failed</h2>"} <= {*re.findall(r"<h2>.*?</h2>", of_job)}
    assert numbers(results) == []


def test_prompts_and_answers_are_hidden_until_they_are_asked_for(world: "World") -> None:
    job = ran(world, 3)
    with world.browser() as browser:
        hidden, shown = (browser.get(f"/jobs/{job}/results{query}").text for query in ("", "?texts=1"))
    assert "ask 1" not in hidden
    assert "<pre" not in hidden
    assert shown.count("<pre") == 6
    assert "ask 1" in shown


def test_each_prompt_stands_beside_its_own_answer_on_every_page(world: "World") -> None:
    job = ran(world, PAGE + 5, bad=1)
    with world.browser() as browser:
        found = pages(browser, f"/jobs/{job}/results?texts=1")
    for item in re.findall(r"<li class=\"card\">.*?</li>", "".join(found), re.DOTALL):
        custom_id = re.search(r'class="id">r-(\d+)<', item)
        if custom_id:
            assert f"ask {custom_id[1]}&#34;" in item
    assert "{bad" in found[0]


def test_failed_lines_alone_are_shown_with_what_is_wrong(world: "World") -> None:
    job = ran(world, 2, bad=1)
    with world.browser() as browser:
        found = pages(browser, f"/jobs/{job}/results?errors=1&texts=1")
    assert [numbers(each) for each in found] == [[1]]
    assert "invalid_json" in found[0]


def test_results_of_parts_are_read_through(world: "World") -> None:
    lines = [chat("x" * 400_000, f"r-{n}") for n in range(14)]
    manifest = world.cloud.run("input/a.jsonl", lines, **{"batchdrop-part-bytes": str(5 * 1024 * 1024)}).manifest
    with world.browser() as browser:
        found = pages(browser, f"/jobs/{manifest.job}/results?texts=1")
    assert [n for each in found for n in numbers(each)] == [*range(1, 15)]


@pytest.mark.parametrize("longest", [1, 1024 * 1024])
def test_lines_longer_than_what_one_page_reads_are_passed_over(
    world: "World", monkeypatch: pytest.MonkeyPatch, longest: int
) -> None:
    job = ran(world, 5)
    monkeypatch.setattr(result_lines, "_MOST_BYTES", 1)
    monkeypatch.setattr(result_lines, "_LONGEST_LINE", longest)
    with world.browser() as browser:
        found = pages(browser, f"/jobs/{job}/results?texts=1")
    assert len(found) == 5
    assert sum("is too long for a page: it is in the file." in each for each in found) == (5 if longest == 1 else 0)
    assert [n for each in found for n in numbers(each)] == ([] if longest == 1 else [1, 2, 3, 4, 5])


def test_a_file_that_cannot_be_read_is_said_so_on_a_page(world: "World") -> None:
    manifest = world.cloud.run("input/mine/a.jsonl", [chat("q")]).manifest
    (file,) = manifest.files.results
    world.cloud.s3.delete_object(Bucket="bucket", Key=file.key, VersionId=file.version_id)
    with world.browser() as browser:
        answer = browser.get(f"/jobs/{manifest.job}/files/results.jsonl")
    said = f'role="alert">{file.key} is not in the bucket any more: it was deleted.</p>'
    assert (answer.status_code, said in answer.text) == (500, True)


def test_a_file_is_downloaded_as_it_lies_in_the_bucket_and_no_other_is(world: "World") -> None:
    outcome = world.cloud.run("input/mine/a.jsonl", [chat("q", "r")])
    job = outcome.manifest.job
    with world.browser() as browser:
        answer = browser.get(f"/jobs/{job}/files/results.jsonl")
        refused = [browser.get(f"/jobs/{job}/files/{name}").status_code for name in ("manifest.json", "..%2Fx", "x")]
    assert json.loads(answer.content) == outcome.results[0]
    assert answer.headers["content-disposition"] == f"attachment; filename*=UTF-8''{job}-results.jsonl"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert set(refused) == {404}


def test_a_job_that_is_not_over_has_no_results_yet(world: "World") -> None:
    job = world.cloud.drop("input/a.jsonl", b'{"model": "gpt-4o-mini"}\n')
    with world.browser() as browser:
        assert f"Job {job} is PLANNING: there are no results yet." in browser.get(f"/jobs/{job}/results").text


@given(
    st.builds(
        Place,
        part=st.integers(0, 99),
        at=st.integers(0, 10**14),
        input_at=st.integers(0, 10**14),
        line=st.integers(1, 10**9),
    )
)
def test_a_place_is_read_as_it_was_written(place: Place) -> None:
    assert read_place(str(place)) == place


@pytest.mark.parametrize("text", ["", "x", "1.2.3", "-1.2.3.4", "1.2.3.4.5", "1.2.3.٤", "1.2.3." + "9" * 16, "1..3.4"])
def test_a_place_that_has_no_sense_is_the_beginning(text: str) -> None:
    assert read_place(text) == START


@given(st.text())
def test_any_text_is_a_place(text: str) -> None:
    assert read_place(text).line >= 1
