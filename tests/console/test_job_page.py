from decimal import ROUND_CEILING, ROUND_FLOOR
from typing import TYPE_CHECKING

import pytest
from batchdrop.pause_codes import PauseCode
from batchdrop.records import JobSettings
from batchdrop.states import BatchState, JobState
from faking.cloud import jsonl
from faking.lines import capped, chat
from faking.outputs import a_manifest
from faking.rows import JOB, NOW, a_batch, a_job
from starlette.testclient import TestClient

from batchdrop_cli.jobs import shown
from batchdrop_console.job_page import actions_of
from batchdrop_console.pages import money

if TYPE_CHECKING:
    from conftest import World

NOTHING = a_manifest(JOB, None)  # type: ignore[arg-type]  # files are not looked at


def test_a_job_that_is_over_shows_what_show_says(world: "World") -> None:
    job = world.cloud.run("input/mine/a.jsonl", [chat(f"q{n}", n) for n in range(9)] + [b"{bad"]).manifest.job
    with world.browser() as browser:
        page = browser.get(f"/jobs/{job}").text
    row = world.cloud.services.store.job(job)
    assert row is not None
    said = shown(world.console().cloud, row)
    assert said.totals is not None
    for text in (
        "mine/a.jsonl",
        '9 <span class="of">of 10 answered</span>',
        "<code>invalid_json</code>",
        "line 10</span>",
        "results.jsonl",
        "at the providers",
        f"s3://bucket/{said.output}",
        "every line has an answer or an error",
    ):
        assert text in page
    assert "data-hx-get" not in page


def test_the_report_of_a_job_is_among_its_files_to_download(world: "World") -> None:
    out = world.cloud.run("input/a.jsonl", [chat("q")], **{"batchdrop-report": "true"})
    report = out.manifest.files.report
    assert report is not None
    with world.browser() as browser:
        assert "report.html</a>" in browser.get(f"/jobs/{out.manifest.job}").text
        answer = browser.get(f"/jobs/{out.manifest.job}/files/report.html")
    assert answer.content == world.cloud.read(report.key)
    assert answer.headers["content-type"] == "application/octet-stream", "a browser keeps it, and does not show it"


def test_a_job_that_runs_says_what_it_waits_for_and_is_renewed_until_it_is_over(world: "World") -> None:
    store = world.cloud.services.store
    job = a_job(state=JobState.RUNNING, bucket="bucket", key="input/a.jsonl")
    store.add(job)
    store.add(a_batch(0, job=job.id, state=BatchState.COLLECTED, requests=30, submitted_at=NOW, ended_at=NOW + 60))
    store.add(a_batch(1, job=job.id, requests=10))
    store.providers.set_pause("openai", "no credit", world.cloud.clock.seconds() + 500, code=PauseCode.ACCOUNT_REFUSED)
    with world.browser() as browser:
        page, live = browser.get(f"/jobs/{job.id}"), browser.get(f"/jobs/{job.id}/live")
        still = browser.get(f"/jobs/{job.id}?still=1").text
        store.move(job, JobState.PUBLISHING)
        publishing = browser.get(f"/jobs/{job.id}/live")
    for answer in (page, live):
        assert "<li>openai: no credit. Retried automatically.</li>" in answer.text
        assert f'data-hx-get="/jobs/{job.id}/live"' in answer.text
        assert '30 <span class="of">of 40 ended</span>' in answer.text
    assert "data-hx-get" not in still
    assert "hx-refresh" not in {**live.headers, **publishing.headers}


def test_the_page_is_loaded_anew_once_the_job_is_over(world: "World") -> None:
    job = world.cloud.run("input/a.jsonl", [chat("q")]).manifest.job
    with world.browser() as browser:
        assert browser.get(f"/jobs/{job}/live").headers["hx-refresh"] == "true"


def test_a_held_job_shows_its_quote_beside_its_budget(world: "World") -> None:
    job = world.cloud.drop("input/b.jsonl", jsonl([capped("q")]), **{"batchdrop-budget-usd": "0.000001"})
    world.cloud.deliver_all()
    with world.browser() as browser:
        page = browser.get(f"/jobs/{job}").text
    assert "Held" in page
    quote = shown(world.console().cloud, world.cloud.jobs()[0]).quote
    assert quote is not None
    assert f"Quoted {money(quote.low_usd, ROUND_FLOOR)} to {money(quote.high_usd, ROUND_CEILING)}." in page
    assert "Budget $0.000001." in page


def test_a_job_shows_its_own_summary(world: "World") -> None:
    job = world.cloud.run("input/a.jsonl", [chat("q")], **{"batchdrop-summary": "Reviews <of> November"}).manifest.job
    with world.browser() as browser:
        for path in ("/", f"/jobs/{job}"):
            assert "Reviews &lt;of&gt; November" in browser.get(path).text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/jobs/nope", "There is no job nope. See: batchdrop jobs"),
        ("/jobs/nope/results", "There is no job nope. See: batchdrop jobs"),
        ("/nope", "There is no such page."),
        ("/jobs/nope/forget", "There is no such page."),
    ],
)
def test_what_is_not_there_is_said_in_the_commands_words(browser: TestClient, path: str, said: str) -> None:
    answer = browser.get(path)
    assert (answer.status_code, f'role="alert">{said}</p>' in answer.text) == (404, True)


def test_what_was_deleted_from_the_bucket_is_said_so_and_a_part_of_a_page_asks_again(world: "World") -> None:
    manifest = world.cloud.run("input/a.jsonl", [chat("q")]).manifest
    row = world.cloud.services.store.job(manifest.job)
    assert row is not None
    world.cloud.s3.delete_object(Bucket="bucket", Key=row.manifest_key)
    with world.browser() as browser:
        page = browser.get(f"/jobs/{manifest.job}")
        part = browser.get(f"/jobs/{manifest.job}/live", headers={"hx-request": "true"})
    said = f'role="alert">{row.manifest_key} is not in the bucket any more: it was deleted.</p>'
    assert (page.status_code, said in page.text, said in part.text) == (500, True, True)
    assert "<html" not in part.text
    assert f'id="live" data-hx-get="/jobs/{manifest.job}/live?" data-hx-trigger="every 5s"' in part.text


@pytest.mark.parametrize(
    ("state", "changes", "manifest", "actions"),
    [
        (JobState.PLANNING, {}, None, ["cancel"]),
        (JobState.RUNNING, {}, None, ["cancel"]),
        (JobState.HELD, {}, None, ["approve", "reject", "cancel"]),
        (JobState.HELD, {"is_approved": True}, None, ["cancel"]),
        (JobState.CANCELLING, {}, None, []),
        (JobState.PUBLISHING, {}, None, []),
        (JobState.COMPLETED, {}, NOTHING, ["retry"]),
        (JobState.FAILED, {}, None, []),
    ],
)
def test_only_what_can_be_done_to_a_job_is_offered(
    state: JobState, changes: dict[str, bool], manifest: object, actions: list[str]
) -> None:
    assert actions_of(a_job(state=state, **changes), manifest) == actions  # type: ignore[arg-type]  # a manifest or None


def test_what_nobody_sees_in_a_summary_is_shown_as_an_escape(browser: TestClient, world: "World") -> None:
    world.cloud.services.store.add(a_job(bucket="bucket", settings=JobSettings(summary="a\u202eb")))
    assert "a\\u202eb" in browser.get(f"/jobs/{JOB}").text
