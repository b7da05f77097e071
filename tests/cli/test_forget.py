from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from batchdrop.aws.table_items import add_retry
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState
from cli.conftest import BUCKET

if TYPE_CHECKING:
    from conftest import Aws, Run


def test_a_running_job_is_not_forgotten(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    job = a_job()
    aws.store.add(job)
    said = f"Job {job.id} is RUNNING: it can be forgotten when it is over. To stop it: batchdrop cancel {job.id}\n"
    assert run("forget", job.id, "--yes") == (1, "", said)


def test_forgetting_is_asked_about(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    aws.store.add(a_job(state=JobState.COMPLETED))
    code, _, err = run("forget", "latest")
    assert (code, err.splitlines()[-1].endswith("--yes")) == (2, True)


def test_what_a_provider_keeps_is_named_and_the_job_is_still_known(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    kept = aws.drop("input/mine/reviews.jsonl", b"{}\n")["version_id"]
    job = a_job(state=JobState.COMPLETED, version_id=kept)
    aws.store.add(job)
    aws.store.add(a_batch(state=BatchState.COLLECTED, provider="anthropic", batch_id="msgbatch_1"))
    aws.drop(f"output/mine/reviews/{job.id}/results.jsonl", b"{}\n")
    code, _, err = run("forget", job.id, "--yes")
    assert (code, err.splitlines()) == (
        1,
        [
            "Not deleted: anthropic keeps batch msgbatch_1: no key in the secret 'batchdrop/anthropic'",
            f"Job {job.id} is not completely deleted. Remove the reasons, then repeat the command.",
        ],
    )
    assert (aws.keys(), aws.store.job(job.id) is not None) == ([], True)


def test_settings_of_one_file_are_deleted_with_its_job_and_a_persons_own_stay(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], tmp_path: Path
) -> None:
    (tmp_path / "x.csv").write_text("text\na\n", encoding="utf-8")
    for name in ("one", "two"):
        asked = ("--model", "gpt-4o-mini", "--prompt", "{{ text }}", "--key", f"input/{name}.csv", "--again")
        assert run("put", tmp_path / "x.csv", *asked).code == 0
    first, second = (aws.s3.head_object(Bucket=BUCKET, Key=f"input/{name}.csv") for name in ("one", "two"))
    names = [each["Metadata"]["batchdrop-settings"] for each in (first, second)]
    assert (names[0] != names[1], names[0][:16]) == (True, names[1][:16])
    aws.store.add(a_job(state=JobState.COMPLETED, key="input/one.csv", version_id=first["VersionId"]))
    assert run("forget", "latest", "--yes").code == 0
    assert aws.keys() == sorted([f"input/{names[1]}", "input/two.csv"])


def test_a_settings_file_that_many_may_name_stays(aws: "Aws", run: "Run", a_job: Callable[..., Job]) -> None:
    own = {"batchdrop-settings": "reviews.batchdrop.toml"}
    put = aws.s3.put_object(Bucket=BUCKET, Key="input/x.jsonl", Body=b"{}", Metadata=own)
    aws.drop("input/reviews.batchdrop.toml", b"priority = 1")
    aws.store.add(a_job(state=JobState.COMPLETED, key="input/x.jsonl", version_id=put["VersionId"]))
    assert run("forget", "latest", "--yes").code == 0
    assert aws.keys() == ["input/reviews.batchdrop.toml"]


def test_a_forgotten_job_is_unknown_and_its_retries_are_named(
    aws: "Aws", run: "Run", a_job: Callable[..., Job]
) -> None:
    job = a_job(state=JobState.COMPLETED)
    retry = a_job(job=f"{job.id[:-1]}0", retry_of=job.id, state=JobState.COMPLETED)
    aws.store.add(job)
    aws.store.add(retry, also=[add_retry(retry, job.id, 4_000_000_000)])
    code, out, err = run("forget", job.id, "--yes")
    assert (code, out.startswith(f"Job {job.id} is deleted")) == (0, True)
    assert f"Its retry {retry.id} holds copies of its lines: batchdrop forget {retry.id}\n" in err
    assert aws.store.job(job.id) is None
    assert list(aws.store.retries(job.id)) == []
