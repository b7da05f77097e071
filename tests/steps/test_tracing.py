"""X-Ray's segments: one for each unit of work, with its job; none holds a word of what was read, answered or raised."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.core.lambda_launcher import LambdaContext
from batchdrop.aws.tracing import traced
from batchdrop.correlation import name_job, working_on
from batchdrop.errors import AccountRefused
from batchdrop.states import TERMINAL_JOBS
from batchdrop.steps.poll import poll_provider
from batchdrop.steps.sweep import sweep
from faking.cloud import STEPS, Cloud, jsonl
from faking.failing import Failing, FailingApis, Fails, reads
from faking.handlers import deliver
from faking.lines import chat, claude
from handlers import messages

CANARY, KEY = "the patient's name", "sk-simulated"
JOB = "20261105T091412Z-7f3a9c2e51"
TICK = 3_700


class Emitter:
    """Stands in for the one that sends to X-Ray's daemon."""

    def __init__(self) -> None:
        self.segments: list[dict[str, Any]] = []

    def send_entity(self, entity: Any) -> None:
        self.segments.append(json.loads(entity.serialize()))


@pytest.fixture
def emitter(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emitter]:
    """Tracing, turned on as the deployment turns it on, of an invocation that Lambda sampled."""
    monkeypatch.setenv("POWERTOOLS_TRACE_DISABLED", "false")
    monkeypatch.setenv("LAMBDA_TASK_ROOT", "/var/task")
    monkeypatch.setenv("_X_AMZN_TRACE_ID", "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1")
    emitter, before = Emitter(), (xray_recorder.emitter, xray_recorder.context)
    xray_recorder.configure(emitter=emitter, context=LambdaContext(), plugins=())
    yield emitter
    xray_recorder.configure(emitter=before[0], context=before[1])


def quoting() -> Exception:
    error = RuntimeError(f"cannot read {CANARY} with {KEY}")
    error.__cause__ = ValueError(CANARY)
    error.add_note(CANARY)
    return error


def go_on(cloud: Cloud, rounds: int = 9) -> None:
    """As the functions do it, until every job is over, or for so long."""
    for _ in range(rounds):
        for step in STEPS:
            deliver(cloud, step)
        if all(job.state in TERMINAL_JOBS for job in cloud.jobs()):
            return
        cloud.clock.now += TICK
        for provider in cloud.services.providers:
            poll_provider(provider, cloud.services)
        sweep(cloud.services)


def annotations(emitter: Emitter) -> list[dict[str, Any]]:
    return [each["annotations"] for each in emitter.segments]


def test_a_jobs_segments_are_found_by_its_id_from_plan_to_publish(cloud: Cloud, emitter: Emitter) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([chat(CANARY), claude(CANARY)]))
    go_on(cloud)
    mine = [each for each in emitter.segments if each["annotations"].get("job") == job]
    assert {each["name"] for each in mine} >= {messages.logger.service, "admit", "poll"}
    assert {each["failed"] for each in annotations(emitter)} == {False}
    assert [each for each in emitter.segments if CANARY in json.dumps(each) or KEY in json.dumps(each)] == []


FAILING: dict[str, dict[str, Fails]] = {
    "the file is read": {"files": reads("input/")},
    "a provider answers": {},
}


@pytest.mark.parametrize("title", FAILING)
def test_an_exception_that_quotes_a_prompt_or_a_key_is_in_no_segment(
    cloud: Cloud, emitter: Emitter, title: str
) -> None:
    cloud.drop("input/x.jsonl", jsonl([chat(CANARY), claude(CANARY)]))
    failing: dict[str, Any] = {
        name: Failing(getattr(cloud.services, name), fails, quoting()) for name, fails in FAILING[title].items()
    }
    apis: Any = FailingApis(cloud.services.apis, "retrieve", AccountRefused(f"{CANARY} {KEY}"))
    cloud.services = replace(cloud.services, **(failing or {"apis": apis}))
    go_on(cloud, rounds=2)
    assert [each for each in emitter.segments if CANARY in json.dumps(each) or KEY in json.dumps(each)] == []
    assert [each for each in emitter.segments if "cause" in each] == []
    assert True in {each["failed"] for each in annotations(emitter)}


def test_a_unit_has_the_job_that_it_turned_out_to_be_of(emitter: Emitter) -> None:
    with working_on(None), traced("intake"):
        name_job(JOB)
    assert annotations(emitter) == [{"job": JOB, "failed": False}]


def test_what_a_unit_raises_goes_on_as_it_is_and_the_segment_only_says_that_it_failed(emitter: Emitter) -> None:
    error = quoting()
    with pytest.raises(RuntimeError) as raised, working_on(JOB), traced("plan"):
        raise error
    assert raised.value is error
    assert annotations(emitter) == [{"job": JOB, "failed": True}]


def test_without_tracing_the_sdk_is_told_nothing(emitter: Emitter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("POWERTOOLS_TRACE_DISABLED")
    with working_on(JOB), traced("plan"):
        pass
    assert emitter.segments == []
