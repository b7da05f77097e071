"""A dropped object that S3 does not let be read ends its job soon, with a reason that says what to do."""

from dataclasses import replace
from typing import Any

import boto3
import pytest
from batchdrop.aws.bucket import Files
from batchdrop.errors import Gone, Locked, Transient
from batchdrop.steps.intake import take_object
from batchdrop.steps.sweep import sweep
from botocore.exceptions import ClientError
from faking.cloud import BUCKET, REGION, Cloud, jsonl
from faking.lines import chat

KEY = "input/x.jsonl"
KMS = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: kms:Decrypt on resource: arn:aws:kms:r:1:key/k"
SSE_C = "The object was stored using a form of Server Side Encryption. The correct parameters must be provided."
CERTAIN = [
    ("InvalidObjectState", "The operation is not valid for the object's storage class", "archived", "restore it"),
    ("KMS.DisabledException", "k is disabled.", "KMS key", "readable_kms_keys"),
    ("KMS.NotFoundException", "no such key", "KMS key", "readable_kms_keys"),
    ("KMS.KMSInvalidStateException", "k is pending deletion.", "KMS key", "readable_kms_keys"),
    ("KMS.InvalidKeyUsageException", "k signs", "KMS key", "readable_kms_keys"),
    ("InvalidRequest", SSE_C, "SSE-C", "without that key"),
]
LATER = [
    ("AccessDenied", KMS, "KMS key", "readable_kms_keys"),
    ("AccessDenied", "Access Denied", "denies", "policy"),
]


class Locking:
    """S3, where one key cannot be read: a HEAD says no more than a number, and may be allowed."""

    def __init__(self, code: str, words: str, *, key: str = KEY, head: str | None = None) -> None:
        self._client = boto3.client("s3", region_name=REGION)
        self._code, self._words, self._key, self._head = code, words, key, head

    def __getattr__(self, name: str) -> Any:
        return getattr(self._client, name)

    def head_object(self, *, Key: str, **more: Any) -> Any:  # noqa: N803 - boto3's names
        if Key == self._key and self._head is not None:
            raise ClientError({"Error": {"Code": self._head, "Message": "Forbidden"}}, "HeadObject")
        return self._client.head_object(Key=Key, **more)

    def get_object(self, *, Key: str, **more: Any) -> Any:  # noqa: N803 - the same
        if Key == self._key:
            raise ClientError({"Error": {"Code": self._code, "Message": self._words}}, "GetObject")
        return self._client.get_object(Key=Key, **more)


def lock(cloud: Cloud, code: str, words: str, **more: Any) -> None:
    files = Files(Locking(code, words, **more), BUCKET)  # type: ignore[arg-type]  # a stand-in by shape
    cloud.services = replace(cloud.services, files=files)


def put(cloud: Cloud) -> Any:
    version = cloud.s3.put_object(Bucket=BUCKET, Key=KEY, Body=jsonl([chat("one")]))["VersionId"]
    return cloud.dropped(KEY, b"x", version)


def reason(cloud: Cloud) -> str:
    """Of the only job, which failed and paid nothing."""
    (job,) = cloud.jobs()
    assert (job.outcome, job.state) == ("FAILED", "PUBLISHING")
    assert not {"upload", "create"} & cloud.simulator.charges()["openai"]["calls"].keys()
    return job.reason or ""


@pytest.mark.parametrize("head", ["400", "403"])
@pytest.mark.parametrize("case", CERTAIN, ids=lambda case: case[0])
def test_what_can_never_be_read_fails_at_intake(cloud: Cloud, case: tuple[str, str, str, str], head: str) -> None:
    code, words, why, what_to_do = case
    dropped = put(cloud)
    lock(cloud, code, words, head=head)
    take_object(dropped, cloud.services)
    assert why in reason(cloud)
    assert what_to_do in reason(cloud)
    assert "arn:" not in reason(cloud)


@pytest.mark.parametrize(("code", "words", "why", "what_to_do"), LATER)
def test_a_right_that_is_missing_at_intake_has_fifteen_minutes_to_come(
    cloud: Cloud, code: str, words: str, why: str, what_to_do: str
) -> None:
    dropped = put(cloud)
    lock(cloud, code, words, head="403")
    with pytest.raises(Transient):
        take_object(dropped, cloud.services)
    cloud.clock.now += 900
    take_object(dropped, cloud.services)
    assert why in reason(cloud)
    assert what_to_do in reason(cloud)
    assert "arn:" not in reason(cloud)


@pytest.mark.parametrize(("code", "words", "why", "what_to_do"), [*CERTAIN, *LATER])
def test_what_cannot_be_read_by_plan_fails_within_half_an_hour(
    cloud: Cloud, code: str, words: str, why: str, what_to_do: str
) -> None:
    take_object(put(cloud), cloud.services)
    lock(cloud, code, words)  # its HEAD is allowed, as with KMS
    for _ in range(18):
        cloud.deliver("plan")
        cloud.clock.now += 100
        sweep(cloud.services)
    assert why in reason(cloud)
    assert what_to_do in reason(cloud)


def test_a_file_that_may_be_read_after_all_is_planned(cloud: Cloud) -> None:
    take_object(put(cloud), cloud.services)
    before = cloud.services
    lock(cloud, "AccessDenied", "Access Denied")
    cloud.deliver("plan")
    cloud.services = before
    cloud.settle()
    (job,) = cloud.jobs()
    assert job.state == "COMPLETED"


def test_settings_that_cannot_be_read_are_not_left_out(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/batchdrop.toml", Body=b'on_invalid = "reject"')
    dropped = put(cloud)
    cloud.clock.now += 3_600  # the drop waited for its turn
    lock(cloud, "AccessDenied", KMS, key="input/batchdrop.toml")
    with pytest.raises(Transient):
        take_object(dropped, cloud.services)
    assert cloud.jobs() == []
    cloud.clock.now += 900
    take_object(dropped, cloud.services)
    assert reason(cloud).startswith("input/batchdrop.toml cannot be read. The file is encrypted with a KMS key")


@pytest.mark.parametrize("code", ["AccessDenied", "NoSuchKey"])
def test_settings_that_may_be_read_a_moment_later_apply(cloud: Cloud, code: str) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/batchdrop.toml", Body=b'on_invalid = "reject"')
    dropped, before = put(cloud), cloud.services
    lock(cloud, code, "", key="input/batchdrop.toml")
    with pytest.raises(Transient):
        take_object(dropped, cloud.services)
    cloud.services = before
    job = take_object(dropped, cloud.services)
    assert job is not None
    assert job.settings.on_invalid == "reject"


def test_settings_that_were_deleted_do_not_apply(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/batchdrop.toml", Body=b'on_invalid = "reject"')
    cloud.s3.delete_object(Bucket=BUCKET, Key="input/batchdrop.toml")
    dropped = put(cloud)
    lock(cloud, "NoSuchKey", "", key="input/batchdrop.toml")  # S3 does not say that it was deleted
    job = take_object(dropped, cloud.services)
    assert job is not None
    assert job.settings.on_invalid == "skip"


def test_a_right_has_fifteen_minutes_from_its_first_refusal_and_not_from_the_drop(cloud: Cloud) -> None:
    dropped, before = put(cloud), cloud.services
    cloud.clock.now += 3_600  # intake's queue is long
    lock(cloud, "AccessDenied", "Access Denied", head="403")
    with pytest.raises(Transient):
        take_object(dropped, cloud.services)
    cloud.services = before
    take_object(dropped, cloud.services)
    cloud.clock.now += 3_600  # and plan's
    lock(cloud, "AccessDenied", "Access Denied")
    cloud.deliver("plan")
    cloud.services = before
    cloud.settle()
    (job,) = cloud.jobs()
    assert job.state == "COMPLETED"


@pytest.mark.parametrize(
    "code", ["KMS.ThrottlingException", "KMS.KMSInternalException", "KMS.DependencyTimeoutException"]
)
def test_a_key_that_is_busy_is_asked_again(cloud: Cloud, code: str) -> None:
    dropped = put(cloud)
    lock(cloud, code, "Rate exceeded", head="400")
    cloud.clock.now += 3_600
    with pytest.raises(Transient, match=f"KMS does not decrypt {KEY} now: {code}"):
        take_object(dropped, cloud.services)


def planned_with_failures(cloud: Cloud) -> str:
    """A job whose second line has failed, and whose file was readable until now."""
    job = cloud.drop(KEY, jsonl([chat("one"), b"bad"]))
    assert job is not None
    cloud.deliver("plan")
    return job


PASSING = [(code, words) for code, words, *_ in (*CERTAIN, *LATER)]


@pytest.mark.parametrize(("code", "words"), [*PASSING, ("NoSuchKey", "")], ids=[*map(str, range(len(PASSING))), "404"])
def test_failed_lines_wait_for_a_file_that_s3_refuses_for_the_moment(cloud: Cloud, code: str, words: str) -> None:
    job, before = planned_with_failures(cloud), cloud.services
    lock(cloud, code, words)
    for _ in range(10):
        cloud.deliver_all()
        cloud.tick()
    assert [each.state for each in cloud.jobs()] == ["RUNNING"]
    cloud.services = before
    cloud.settle()
    out = cloud.outcome(job)
    assert (out.failed, out.manifest.status, len(out.results)) == ([b"bad"], "COMPLETED", 2)
    assert "failed.jsonl" not in out.errors[0]["error"]["message"]


def test_answers_are_published_a_day_after_their_file_was_refused_and_say_so(cloud: Cloud) -> None:
    job = planned_with_failures(cloud)
    lock(cloud, "AccessDenied", "Access Denied")
    begun = cloud.clock.now
    cloud.settle(rounds=40, tick=3_600)
    out = cloud.outcome(job)
    assert (out.failed, out.manifest.status, len(out.results)) == ([b""], "COMPLETED", 2)
    words = "For a day, S3 did not let the dropped file be read: this line is empty in failed.jsonl."
    assert out.errors[0]["error"]["message"].endswith(words)
    assert 86_400 <= cloud.clock.now - begun < 100_000


def test_a_refusal_that_is_over_is_forgotten(cloud: Cloud) -> None:
    job, before = cloud.drop(KEY, jsonl([chat("one")])), cloud.services
    lock(cloud, "AccessDenied", "Access Denied")
    cloud.deliver("plan")
    refused = cloud.services.store.split(job or "", 0)
    cloud.services = before
    cloud.clock.now += 100
    sweep(cloud.services)
    cloud.deliver("plan")
    planned = cloud.services.store.split(job or "", 0)
    assert refused is not None
    assert planned is not None
    assert [(each.state, each.refused_at > 0) for each in (refused, planned)] == [("PENDING", True), ("PLANNED", False)]


def test_only_dropped_objects_are_locked(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="work/x", Body=b"x")
    lock(cloud, "AccessDenied", "Access Denied", key="work/x")
    with pytest.raises(ClientError):
        cloud.services.files.get("work/x")
    with pytest.raises(Gone) as gone:
        cloud.services.files.get("input/none")
    assert not isinstance(gone.value, Locked)
