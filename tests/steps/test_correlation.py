"""The correlation id of a log line is the job's, from the first line that can know it, and gone with the message."""

import ast
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import batchdrop
import pytest
from batchdrop.aws.queues import job_of
from batchdrop.correlation import current_job, job_of_key, name_job, working_on
from batchdrop.errors import Transient
from batchdrop.steps.sweep import sweep
from faking.cloud import BUCKET, Cloud, jsonl
from faking.failing import FailingApis
from faking.lines import chat
from faking.logs import Log, all_logged
from handlers.messages import each_message, logger

JOB, OTHER = "20261105T091412Z-7f3a9c2e51", "20261105T091412Z-0000000000"
CONTEXT: Any = SimpleNamespace()


@pytest.fixture
def log() -> Iterator[Log]:
    with all_logged() as found:
        yield found


def deliver(bodies: list[str], step: Any) -> Any:
    records = [{"body": body, "messageId": f"m-{n}", "eventSource": "aws:sqs"} for n, body in enumerate(bodies)]
    return each_message({"Records": records}, CONTEXT, step)


def test_each_message_has_its_own_jobs_id_also_in_the_line_of_its_failure(log: Log) -> None:
    def fail(_: Any) -> None:
        logger.info("at work")
        raise RuntimeError

    bodies = [json.dumps({"job": JOB, "split": 0}), json.dumps({"detail": {}}), json.dumps({"job": OTHER}), "no JSON"]
    deliver(bodies, fail)
    lines = [line for line in map(json.loads, log.lines) if line["message"] in {"at work", "unit failed"}]
    assert [line.get("correlation_id") for line in lines] == [JOB, JOB, None, None, OTHER, OTHER, None, None]
    assert current_job() is None


def test_intake_has_the_jobs_id_once_it_knows_it_and_forgets_it_with_the_message(cloud: Cloud, log: Log) -> None:
    version = cloud.s3.put_object(Bucket=BUCKET, Key="input/x.jsonl", Body=jsonl([chat(1)]))["VersionId"]
    detail = {"object": {"key": "input/x.jsonl", "size": 9, "version-id": version}}
    event = {"time": "2026-11-05T09:14:12Z", "detail": detail}

    def take(record: Any) -> None:
        cloud.call("intake", json.loads(record.body))
        raise RuntimeError  # after the job is known

    deliver([json.dumps(event)], take)
    (job,) = cloud.jobs()
    lines = [line for line in map(json.loads, log.lines) if line["message"] in {"job taken", "unit failed"}]
    assert [line["correlation_id"] for line in lines] == [job.id, job.id]
    assert current_job() is None


def test_what_a_unit_turned_out_to_be_of_ends_with_the_unit() -> None:
    with working_on(JOB):
        with working_on(None):
            name_job(OTHER)
            assert current_job() == OTHER
        assert current_job() == JOB
    assert current_job() is None


def test_a_row_that_cannot_be_read_has_its_own_jobs_id(cloud: Cloud, log: Log) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat(1)]))
    cloud.table.items[(f"JOB#{job}", "SPLIT#00000")]["priority"] = {"S": "high"}
    cloud.clock.now += 3_700
    sweep(cloud.services)
    lines = [line for line in map(json.loads, log.lines) if line["message"] == "row cannot be read"]
    assert {(line["correlation_id"], line["pk"]) for line in lines} == {(job, f"JOB#{job}")}


def test_a_batch_that_its_provider_does_not_tell_of_has_its_jobs_id(cloud: Cloud, log: Log) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat(1)]))
    cloud.deliver_all()
    apis: Any = FailingApis(cloud.services.apis, "retrieve", Transient("not now"))
    cloud.services = replace(cloud.services, apis=apis)
    cloud.tick(3_600)
    lines = [line for line in map(json.loads, log.lines) if line["message"] == "provider did not answer"]
    assert {line["correlation_id"] for line in lines} == {job}


def test_a_dead_letter_that_is_dropped_has_its_jobs_id(cloud: Cloud, log: Log) -> None:
    url = cloud.services.settings.plan_dead_letters
    many = {"redriven": {"DataType": "Number", "StringValue": "999"}}
    cloud.sqs.send_message(QueueUrl=url, MessageBody=json.dumps({"job": JOB, "split": 0}), MessageAttributes=many)
    sweep(cloud.services)
    dropped = [json.loads(line) for line in log.lines if "it failed too often" in line]
    assert [line["correlation_id"] for line in dropped] == [JOB]


@pytest.mark.parametrize(("body", "job"), [('{"job":"x","split":1}', "x"), ('{"a":1}', None), ("", None), ("[]", None)])
def test_a_message_names_its_job_or_none(body: str, job: str | None) -> None:
    assert job_of(body) == job


def test_a_key_names_its_job_and_one_that_is_no_jobs_the_one_that_is_worked_on() -> None:
    with working_on(JOB):
        assert [job_of_key(f"JOB#{OTHER}"), job_of_key("PROVIDER#openai"), job_of_key(None)] == [OTHER, JOB, JOB]


def test_no_log_line_names_its_job_in_a_field_of_its_own() -> None:
    """One field has it in all lines: two would be one too many to search for."""
    texts = [path.read_text(encoding="utf-8") for path in Path(batchdrop.__file__).parents[1].rglob("*.py")]
    calls = [node for text in texts for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call)]
    logs = [each for each in calls if ast.unparse(each.func).startswith(("logger.", "log_exception"))]
    assert [ast.unparse(each) for each in logs if {"job", "correlation_id"} & {k.arg for k in each.keywords}] == []
    assert len(logs) > 50
