"""An upgrade that was rolled back: jobs of the newer code wait untouched, and all others go on.

When the newer code is deployed again, it goes on with them. Nothing is lost, and nothing is paid twice.
"""

from typing import Any

import pytest
from batchdrop.aws.row_versions import ROW_VERSION
from batchdrop.aws.table_items import encode
from faking.cloud import Cloud, jsonl
from faking.lines import chat, claude, got, wanted

LINES = [*(chat(str(number)) for number in range(3)), *(claude(str(number)) for number in range(3))]
NEWER = ROW_VERSION + 1
STEPS = ("plan", "submit", "collect", "assemble", "publish")


OTHERS = [chat("other"), claude("other")]


def drop(cloud: Cloud, lines: list[Any]) -> str:
    job = cloud.drop("input/x.jsonl", jsonl(lines))
    assert job is not None
    return job


def go_on_until(cloud: Cloud, stop: str) -> None:
    """Let everything happen until messages for this step wait; they stay where they are."""
    before = STEPS[: STEPS.index(stop)]
    for _ in range(9):
        while sum(cloud.deliver(step) for step in before):
            pass
        if stop in {"plan", "submit"}:
            return
        cloud.tick()


def rows_of(cloud: Cloud, job: str) -> dict[str, Any]:
    return {sk: dict(item) for (pk, sk), item in cloud.table.items.items() if pk == f"JOB#{job}"}


def write_as_newer(cloud: Cloud, job: str, sks: set[str], **values: Any) -> None:
    for sk in sks:
        cloud.table.items[f"JOB#{job}", sk] |= encode(values)


def units(cloud: Cloud, job: str) -> set[str]:
    return {sk for sk in rows_of(cloud, job) if sk.partition("#")[0] in {"JOB", "SPLIT", "BATCH"}}


def reserved(cloud: Cloud) -> list[int]:
    ledgers = cloud.services.store.providers.ledgers
    return [each.reserved for provider in ("openai", "anthropic") for each in ledgers(provider).values()]


def is_paid_once(cloud: Cloud) -> bool:
    return not any(each["bodies_charged_more_than_once"] for each in cloud.simulator.charges().values())


@pytest.mark.parametrize(
    ("stop", "newer"),
    [
        *zip(
            STEPS,
            [
                {"version": NEWER},
                {"state": "WEIGHED"},
                {"version": NEWER},
                {"state": "WEIGHED"},
                {"version": NEWER + 1},
            ],
            strict=True,
        )
    ],
)
def test_rows_of_newer_code_wait_untouched_while_other_jobs_go_on(
    cloud: Cloud, stop: str, newer: dict[str, Any]
) -> None:
    job = drop(cloud, LINES)
    go_on_until(cloud, stop)
    before = rows_of(cloud, job)
    write_as_newer(cloud, job, units(cloud, job), **newer)
    written = rows_of(cloud, job)
    other = drop(cloud, OTHERS)
    for _ in range(26):
        cloud.deliver_all()
        cloud.tick(3_600)
    assert rows_of(cloud, job) == written
    assert [got(result) for result in cloud.outcome(other).results] == [wanted(line) for line in OTHERS]

    for sk, item in before.items():
        cloud.table.items[f"JOB#{job}", sk] = item
    cloud.settle(tick=3_600)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
    assert is_paid_once(cloud)


@pytest.mark.parametrize("stop", STEPS)
def test_a_job_of_newer_code_takes_its_splits_and_batches_with_it(cloud: Cloud, stop: str) -> None:
    job = drop(cloud, LINES)
    go_on_until(cloud, stop)
    write_as_newer(cloud, job, {"JOB"}, version=NEWER)
    written = rows_of(cloud, job)
    for _ in range(26):
        cloud.deliver_all()
        cloud.tick(3_600)
    assert rows_of(cloud, job) == written
    write_as_newer(cloud, job, {"JOB"}, version=1)
    cloud.settle(tick=3_600)
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
    assert is_paid_once(cloud)


def test_poll_leaves_the_batches_of_a_newer_job_as_they_are(cloud: Cloud) -> None:
    job = drop(cloud, LINES)
    cloud.deliver_all()
    write_as_newer(cloud, job, {"JOB"}, version=NEWER)
    written, ledgers = rows_of(cloud, job), reserved(cloud)
    for _ in range(5):  # they end at the provider
        cloud.tick(3_600)
    assert rows_of(cloud, job) == written
    assert reserved(cloud) == ledgers


def test_poll_cancels_no_overdue_batch_of_a_newer_job(cloud: Cloud) -> None:
    for provider in ("openai", "anthropic"):
        cloud.simulator.shape(provider=provider, expire_fraction=0.0, seconds_to_complete=2_000_000)
    job = drop(cloud, LINES)
    cloud.deliver_all()
    write_as_newer(cloud, job, {"JOB"}, version=NEWER)
    written = rows_of(cloud, job)
    for _ in range(4):
        cloud.tick(40 * 3_600)
    assert rows_of(cloud, job) == written
    assert "cancel" not in cloud.simulator.charges()["openai"]["calls"]


def test_a_late_create_of_a_newer_job_is_looked_at_when_that_is_deployed_again(cloud: Cloud) -> None:
    cloud.simulator.fault("late", seconds=9_000, provider="anthropic", operation="create")
    job = drop(cloud, LINES[3:])
    cloud.settle(tick=300)
    write_as_newer(cloud, job, {"JOB"}, version=NEWER)
    cloud.clock.now += 9_000
    told = []
    for version in (NEWER, 1):
        write_as_newer(cloud, job, {"JOB"}, version=version)
        for _ in range(20):
            cloud.tick(700)
        told.append([each["detail-type"] for each in cloud.events()].count("Duplicate Batch"))
    assert told == [0, 1]


def test_an_upload_of_a_newer_job_is_no_orphan(cloud: Cloud) -> None:
    job = drop(cloud, LINES[:1])
    api = cloud.services.apis["openai"]
    cloud.deliver_all()
    (upload,) = api.uploads()
    sk = next(sk for sk in rows_of(cloud, job) if sk.startswith("BATCH#"))
    write_as_newer(cloud, job, {"JOB"}, version=NEWER)
    write_as_newer(cloud, job, {sk}, input_file_id="file-of-its-own")
    cloud.tick(4_000)
    assert [each.id for each in api.uploads()] == [upload.id]


def test_a_batch_of_a_newer_job_has_no_failures(cloud: Cloud) -> None:
    job = drop(cloud, LINES)
    cloud.deliver_all()
    write_as_newer(cloud, job, {"JOB"}, version=NEWER)
    written = rows_of(cloud, job)
    assert [cloud.services.store.count_unit_failure(job, sk, 60) for sk in sorted(units(cloud, job))] == [0] * 4
    assert rows_of(cloud, job) == written


def test_a_retry_of_a_newer_job_fails_with_a_reason_and_is_not_swallowed(cloud: Cloud) -> None:
    retried = drop(cloud, LINES)
    cloud.settle()
    write_as_newer(cloud, retried, {"JOB"}, version=NEWER)
    words = {"batchdrop-retry-of": retried, "batchdrop-retry-lines": f"output/x/{retried}/lines.jsonl"}
    job = cloud.drop("input/x.retry-1.jsonl", jsonl(LINES[:1]), **words)
    assert job is not None
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.retry_of) == ("FAILED", None)
    assert manifest.reason == (
        f"Job {retried}, which the file retries, was written by a newer version of batchdrop: deploy that version "
        "again, "
        "then upload the file again."
    )


def test_settings_of_newer_code_break_no_step(cloud: Cloud) -> None:
    job = drop(cloud, LINES)
    settings = rows_of(cloud, job)["JOB"]["settings"]
    settings["M"] |= encode({"of_newer_code": "12.50"})
    cloud.settle()
    assert [each.id for each in cloud.jobs()] == [job]
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in LINES]
    assert rows_of(cloud, job)["JOB"]["settings"] == settings


def test_a_pause_of_older_code_ends_as_any_and_a_history_of_newer_code_stays_as_it_is(cloud: Cloud) -> None:
    key, ends = {"pk": "PROVIDER#openai"}, cloud.clock.seconds() + 300
    pause = encode(key | {"sk": "PAUSE", "reason": "no credit", "until": ends, "as_of": ends - 300, "told": True})
    history = encode(key | {"sk": "PAUSES", "version": NEWER, "pauses": "of newer code"})
    cloud.table.items |= {("PROVIDER#openai", "PAUSE"): pause, ("PROVIDER#openai", "PAUSES"): history}
    job = drop(cloud, OTHERS)
    cloud.settle()
    assert [got(result) for result in cloud.outcome(job).results] == [wanted(line) for line in OTHERS]
    assert cloud.services.store.providers.get_pause("openai") is None
    assert cloud.table.items["PROVIDER#openai", "PAUSES"] == history
