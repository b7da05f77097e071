"""Lines of a finished job sent again, and their results put in their places."""

import json
from pathlib import Path
from typing import Any

import boto3
import pytest
from batchdrop.records import Job
from batchdrop.states import JobState
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, REGION, Cloud, jsonl
from faking.lines import chat, claude, got, mixed, wanted

from batchdrop_cli import drop, retry
from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_cli.merge import family, merge


@pytest.fixture
def user(cloud: Cloud) -> UsersCloud:
    """The same cloud as the command sees it."""
    bucket, table = cloud.services.settings.bucket, cloud.services.settings.table
    session = boto3.Session(region_name=REGION)
    return UsersCloud(title="test", is_local=True, bucket=bucket, table=table, session=session)


def run(cloud: Cloud, job_id: str, key: str) -> Job:
    """Intake of an object that the command dropped, and all that follows."""
    version = cloud.s3.head_object(Bucket=BUCKET, Key=key)["VersionId"]
    job = take_object(cloud.dropped(key, b"", version), cloud.services)
    assert job is not None
    assert job.id == job_id
    cloud.settle()
    return a_job(cloud, job_id)


def a_job(cloud: Cloud, job_id: str) -> Job:
    job = cloud.services.store.job(job_id)
    assert job is not None
    return job


def retried(cloud: Cloud, user: UsersCloud, job: Job, folder: Path, fixed: bytes | None = None) -> Job:
    """What `batchdrop retry` does with the failed lines."""
    chosen = retry.choose(user, job, folder / "numbers", cut=False)
    key = retry.free_key(user, job)
    if fixed is None:
        return run(cloud, retry.send_failed(user, chosen, key), key)
    file = folder / "fixed.jsonl"
    file.write_bytes(fixed)
    retry.check_fixed(user, chosen, file)
    return run(cloud, drop.upload(user, file, key, lambda _: None, retry.lineage(user, chosen)), key)


def merged(user: UsersCloud, job: Job, folder: Path, *, whole: bool = False) -> list[dict[str, Any]]:
    """What `results --with-retries` gives; with `whole`, and `--replace-answers`."""
    found = merge(user, family(user, job), folder / "merged", replace_answers=whole)
    results = [json.loads(line) for line in found.paths[0].read_bytes().splitlines()]
    errors = [json.loads(line) for line in found.paths[1].read_bytes().splitlines()]
    assert errors == [result for result in results if result["error"]]
    assert (found.answered, found.failed) == (len(results) - len(errors), len(errors))
    return results


def test_a_job_with_expired_lines_is_whole_after_a_retry(cloud: Cloud, user: UsersCloud, tmp_path: Path) -> None:
    cloud.simulator.shape(provider="openai", expire_fraction=0.5, times=2)
    lines = mixed(12)
    job = cloud.drop("input/a/x.jsonl", jsonl(lines), **{"batchdrop-max-attempts": "1"})
    cloud.deliver_all()
    cloud.clock.now += 25 * 3600
    cloud.settle()
    first = a_job(cloud, job or "")
    missing = [error["line"] for error in cloud.outcome(first.id).errors]
    assert missing
    second = retried(cloud, user, first, tmp_path)
    assert (second.key, second.retry_of, second.settings.max_attempts) == ("input/a/x.retry-1.jsonl", first.id, 1)
    assert [int(line) for line in cloud.read(second.retry_lines or "").splitlines()] == missing
    results = merged(user, first, tmp_path)
    assert [got(result) for result in results] == [wanted(line) for line in lines]
    assert [(result["line"], result["custom_id"]) for result in results] == [
        (number, line.get("custom_id")) for number, line in enumerate(lines, start=1)
    ]
    assert sum(each["requests"] for each in cloud.simulator.charges().values()) == 12


def test_a_chain_of_retries_and_a_fixed_line_end_in_their_places(
    cloud: Cloud, user: UsersCloud, tmp_path: Path
) -> None:
    cloud.simulator.shape(provider="openai", failing=[{"match": "wrong", "status": 400}])
    lines = [chat("one", "a"), b"{", chat("wrong", "b"), b"", claude("five", "e"), chat("wrong 6", "f")]
    first = a_job(cloud, cloud.run("input/x.jsonl", lines).manifest.job)
    fixed = jsonl([chat("two", "mine"), chat("wrong again", "other"), chat("six", "g")])
    second = retried(cloud, user, first, tmp_path, fixed)
    third = retried(cloud, user, second, tmp_path, jsonl([chat("three")]))
    assert (third.key, third.retry_of) == ("input/x.retry-1.retry-1.jsonl", second.id)
    results = merged(user, first, tmp_path)
    assert [(result["line"], result["custom_id"], got(result)) for result in results] == [
        (1, "a", wanted(chat("one"))),
        (2, "mine", wanted(chat("two"))),
        (3, "b", wanted(chat("three"))),
        (5, "e", wanted(claude("five"))),
        (6, "f", wanted(chat("six"))),
    ]
    event = next(each for each in cloud.events() if each["detail"]["job"] == third.id)
    assert (event["detail"]["retry_of"], cloud.outcome(third.id).manifest.retry_of) == (second.id, second.id)


def test_a_retry_is_an_object_with_two_words_of_metadata(cloud: Cloud, user: UsersCloud, tmp_path: Path) -> None:
    lines = [chat("one", "a"), b"{", chat("three", "c"), b"["]
    first = a_job(cloud, cloud.run("input/x.jsonl", lines).manifest.job)
    numbers = f"output/x/{first.id}/mine.jsonl"
    cloud.s3.put_object(Bucket=BUCKET, Key=numbers, Body=b"2\n3\n4\n")
    metadata = {"batchdrop-retry-of": first.id, "batchdrop-retry-lines": numbers}
    body = jsonl([chat("two"), chat("third"), b"["])
    second = cloud.run("input/fixed.jsonl", body, **metadata).manifest.job
    assert [each.id for each in cloud.services.store.retries(first.id)] == [second]
    results = merged(user, first, tmp_path, whole=True)
    assert [got(result) for result in results[:3]] == [wanted(chat(text)) for text in ("one", "two", "third")]
    assert got(merged(user, first, tmp_path)[2]) == wanted(chat("three"))
    assert (results[3]["line"], results[3]["error"]["message"][:8]) == (4, "Line 4: ")


def test_answers_that_were_cut_are_replaced_by_longer_ones(cloud: Cloud, user: UsersCloud, tmp_path: Path) -> None:
    text = "a long question that asks for an answer of very many words, more than two or three of them"
    short = {"max_tokens": 1}
    lines = [
        claude(text, "a") | {"params": {**claude(text)["params"], **short}},
        chat("brief", "b"),
        {**chat(text, "c"), "body": {**chat(text)["body"], **short}},
    ]
    crlf = b"\r\n".join(json.dumps(line).encode() for line in lines) + b"\r\n"
    first = a_job(cloud, cloud.run("input/x.jsonl", crlf).manifest.job)
    chosen = retry.choose(user, first, tmp_path / "numbers", cut=True)
    assert (chosen.numbers.read_bytes(), str(chosen)) == (b"1\n3\n", "2 cut lines")
    file = tmp_path / "cut.jsonl"
    retry.save(user, chosen, file)
    assert file.read_bytes() == b"".join(crlf.splitlines(keepends=True)[at] for at in (0, 2))
    file.write_bytes(file.read_bytes().replace(b'tokens": 1', b'tokens": 1000'))
    retry.check_fixed(user, chosen, file)
    key = retry.free_key(user, first)
    run(cloud, drop.upload(user, file, key, lambda _: None, retry.lineage(user, chosen)), key)
    longer = [json.loads(line) for line in file.read_bytes().splitlines()]
    results = merged(user, first, tmp_path)
    assert [got(result) for result in results] == [wanted(each) for each in (longer[0], lines[1], longer[1])]


@pytest.mark.parametrize(
    ("metadata", "reason"),
    [
        (
            {"batchdrop-retry-of": "reviews", "batchdrop-retry-lines": "output/l.jsonl"},
            "batchdrop-retry-of = 'reviews': it must be a job's id, such as 20261105T091412Z-7f3a9c2e51.",
        ),
        (
            {"batchdrop-retry-of": "20261105T091412Z-7f3a9c2e51"},
            "batchdrop-retry-of and batchdrop-retry-lines must be set together: one of them is missing.",
        ),
        (
            {"batchdrop-retry-lines": "output/l.jsonl"},
            "batchdrop-retry-of and batchdrop-retry-lines must be set together: one of them is missing.",
        ),
        (
            {"batchdrop-retry-of": "20261105T091412Z-7f3a9c2e51", "batchdrop-retry-lines": "output/l.jsonl"},
            (
                "The file is not a retry of job 20261105T091412Z-7f3a9c2e51: the job that it retries is not known (any "
                "more)."
            ),
        ),
    ],
)
def test_lineage_that_makes_no_sense_fails_the_job(cloud: Cloud, metadata: dict[str, str], reason: str) -> None:
    manifest = cloud.run("input/x.jsonl", [chat("one")], **metadata).manifest
    assert (manifest.status, manifest.reason) == (JobState.FAILED, reason)
    assert {each["batches"] for each in cloud.simulator.charges().values()} == {0}


def test_a_retry_from_another_folder_is_refused_and_never_named_among_the_jobs_retries(cloud: Cloud) -> None:
    first = cloud.run("input/ours/x.jsonl", [chat("one"), b"{"]).manifest.job
    numbers = f"output/ours/x/{first}/l.jsonl"
    for key, lines, problem in (
        ("input/theirs/x.jsonl", numbers, "it lies in input/theirs/, the job that it retries in another"),
        ("input/ours/y.jsonl", "output/theirs/l.jsonl", "its list of line numbers, 'output/theirs/l.jsonl', does not"),
    ):
        metadata = {"batchdrop-retry-of": first, "batchdrop-retry-lines": lines}
        manifest = cloud.run(key, [chat("forged")], **metadata).manifest
        assert (manifest.status, manifest.retry_of) == (JobState.FAILED, None)
        assert (manifest.reason or "").startswith(f"The file is not a retry of job {first}: {problem}")
    assert list(cloud.services.store.retries(first)) == []
    assert sum(each["requests"] for each in cloud.simulator.charges().values()) == 1


def test_a_retry_taken_twice_is_one_job_and_one_of_the_jobs_retries(cloud: Cloud) -> None:
    first = cloud.run("input/x.jsonl", [chat("one"), b"{"]).manifest.job
    metadata = {"batchdrop-retry-of": first, "batchdrop-retry-lines": f"output/x/{first}/l.jsonl"}
    body = jsonl([chat("two")])
    answer = cloud.s3.put_object(Bucket=BUCKET, Key="input/y.jsonl", Body=body, Metadata=metadata)
    for _ in range(2):
        take_object(cloud.dropped("input/y.jsonl", body, answer["VersionId"]), cloud.services)
    cloud.settle()
    take_object(cloud.dropped("input/y.jsonl", body, answer["VersionId"]), cloud.services)
    retries = list(cloud.services.store.retries(first))
    assert [(each.retry_of, each.state) for each in retries] == [(first, JobState.COMPLETED)]
    assert (f"JOB#{first}", f"RETRY#{retries[0].id}") in cloud.rows()
