"""The usual calls of S3, SQS and EventBridge, answered from moto's models: through its HTTP, each takes milliseconds.

What is not usual is left to moto as a whole: most errors, conditions that fail, pages, encryption, policies. The state
is moto's in either case. A test holds each answer against moto's own.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from io import BytesIO, IOBase
from typing import Any, NamedTuple

import jsonpath_ng.ext
from botocore import handlers
from botocore.response import StreamingBody
from moto.core import models
from moto.core.models import botocore_stubber
from moto.core.utils import camelcase_to_underscores
from moto.events.models import events_backends
from moto.s3.models import FakeBucket, FakeDeleteMarker, FakeKey, S3Backend, s3_backends
from moto.sqs import models as sqs
from moto.sqs.models import Message, Queue, sqs_backends

ACCOUNT = "123456789012"  # moto's
_PAGE = 1_000  # keys
_OWNER = {"ID": "75aa57f09aa0c8caeab4f8c24e99d10f8e7faeebf76c078efc7c6caea54ba06a", "DisplayName": "webfile"}
_OF_USUAL_KEYS = {"ETag", "last-modified", "content-length", "x-amz-version-id", "x-amz-sdk-checksum-algorithm"}
_META = "x-amz-meta-"
_MOST_ENTRIES = 10  # of a call to SQS or EventBridge
_OF_USUAL_MESSAGES = {"Id", "MessageBody", "DelaySeconds", "MessageAttributes"}
_OF_USUAL_EVENTS = {"Source", "DetailType", "Detail"}

type Arguments = dict[str, Any]
type Answer = dict[str, Any] | None


class _Http(NamedTuple):
    status_code: int


def _keep_arguments(params: Arguments, context: dict[str, Any], **_: object) -> None:
    context["arguments"] = params


def answer(model: Any, context: dict[str, Any], **_: object) -> tuple[_Http, dict[str, Any]] | None:
    """Stand before each call (`before-call`) of all clients that are made from now on; None lets moto answer."""
    found = answer_of(model.name, context.get("arguments", {"unknown": True}), context["client_region"])
    return None if found is None else (_Http(found["ResponseMetadata"]["HTTPStatusCode"]), found)


def answer_of(operation: str, arguments: Arguments, region: str) -> Answer:
    """What a client is answered; None where it is not usual."""
    call, known = USUAL_CALLS.get(operation, (None, frozenset()))
    if call is None or not botocore_stubber.enabled or not arguments.keys() <= known:
        return None
    found = call(arguments, region)
    status = 404 if found is not None and "Error" in found else 200
    return None if found is None else {"ResponseMetadata": {"HTTPStatusCode": status}, **found}


# S3


def _s3() -> S3Backend:
    return s3_backends[ACCOUNT]["aws"]


def _usual_bucket(name: str) -> FakeBucket | None:
    """A bucket with versions, and with nothing else that changes what a call does."""
    bucket = _s3().buckets.get(name)
    if bucket is None or bucket.policy or bucket.encryption or bucket.object_lock_enabled:
        return None
    return bucket if bucket.is_versioned else None


def _usual_key(arguments: Arguments) -> FakeKey | None:
    """The version that is asked for, if it is there and has nothing that changes what a call does."""
    if _usual_bucket(arguments["Bucket"]) is None:
        return None
    key = _s3().get_object(arguments["Bucket"], arguments["Key"], arguments.get("VersionId"))
    return key if key is not None and key.response_dict.keys() <= _OF_USUAL_KEYS else None


def _is_absent(arguments: Arguments) -> bool:
    """Whether the bucket has no such key, and has none as usual buckets do."""
    bucket = _usual_bucket(arguments["Bucket"])
    return bucket is not None and "VersionId" not in arguments and arguments["Key"] not in bucket.keys


def _head_object(arguments: Arguments, _region: str) -> Answer:
    if _is_absent(arguments):
        return {"Error": {"Code": "404", "Message": "Not Found"}}
    key = _usual_key(arguments)
    return None if key is None else _head(key)


def _head(key: FakeKey) -> dict[str, Any]:
    return {
        "AcceptRanges": "bytes",
        "ContentLength": key.size,
        "ContentType": key.metadata["content-type"],
        "ETag": key.etag,
        "LastModified": _moment(key),
        "Metadata": {name[len(_META) :]: text for name, text in key.metadata.items() if name.startswith(_META)},
        "VersionId": key.version_id,
    }


def _get_object(arguments: Arguments, _region: str) -> Answer:
    if _is_absent(arguments):
        named = {"Message": "The specified key does not exist.", "Key": arguments["Key"]}
        return {"Error": {"Code": "NoSuchKey", **named}}
    key = _usual_key(arguments)
    if key is None:
        return None
    head, body = _head(key), key.value
    if "Range" in arguments:
        first, _, last = arguments["Range"].removeprefix("bytes=").partition("-")
        start, end = int(first or -1), min(int(last) + 1 if last else len(body), len(body))
        if not 0 <= start < end:
            return None
        head["ContentRange"] = f"bytes {start}-{end - 1}/{len(body)}"
        body = body[start:end]
    return {**head, "ContentLength": len(body), "Body": StreamingBody(BytesIO(body), len(body))}


def _put_object(arguments: Arguments, _region: str) -> Answer:
    where, body = (arguments["Bucket"], arguments["Key"]), arguments.get("Body", b"")
    is_read = isinstance(body, (bytes, IOBase))
    if not is_read or _usual_bucket(where[0]) is None:
        return None
    if "IfNoneMatch" in arguments and _s3().get_object(*where) is not None:
        return None
    key = _s3().put_object(*where, body if isinstance(body, bytes) else body.read())
    named = {f"{_META}{name.lower()}": text for name, text in arguments.get("Metadata", {}).items()}
    kind = {"Content-Type": arguments["ContentType"]} if "ContentType" in arguments else {}
    key.set_metadata({**named, **kind})
    return {"ETag": key.etag, "VersionId": key.version_id}


def _list_versions(arguments: Arguments, _region: str) -> Answer:
    bucket, prefix = _usual_bucket(arguments["Bucket"]), arguments.get("Prefix", "")
    if bucket is None:
        return None
    shown = [
        (version, number == len(versions))
        for key, versions in sorted(bucket.keys.iterlists())
        if key.startswith(prefix)
        for number, version in reversed(list(enumerate(versions, start=1)))
    ]
    if len(shown) > _PAGE:
        return None
    markers = [_listed(*each) for each in shown if isinstance(each[0], FakeDeleteMarker)]
    found = [_listed(*each) for each in shown if not isinstance(each[0], FakeDeleteMarker)]
    return {
        "Name": bucket.name,
        "Prefix": prefix,
        "KeyMarker": "",
        "VersionIdMarker": "",
        "MaxKeys": _PAGE,
        "IsTruncated": False,
        **({"Versions": found} if found else {}),
        **({"DeleteMarkers": markers} if markers else {}),
    }


def _listed(version: FakeKey | FakeDeleteMarker, is_latest: bool) -> dict[str, Any]:  # noqa: FBT001 - a pair's second
    listed = {
        "Key": version.name,
        "VersionId": version.version_id,
        "IsLatest": is_latest,
        "LastModified": _moment(version),
        "Owner": _OWNER,
    }
    return listed if isinstance(version, FakeDeleteMarker) else {**listed, **_contents(version)}


def _contents(key: FakeKey) -> dict[str, Any]:
    return {"ETag": key.etag, "Size": key.size, "StorageClass": key.storage_class}


def _list_keys(arguments: Arguments, _region: str) -> Answer:
    bucket, prefix = _usual_bucket(arguments["Bucket"]), arguments.get("Prefix", "")
    if bucket is None:
        return None
    found = [key for name, key in sorted(bucket.keys.items()) if name.startswith(prefix) and isinstance(key, FakeKey)]
    if len(found) > _PAGE:
        return None
    contents = [{"Key": key.name, "LastModified": _moment(key), **_contents(key)} for key in found]
    return {
        "Name": bucket.name,
        "Prefix": prefix,
        "MaxKeys": _PAGE,
        "KeyCount": len(contents),
        "IsTruncated": False,
        **({"Contents": contents} if contents else {}),
    }


def _list_uploads(arguments: Arguments, _region: str) -> Answer:
    """Where there are none: usually."""
    bucket = _usual_bucket(arguments["Bucket"])
    if bucket is None or bucket.multiparts:
        return None
    return {"Bucket": bucket.name, "KeyMarker": "", "UploadIdMarker": "", "MaxUploads": 1_000, "IsTruncated": False}


def _delete_objects(arguments: Arguments, _region: str) -> Answer:
    objects = arguments["Delete"]["Objects"]
    if _usual_bucket(arguments["Bucket"]) is None or not all("VersionId" in each for each in objects):
        return None
    deleted, _ = _s3().delete_objects(arguments["Bucket"], objects)
    return {"Deleted": [{"Key": key, "VersionId": version_id} for key, version_id, _ in deleted]}


def _moment(version: FakeKey | FakeDeleteMarker) -> datetime:
    found: datetime = version.last_modified
    return found.replace(microsecond=0, tzinfo=UTC)


# SQS


def queue_in(region: str, url: str) -> Queue | None:
    found: Queue | None = sqs_backends[ACCOUNT][region].queues.get(url.rpartition("/")[2])
    return found


def _receive_message(arguments: Arguments, region: str) -> Answer:
    """Where there is none: usually. Nobody sends one meanwhile, so that nobody waits for one."""
    queue = queue_in(region, arguments["QueueUrl"])
    return {} if queue is not None and not queue.messages else None


def _send_message(arguments: Arguments, region: str) -> Answer:
    queue = queue_in(region, arguments["QueueUrl"])
    if queue is None:
        return None
    body, attributes = arguments["MessageBody"], arguments.get("MessageAttributes")
    return _sent(
        sqs_backends[ACCOUNT][region].send_message(queue.name, body, attributes, arguments.get("DelaySeconds"))
    )


def _send_messages(arguments: Arguments, region: str) -> Answer:
    queue, entries = queue_in(region, arguments["QueueUrl"]), arguments["Entries"]
    is_usual = 0 < len(entries) <= _MOST_ENTRIES and all(each.keys() <= _OF_USUAL_MESSAGES for each in entries)
    if queue is None or not is_usual or len({each["Id"] for each in entries}) < len(entries):
        return None
    given = {
        str(number): {"MessageAttributes": {}, "DelaySeconds": None, **each} for number, each in enumerate(entries)
    }
    messages, failed = sqs_backends[ACCOUNT][region].send_message_batch(queue.name, given)
    return {"Successful": [{"Id": each.user_id, **_sent(each)} for each in messages], "Failed": failed}


def _sent(message: Message) -> dict[str, Any]:
    told = {"MD5OfMessageAttributes": message.attribute_md5} if message.message_attributes else {}
    return {"MessageId": message.id, "MD5OfMessageBody": message.body_md5, **told}


# EventBridge


def _put_events(arguments: Arguments, region: str) -> Answer:
    events = arguments["Entries"]
    if len(events) > _MOST_ENTRIES or not all(each.keys() <= _OF_USUAL_EVENTS for each in events):
        return None
    entries = events_backends[ACCOUNT][region].put_events(events)
    return {"FailedEntryCount": sum("ErrorCode" in each for each in entries), "Entries": entries}


_KNOWN: dict[str, tuple[Callable[[Arguments, str], Answer], str]] = {  # and the arguments that are known to each
    "HeadObject": (_head_object, "Bucket Key VersionId"),
    "GetObject": (_get_object, "Bucket Key VersionId Range ChecksumMode"),
    "PutObject": (_put_object, "Bucket Key Body ContentType Metadata IfNoneMatch"),
    "ListObjectVersions": (_list_versions, "Bucket Prefix EncodingType"),
    "ListObjectsV2": (_list_keys, "Bucket Prefix EncodingType"),
    "ListMultipartUploads": (_list_uploads, "Bucket Prefix EncodingType"),
    "DeleteObjects": (_delete_objects, "Bucket Delete"),
    "ReceiveMessage": (
        _receive_message,
        (
            "QueueUrl MaxNumberOfMessages VisibilityTimeout WaitTimeSeconds MessageAttributeNames "
            "AttributeNames MessageSystemAttributeNames"
        ),
    ),
    "SendMessage": (_send_message, "QueueUrl MessageBody DelaySeconds MessageAttributes"),
    "SendMessageBatch": (_send_messages, "QueueUrl Entries"),
    "PutEvents": (_put_events, "Entries"),
}
USUAL_CALLS = {name: (call, frozenset(known.split())) for name, (call, known) in _KNOWN.items()}

# With each cloud moto registers 1,288 answers for `requests`, which nothing here uses, and spells what a queue has;
# with each event it makes the parsers of its paths.
models.RESPONSES_METHODS.clear()
sqs.camelcase_to_underscores = cache(camelcase_to_underscores)
jsonpath_ng.ext.parse = cache(jsonpath_ng.ext.parse)
for _service in ("s3", "sqs", "events"):
    handlers.BUILTIN_HANDLERS += [
        (f"before-parameter-build.{_service}", _keep_arguments, handlers.REGISTER_LAST),
        (f"before-call.{_service}", answer, handlers.REGISTER_LAST),
    ]
