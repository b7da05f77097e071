"""Answers from moto's models are those that moto itself gives: what tests of whole jobs stand on."""

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, ParamValidationError
from faking import moto_models
from faking.short_clients import short_client
from moto import mock_aws

BUCKET = "bucket"
OURS = ("Checksum", "EncodingType")  # what botocore asks for and looks at by itself


class Both:
    """The same calls, of clients that are answered from the models and of one that is not, one after the other."""

    def __init__(self, service: str) -> None:
        self.shortest = short_client(service)
        self.short = boto3.Session(region_name="us-east-1").client(service)
        self.long = boto3.Session(region_name="us-east-1").client(service)
        self.long.meta.events.unregister(f"before-call.{service}", moto_models.answer)
        self.shortened = 0
        self.short.meta.events.register("before-send", self._goes_the_long_way)

    def _goes_the_long_way(self, **_: object) -> None:
        self.shortened -= 1

    def read(self, method: str, **arguments: Any) -> Any:
        """What all say of a call that changes nothing."""
        long = _said(self.long, method, arguments)
        assert _said(self.shortest, method, arguments) == long
        self.shortened += 1
        assert _said(self.short, method, arguments) == long
        return long

    def write(self, method: str, **arguments: Any) -> Any:
        """What the shortened one says of a call; the others say so of the same."""
        self.shortened += 1
        short = _said(self.short, method, arguments)
        assert _kinds(_said(self.shortest, method, arguments)) == _kinds(short)
        assert _kinds(_said(self.long, method, arguments)) == _kinds(short)
        return short


def _said(client: Any, method: str, arguments: dict[str, Any]) -> Any:
    try:
        answer = getattr(client, method)(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"]
    answer.pop("ResponseMetadata")
    body = {"Body": answer["Body"].read()} if "Body" in answer else {}
    return _without(OURS, {**answer, **body})


def _without(names: tuple[str, ...], value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without(names, each) for name, each in value.items() if not name.startswith(names)}
    return [_without(names, each) for each in value] if isinstance(value, list) else value


def _kinds(answer: Any) -> Any:
    """Which fields there are: ids differ."""
    return {name: type(value) for name, value in answer.items()} if isinstance(answer, dict) else answer


@pytest.fixture
def aws() -> Iterator[None]:
    with mock_aws():
        yield


@pytest.fixture
def s3(aws: None) -> Both:
    del aws
    both = Both("s3")
    both.long.create_bucket(Bucket=BUCKET)
    both.long.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    return both


@pytest.fixture
def objects(s3: Both) -> dict[str, str]:
    """The version of each key, the last one's first; `gone` has a delete marker on it."""
    given = {"a/one": b"one", "a/zwölf & more": b"twelve", "empty": b"", "gone": b"gone"}
    for key, body in given.items():
        s3.short.put_object(Bucket=BUCKET, Key=key, Body=b"before " + body)
        s3.short.put_object(
            Bucket=BUCKET, Key=key, Body=body, ContentType="application/jsonl", Metadata={"Batchdrop-X": "Y"}
        )
    s3.long.put_object(Bucket=BUCKET, Key="a/long", Body=b"of moto's own")
    s3.long.delete_object(Bucket=BUCKET, Key="gone")
    versions = s3.long.list_object_versions(Bucket=BUCKET)["Versions"]
    return {each["Key"]: each["VersionId"] for each in reversed(versions)}


@pytest.mark.parametrize("method", ["head_object", "get_object"])
def test_objects_are_read_as_from_moto(s3: Both, objects: dict[str, str], method: str) -> None:
    for key, version in objects.items():
        s3.read(method, Bucket=BUCKET, Key=key)
        s3.read(method, Bucket=BUCKET, Key=key, VersionId=version)
    assert s3.shortened == 2 * len(objects) - 1  # who asks for what is deleted is refused by moto
    assert s3.read(method, Bucket=BUCKET, Key="never there") in {"404", "NoSuchKey"}
    assert s3.shortened == 2 * len(objects)


@pytest.mark.parametrize("span", ["0-", "1-", "0-0", "1-1", "1-100", "2-2", "3-", "7-9", "-2"])
def test_ranges_are_those_of_moto(s3: Both, objects: dict[str, str], span: str) -> None:
    for key in objects:
        s3.read("get_object", Bucket=BUCKET, Key=key, Range=f"bytes={span}")


@pytest.mark.parametrize("prefix", ["", "a/", "a/z", "gone", "nothing"])
@pytest.mark.parametrize("method", ["list_object_versions", "list_objects_v2", "list_multipart_uploads"])
def test_listings_are_those_of_moto(s3: Both, objects: dict[str, str], method: str, prefix: str) -> None:
    assert objects
    s3.read(method, Bucket=BUCKET, Prefix=prefix)
    assert s3.shortened == 1
    s3.long.create_multipart_upload(Bucket=BUCKET, Key="a/upload")
    s3.read(method, Bucket=BUCKET, Prefix=prefix)


def test_pages_are_motos(s3: Both, objects: dict[str, str]) -> None:
    assert objects
    assert s3.read("list_object_versions", Bucket=BUCKET, MaxKeys=2)["IsTruncated"]
    assert s3.read("list_object_versions", Bucket=BUCKET, KeyMarker="a/one")["Versions"]
    assert s3.read("list_objects_v2", Bucket=BUCKET, MaxKeys=1)["IsTruncated"]
    assert s3.shortened == 0


def test_what_is_put_is_read_by_moto_as_its_own(s3: Both) -> None:
    put = {"Bucket": BUCKET, "Body": b"body", "ContentType": "text/plain", "Metadata": {"Some-Name": "Some value"}}
    s3.short.put_object(Key="short", **put)
    s3.long.put_object(Key="long", **put)
    short, long = (_said(s3.long, "get_object", {"Bucket": BUCKET, "Key": key}) for key in ("short", "long"))
    assert {**short, "VersionId": "", "LastModified": ""} == {**long, "VersionId": "", "LastModified": ""}
    s3.write("put_object", Key="short", **put)
    assert s3.shortened == 1
    assert len(s3.long.list_object_versions(Bucket=BUCKET, Prefix="short")["Versions"]) == 4


def test_a_short_client_checks_arguments_and_is_heard_as_botocores_own(s3: Both) -> None:
    with pytest.raises(ParamValidationError):
        s3.shortest.put_object(Bucket=BUCKET, Key="key", Body=b"", ContentType=3)
    with pytest.raises(ParamValidationError):
        s3.shortest.put_object(Bucket=BUCKET, Key="key", Body=b"", Metadata={"name": "zwölf"})
    heard: list[str] = []
    s3.shortest.meta.events.register("before-call.s3", lambda event_name, **_: heard.append(event_name))
    s3.shortest.put_object(Bucket=BUCKET, Key="key", Body=b"")
    short_client("s3").put_object(Bucket=BUCKET, Key="key", Body=b"")
    assert heard == ["before-call.s3.PutObject"]


def test_a_first_write_is_the_only_one(s3: Both) -> None:
    s3.short.put_object(Bucket=BUCKET, Key="first", Body=b"1", IfNoneMatch="*")
    assert s3.write("put_object", Bucket=BUCKET, Key="first", Body=b"2", IfNoneMatch="*") == "PreconditionFailed"
    assert s3.long.get_object(Bucket=BUCKET, Key="first")["Body"].read() == b"1"


def test_versions_are_deleted_as_by_moto(s3: Both, objects: dict[str, str]) -> None:
    doomed = [{"Key": key, "VersionId": version} for key, version in objects.items()]
    said = s3.write("delete_objects", Bucket=BUCKET, Delete={"Objects": doomed, "Quiet": True})
    assert said == {"Deleted": doomed}
    left = s3.read("list_object_versions", Bucket=BUCKET)
    assert [each["Key"] for each in left["Versions"]] == ["a/one", "a/zwölf & more", "empty", "gone"]


@pytest.mark.parametrize("attributes", [{}, {"hops": {"DataType": "Number", "StringValue": "3"}}])
def test_messages_are_sent_and_received_as_with_moto(aws: None, attributes: dict[str, Any]) -> None:
    del aws
    sqs = Both("sqs")
    url = sqs.long.create_queue(QueueName="queue")["QueueUrl"]
    receive = {"QueueUrl": url, "MaxNumberOfMessages": 10, "VisibilityTimeout": 0, "MessageAttributeNames": ["hops"]}
    assert sqs.read("receive_message", **receive) == {}
    sqs.write("send_message", QueueUrl=url, MessageBody="{}", MessageAttributes=attributes)
    sqs.write("send_message", QueueUrl=url, MessageBody="later", DelaySeconds=900)
    assert sqs.shortened == 3
    short, _, long = sqs.long.receive_message(**receive)["Messages"]
    same = ("Body", "MD5OfBody", "MessageAttributes", "MD5OfMessageAttributes")
    assert [short.get(name) for name in same] == [long.get(name) for name in same]
    assert short.get("MessageAttributes", {}) == attributes


def test_messages_are_sent_by_ten_as_with_moto(aws: None) -> None:
    del aws
    sqs = Both("sqs")
    url = sqs.long.create_queue(QueueName="queue")["QueueUrl"]
    hops = {"hops": {"DataType": "Number", "StringValue": "3"}}
    entries = [
        {"Id": "1", "MessageBody": "one", "DelaySeconds": 0},
        {"Id": "2", "MessageBody": "two", "MessageAttributes": hops},
    ]
    said = sqs.write("send_message_batch", QueueUrl=url, Entries=entries)
    assert [each["Id"] for each in said["Successful"]] == ["1", "2"]
    assert sqs.shortened == 1
    assert sqs.write("send_message_batch", QueueUrl=url, Entries=entries[:1] * 2) == (
        "AWS.SimpleQueueService.BatchEntryIdsNotDistinct"
    )
    found = sqs.long.receive_message(QueueUrl=url, MaxNumberOfMessages=10, MessageAttributeNames=["hops"])["Messages"]
    assert [(each["Body"], each.get("MessageAttributes", {})) for each in found] == [("one", {}), ("two", hops)] * 3


@pytest.mark.parametrize(("detail", "failed"), [('{"a": 1}', 0), ("no JSON", 1)])
def test_events_come_to_their_queue_as_with_moto(aws: None, detail: str, failed: int) -> None:
    del aws
    events, sqs = Both("events"), boto3.client("sqs", region_name="us-east-1")
    url = sqs.create_queue(QueueName="queue")["QueueUrl"]
    arn = "arn:aws:sqs:us-east-1:123456789012:queue"
    events.long.put_rule(Name="rule", EventPattern=json.dumps({"source": ["batchdrop"]}))
    events.long.put_targets(Rule="rule", Targets=[{"Id": "queue", "Arn": arn}])
    entry = {"Source": "batchdrop", "DetailType": "Job Completed", "Detail": detail}
    assert events.write("put_events", Entries=[entry])["FailedEntryCount"] == failed
    assert events.shortened == 1
    found = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages", [])
    bodies = [json.loads(each["Body"]) for each in found]
    assert [(each["detail-type"], each["detail"]) for each in bodies] == [("Job Completed", {"a": 1})] * 3 * (
        1 - failed
    )
