"""The example consumer's function against moto, and its stack as it is synthesised."""

import json
from collections.abc import Callable, Iterator
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

import aws_cdk as cdk
import boto3
import pytest
from aws_cdk.assertions import Match, Template
from moto import mock_aws

FOLDER = Path(__file__).resolve().parent.parent.parent / "examples/consumer"
BUCKET = "batchdrop-test"


def load(path: Path) -> ModuleType:
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


consume = load(FOLDER / "function/consume.py")


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("TABLE", "summaries")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    with mock_aws():
        client = boto3.client("s3")
        client.create_bucket(Bucket=BUCKET)
        client.put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
        yield client


@pytest.fixture
def table(s3: Any) -> Any:  # noqa: ARG001 - boto3's tables have no type of their own; moto is on
    return boto3.resource("dynamodb").create_table(
        TableName="summaries",
        BillingMode="PAY_PER_REQUEST",
        AttributeDefinitions=[{"AttributeName": "job", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "job", "KeyType": "HASH"}],
    )


def line(model: str, endpoint: str, body: object, error: object = None) -> bytes:
    response = {"status_code": 200, "request_id": None, "body": body}
    values = {"model": model, "endpoint": endpoint, "response": response, "error": error}
    return json.dumps(values, ensure_ascii=False).encode() + b"\n"


def chat(text: str) -> dict[str, Any]:
    return {"choices": [{"message": {"content": text}}]}


PARTS = [
    [
        line("gpt-4o-mini", "/v1/chat/completions", chat("Positive.")),
        line("gpt-4o-mini", "/v1/chat/completions", chat("positive\u2028!")),
        line("claude-haiku-4-5", "/v1/messages", {"content": [{"type": "text", "text": "negative [ab]"}]}),
    ],
    [
        line("gpt-4o-mini", "/v1/responses", {"output": [{"content": [{"type": "output_text", "text": "Danish"}]}]}),
        line("text-embedding-3-small", "/v1/embeddings", {"data": []}),
        line("gpt-4o-mini", "/v1/chat/completions", {"error": {}}, {"code": "no"}),
    ],
]


@pytest.fixture
def event(s3: Any) -> dict[str, Any]:
    """The event of a job with two parts of results, each overwritten since."""
    put: Callable[[str, bytes], dict[str, Any]] = lambda key, body: {  # noqa: E731 - a line that is used twice
        "key": key,
        "version_id": s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"],
    }
    parts = [put(f"output/a/results-{number}.jsonl", b"".join(lines)) for number, lines in enumerate(PARTS)]
    manifest = {
        "job": "j-1",
        "input": {"bucket": BUCKET, "key": "input/a.jsonl"},
        "counts": {"answered": 5, "failed": 1},
        "files": {"results": parts},
    }
    where = {"bucket": BUCKET, **put("output/a/manifest.json", json.dumps(manifest).encode())}
    for part in parts:
        put(part["key"], b"newer")
    return {"Records": [{"body": json.dumps({"detail": {"job": "j-1", "manifest": where}})}]}


ROW = {
    "job": "j-1",
    "file": "input/a.jsonl",
    "answered": 5,
    "failed": 1,
    "labels": {"gpt-4o-mini": {"positive": 2, "other": 1}, "claude-haiku-4-5": {"negative": 1}},
}


def test_labels_are_counted_by_model_from_the_parts_that_the_manifest_names(event: dict[str, Any], table: Any) -> None:
    consume.handler(event, None)
    assert table.scan()["Items"] == [ROW]


def test_the_same_event_twice_is_one_row_and_reads_once(event: dict[str, Any], table: Any, s3: Any) -> None:
    consume.handler(event, None)
    detail = json.loads(event["Records"][0]["body"])["detail"]
    gone = {**detail, "manifest": {**detail["manifest"], "key": "not there"}}
    assert consume.take_job(gone, s3=s3, table=table) is False
    assert table.scan()["Items"] == [ROW]


class LateTable:
    """A table on which another run wins between the look and the write."""

    def __init__(self, table: Any) -> None:
        self._table = table
        self.meta = table.meta

    def get_item(self, **request: object) -> dict[str, Any]:
        answer: dict[str, Any] = self._table.get_item(**request)
        self._table.put_item(Item={"job": "j-1", "winner": True})
        return answer

    def put_item(self, **request: object) -> object:
        return self._table.put_item(**request)


def test_of_two_runs_at_once_one_writes(event: dict[str, Any], table: Any, s3: Any) -> None:
    detail = json.loads(event["Records"][0]["body"])["detail"]
    assert consume.take_job(detail, s3=s3, table=LateTable(table)) is False
    assert table.scan()["Items"] == [{"job": "j-1", "winner": True}]


def test_lines_that_are_cut_by_chunks_are_whole() -> None:
    assert list(consume.cut(iter([b"a", b"b\nc", b"", b"\n\nd"]))) == [b"ab", b"c", b"", b"d"]


@pytest.fixture(scope="module")
def template() -> Template:
    app = load(FOLDER / "app.py")
    stack = app.Consumer(cdk.App(), "consumer", bucket_name=BUCKET, architecture=app.ARCHITECTURES["x86_64"])
    return Template.from_stack(stack)


def test_it_hears_of_completed_jobs_of_its_bucket_alone(template: Template) -> None:
    template.has_resource_properties(
        "AWS::Events::Rule",
        {
            "EventPattern": {
                "source": ["batchdrop"],
                "detail-type": ["Job Completed"],
                "detail": {"input": {"bucket": [BUCKET]}},
            },
            "Targets": [{"Arn": Match.any_value(), "Id": Match.any_value(), "DeadLetterConfig": Match.any_value()}],
        },
    )


def test_it_may_only_read_answers_and_write_its_rows(template: Template) -> None:
    policies = template.find_resources("AWS::IAM::Policy").values()
    actions = {
        action
        for policy in policies
        for statement in policy["Properties"]["PolicyDocument"]["Statement"]
        for action in statement["Action"]
        if not action.startswith("sqs:")
    }
    assert actions == {"s3:GetObject*", "s3:GetBucket*", "s3:List*", "dynamodb:GetItem", "dynamodb:PutItem"}
