import gzip
import hashlib
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING

import boto3
import pytest
from batchdrop.aws.keys import job_id
from batchdrop.aws.leases import DropClaim
from batchdrop.manifest import File
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.drop import copy, upload
from batchdrop_cli.fingerprints import PART_BYTES, fingerprint_of
from batchdrop_cli.progress import Stage, stage

if TYPE_CHECKING:
    from conftest import Aws, Run

BUCKET = "batchdrop-test"
BODY = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.jsonl"
    path.write_bytes(BODY)
    return path


def test_put_streams_the_file_under_input_and_prints_its_job(aws: "Aws", run: "Run", file: Path) -> None:
    code, out, err = run("put", file)
    head = aws.s3.head_object(Bucket=BUCKET, Key="input/reviews.jsonl")
    modified = head["LastModified"].strftime("%Y%m%dT%H%M%SZ")
    job = job_id(BUCKET, "input/reviews.jsonl", head["VersionId"], modified)
    assert (code, out) == (0, f"{job}\n")
    assert err.splitlines() == [
        "Quote: at most unknown.",
        f"Dropped {file} at s3://{BUCKET}/input/reviews.jsonl (stack batchdrop in eu-central-1).",
        f"See its progress with: batchdrop show {job}",
    ]
    assert aws.s3.get_object(Bucket=BUCKET, Key="input/reviews.jsonl")["Body"].read() == BODY


def test_by_goes_with_the_file_as_its_deadline(aws: "Aws", run: "Run", file: Path) -> None:
    assert run("put", file, "--by", "6h").code == 0
    [key] = [each["Key"] for each in aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="input/")["Contents"]]
    assert aws.s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]["batchdrop-deadline"] == "6h"


def test_a_fallback_goes_with_the_file(aws: "Aws", run: "Run", file: Path) -> None:
    assert run("put", file, "--fallback", "anthropic/claude-haiku-4-5").code == 0
    [key] = [each["Key"] for each in aws.s3.list_objects_v2(Bucket=BUCKET, Prefix="input/")["Contents"]]
    metadata = aws.s3.head_object(Bucket=BUCKET, Key=key)["Metadata"]
    assert metadata["batchdrop-fallback"] == "anthropic/claude-haiku-4-5"


def test_a_fallback_that_is_no_model_is_wrong_use(run: "Run", file: Path) -> None:
    ran = run("put", file, "--dry-run", "--fallback", "antropic/claude-haiku-4-5")
    assert ran.code == 2
    assert "fallback = 'antropic/claude-haiku-4-5': " in ran.err
    assert 'no provider is named "antropic"' in ran.err


@pytest.mark.parametrize("value", ["soon", "6", "-6h", "25:00Z", ""])
def test_a_deadline_without_sense_is_wrong_use(run: "Run", file: Path, value: str) -> None:
    ran = run("put", file, f"--by={value}")
    assert ran.code == 2
    assert "must be a duration after the drop such as" in ran.err


def test_threads_upload_one_after_the_other(aws: "Aws", file: Path) -> None:
    cloud = Cloud(title="test", is_local=False, bucket=BUCKET, table="batchdrop-jobs", session=boto3.Session())
    sent: list[str] = []
    other = Thread(target=lambda: upload(cloud, file, "input/b.jsonl", lambda _: sent.append("b")))

    def begin_the_other(_: int) -> None:
        sent.append("a")
        if not other.is_alive():
            other.start()
        other.join(0.2)

    upload(cloud, file, "input/a.jsonl", begin_the_other)
    assert set(sent) == {"a"}
    other.join()
    assert aws.keys() == ["input/a.jsonl", "input/b.jsonl"]


def test_put_takes_another_key(aws: "Aws", run: "Run", file: Path) -> None:
    assert run("put", file, "--key", "input/team/a.jsonl").code == 0
    assert aws.keys() == ["input/team/a.jsonl"]


def test_a_key_outside_input_is_wrong_use(aws: "Aws", run: "Run", file: Path) -> None:
    said = "--key output/a.jsonl: a key must begin with input/ and name a file.\n"
    assert run("put", file, "--key", "output/a.jsonl") == (2, "", said)
    assert aws.keys() == []


@pytest.mark.parametrize("name", ["_SUCCESS", "._a.jsonl", "a.jsonl.crc"])
def test_a_file_that_would_be_no_job_is_not_uploaded(aws: "Aws", run: "Run", tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(BODY)
    said = f"input/{name} would not become a job: tools write files named like {name}. Choose another key with --key.\n"
    assert run("put", tmp_path / name) == (2, "", said)
    assert aws.keys() == []


@pytest.mark.parametrize("state", [JobState.PLANNING, JobState.RUNNING, JobState.PUBLISHING])
def test_the_same_bytes_already_running_are_refused(
    aws: "Aws", run: "Run", file: Path, a_job: Callable[..., Job], state: JobState
) -> None:
    job = a_job().id
    aws.store.add(a_job(state=state, due_at=None, bytes=len(BODY), etag=hashlib.md5(BODY).hexdigest()))  # noqa: S324 - S3's ETag
    code, out, err = run("put", file)
    assert (code, out) == (1, "")
    assert err == (
        f"Job {job} is already processing the same bytes. See: batchdrop show {job} - "
        "to send and pay for them again: --again\n"
    )
    assert aws.keys() == []


def test_a_long_running_drop_at_the_same_key_is_found_however_old(
    aws: "Aws", run: "Run", file: Path, a_job: Callable[..., Job]
) -> None:
    job = run("put", file).out.strip()
    aws.store.add(a_job(job=job, bytes=1, etag="as another read it", due_at=None))
    assert f"Job {job} is already processing" in run("put", file).err


def test_with_again_the_same_bytes_are_dropped(aws: "Aws", run: "Run", file: Path, a_job: Callable[..., Job]) -> None:
    aws.store.add(a_job(bytes=len(BODY), etag=hashlib.md5(BODY).hexdigest()))  # noqa: S324 - S3's ETag
    assert run("put", file, "--again").code == 0
    assert aws.keys() == ["input/reviews.jsonl"]


def test_other_bytes_and_finished_jobs_do_not_refuse(
    aws: "Aws", run: "Run", file: Path, a_job: Callable[..., Job]
) -> None:
    etag = hashlib.md5(BODY).hexdigest()  # noqa: S324 - S3's ETag
    aws.store.add(a_job(bytes=len(BODY), etag="other"))
    aws.store.add(a_job(job="20261105T091413Z-0000000000", state=JobState.COMPLETED, bytes=len(BODY), etag=etag))
    assert run("put", file).code == 0


def test_a_drop_that_is_no_job_yet_is_noticed(aws: "Aws", run: "Run", file: Path) -> None:
    first = run("put", file)
    second = run("put", file)
    assert second.code == 1
    assert f"Job {first.out.strip()} is already processing" in second.err
    assert len(aws.s3.list_object_versions(Bucket=BUCKET)["Versions"]) == 1


def claim(aws: "Aws", body: bytes) -> DropClaim:
    """What another command does, which was a moment faster."""
    whole = hashlib.md5(body).digest()  # noqa: S324 - S3's ETag
    etags = sorted([whole.hex(), f"{hashlib.md5(whole).hexdigest()}-1"])  # noqa: S324 - S3's ETag
    return aws.store.leases.claim_drop("-".join(etags), 10**9)  # the command has another clock than this store


def test_of_two_commands_that_drop_the_same_bytes_at_once_one_is_refused(aws: "Aws", run: "Run", file: Path) -> None:
    held = claim(aws, BODY)
    assert held.is_held
    ran = run("put", file)
    assert (ran.code, ran.out, aws.keys()) == (1, "", [])
    assert ran.err.startswith("Another command is dropping the same bytes right now.")
    aws.store.leases.end_drop(held, None, 0)  # it gave up
    assert run("put", file).code == 0


def test_with_again_nobody_is_waited_for(aws: "Aws", run: "Run", file: Path) -> None:
    claim(aws, BODY)
    assert run("put", file, "--again").code == 0


def test_bytes_whose_job_is_over_can_be_dropped_again_at_once(
    aws: "Aws", run: "Run", file: Path, a_job: Callable[..., Job]
) -> None:
    first = run("put", file).out.strip()
    aws.store.add(a_job(job=first, state=JobState.COMPLETED, bytes=1, etag="another"))
    assert run("put", file).code == 0


@pytest.mark.parametrize("size", [1, PART_BYTES - 1, PART_BYTES, PART_BYTES + 1, 2 * PART_BYTES])
def test_a_fingerprint_has_the_etag_that_s3_gives_an_upload(aws: "Aws", run: "Run", tmp_path: Path, size: int) -> None:
    file = tmp_path / "big.jsonl"
    file.write_bytes(bytes(size))
    run("put", file)
    head = aws.s3.head_object(Bucket=BUCKET, Key="input/big.jsonl")
    assert fingerprint_of(file).matches(head["ContentLength"], head["ETag"])


@pytest.mark.parametrize("size", [1, PART_BYTES + 1])
def test_the_job_is_of_the_version_that_was_uploaded_although_a_newer_one_came(
    aws: "Aws", tmp_path: Path, size: int
) -> None:
    file = tmp_path / "shared.jsonl"
    file.write_bytes(bytes(size))
    cloud = Cloud(title="", is_local=False, bucket=BUCKET, table="batchdrop-jobs", session=boto3.Session())

    def another_drops(**_: object) -> None:
        if len(aws.s3.list_object_versions(Bucket=BUCKET)["Versions"]) == 1:
            aws.drop("input/shared.jsonl", BODY)

    cloud.s3.meta.events.register("before-call.s3.HeadObject", another_drops)
    job = upload(cloud, file, "input/shared.jsonl", lambda _: None)
    mine = aws.s3.list_object_versions(Bucket=BUCKET)["Versions"][-1]
    head = aws.s3.head_object(Bucket=BUCKET, Key="input/shared.jsonl", VersionId=mine["VersionId"])
    assert (head["ContentLength"], mine["IsLatest"]) == (size, False)
    assert job == job_id(BUCKET, mine["Key"], mine["VersionId"], head["LastModified"].strftime("%Y%m%dT%H%M%SZ"))


def test_the_job_of_a_copy_is_of_the_version_that_was_copied_although_a_newer_one_came(aws: "Aws") -> None:
    made = aws.s3.put_object(Bucket=BUCKET, Key="output/failed.jsonl", Body=BODY)
    source = File(key="output/failed.jsonl", version_id=made["VersionId"], etag=made["ETag"], bytes=len(BODY), lines=1)
    cloud = Cloud(title="", is_local=False, bucket=BUCKET, table="batchdrop-jobs", session=boto3.Session())

    def another_drops(**_: object) -> None:
        if len(aws.s3.list_object_versions(Bucket=BUCKET, Prefix="input/")["Versions"]) == 1:
            aws.drop("input/again.jsonl", BODY)

    cloud.s3.meta.events.register("before-call.s3.HeadObject", another_drops)
    job = copy(cloud, source, "input/again.jsonl", {})
    mine = aws.s3.list_object_versions(Bucket=BUCKET, Prefix="input/")["Versions"][-1]
    assert not mine["IsLatest"]
    assert job == job_id(BUCKET, mine["Key"], mine["VersionId"], mine["LastModified"].strftime("%Y%m%dT%H%M%SZ"))


def test_wait_ends_with_1_when_the_job_fails(aws: "Aws", run: "Run", file: Path, a_job: Callable[..., Job]) -> None:
    def fail_it() -> None:
        while not aws.keys():
            sleep(0.02)
        head = aws.s3.head_object(Bucket=BUCKET, Key="input/reviews.jsonl")
        job = job_id(BUCKET, "input/reviews.jsonl", head["VersionId"], head["LastModified"].strftime("%Y%m%dT%H%M%SZ"))
        aws.drop("output/reviews/j/manifest.json", _failed_manifest(job))
        aws.store.add(a_job(job=job, state=JobState.FAILED, manifest_key="output/reviews/j/manifest.json"))

    functions = Thread(target=fail_it)
    functions.start()
    code, out, _ = run("put", file, "--wait")
    functions.join()
    assert code == 1
    assert out.endswith("failed: The file is empty.\n")


def _failed_manifest(job: str) -> bytes:
    return (
        b'{"job":"%s","status":"FAILED","reason":"The file is empty.","retry_of":null,"input":{"bucket":"b","key":"k",'
        b'"version_id":null,"etag":null,"bytes":0,"lines":null,"blank_lines":null},"counts":null,"models":[],'
        b'"times":{"dropped_at":"","first_submitted_at":null,"last_ended_at":null,"published_at":""},'
        b'"files":{"results":[],"errors":null,"failed":null},"versions":{}}' % job.encode()
    )


def test_progress_tells_of_the_drop_the_reading_and_the_batches(
    a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    batches = [
        a_batch(),
        a_batch(state=BatchState.IN_FLIGHT, requests=50),
        a_batch(state=BatchState.COLLECTED, requests=30),
        a_batch(state=BatchState.REPLACED, requests=1_000),
    ]
    sent_again = [
        a_batch(state=BatchState.COLLECTED, requests=30, again=20),
        a_batch(id="00000-1-0000", round=1, requests=20),
    ]
    assert [
        stage(None, [], []),
        stage(a_job(state=JobState.PLANNING, splits=4, unplanned=1), [], []),
        stage(a_job(), batches, ["openai: no key"]),
        stage(a_job(), sent_again, []),
        stage(a_job(state=JobState.PUBLISHING), batches[2:3], []),
    ] == [
        Stage(text="dropped: waiting for the functions to notice it"),
        Stage(text="reading the file", done=3, total=4),
        Stage(
            text="batches: 1 waiting, 1 at the provider, 1 collected, 1 replaced by smaller ones",
            waits=("openai: no key",),
            done=30,
            total=280,
        ),
        Stage(text="batches: 1 waiting, 1 collected", done=10, total=30),
        Stage(text="writing the results; batches: 1 collected", done=30, total=30),
    ]


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.txt", BODY, "is not processed: a file to drop contains JSON lines (.jsonl) or a table (.csv, .tsv)"),
        ("a.jsonl", b"", "is empty. Nothing was dropped."),
        ("a.jsonl.gz", gzip.compress(b"", mtime=0), "is empty. Nothing was dropped."),
        ("a.jsonl", b'[{"model": "gpt-4o-mini"},\n{"model": "gpt-4o-mini"}]', "The file is one JSON array"),
        ("a.jsonl", b"PAR1" + bytes(100), "The file looks like Parquet"),
        ("a.jsonl.gz", BODY, "The file is not gzip, although its name says so."),
        ("a.jsonl.gz", gzip.compress(BODY, mtime=0)[:-1], "The file is"),
    ],
)
@pytest.mark.parametrize("command", ["put", "run"])
def test_what_validate_refuses_as_a_whole_is_refused_before_the_upload(  # noqa: PLR0913, PLR0917 - fixtures and cases
    aws: "Aws", run: "Run", tmp_path: Path, command: str, name: str, body: bytes, said: str
) -> None:
    file = tmp_path / name
    file.write_bytes(body)
    code, out, err = run(command, file)
    assert (code, out, err.count("\n"), aws.keys()) == (1, "", 1, [])
    assert said in err
    assert run("validate", file).code == 1


def test_the_kind_is_that_of_the_key(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_bytes(BODY)
    assert run("put", file, "--key", "input/a.jsonl").code == 0
    assert run("put", file, "--key", "input/a.doc").err.startswith(f"{file} as input/a.doc would not be processed: ")
    assert run("put", file, "--key", "input/a.jsonl.gz").code == 1
    assert aws.keys() == ["input/a.jsonl"]


def test_settings_are_checked_and_dropped_as_settings(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    file = tmp_path / "batchdrop.toml"
    file.write_bytes(b"max_attempts = 2\n")
    said = (
        "These settings apply to every file dropped under s3://batchdrop-test/input/team/ from now on. Settings "
        "start no job.\n"
    )
    assert run("put", file, "--key", "input/team/batchdrop.toml", "--wait") == (0, said, "")
    assert run("validate", file) == (0, f"{file}: settings, all of them known.\n", "")
    refused = run("run", file)
    assert (refused.code, "contains settings, not requests" in refused.err) == (2, True)
    assert aws.keys() == ["input/team/batchdrop.toml"]


@pytest.mark.parametrize(
    ("body", "said"),
    [(b"max_attempts = 0\n", "max_attempts"), (b"nope = 1\n", "nope"), (b"a = = 1", "is not TOML"), (b"\xff", "UTF-8")],
)
def test_wrong_settings_are_not_dropped(aws: "Aws", run: "Run", tmp_path: Path, body: bytes, said: str) -> None:
    file = tmp_path / "batchdrop.toml"
    file.write_bytes(body)
    for command in ("put", "validate"):
        code, out, err = run(command, file)
        assert (code, out, said in err, "batchdrop.toml" in err) == (1, "", True, True)
    assert aws.keys() == []
