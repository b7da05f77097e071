import json
from typing import TYPE_CHECKING, Any

import pytest
from batchdrop.states import JobState
from botocore.exceptions import ClientError
from faking.lines import capped, chat
from starlette.testclient import TestClient

from batchdrop_console.pages import READ_ONLY

if TYPE_CHECKING:
    from conftest import World

ACTIONS = ("cancel", "approve", "reject", "retry")


def held(world: "World") -> str:
    """A job that is held for its budget."""
    line = json.dumps(capped("q", "r")).encode() + b"\n"
    job = world.cloud.drop("input/mine/a.jsonl", line, **{"batchdrop-budget-usd": "0.000001"})
    world.cloud.deliver_all()
    assert job is not None
    assert state(world, job) is JobState.HELD
    return job


def state(world: "World", job: str) -> JobState:
    found = world.cloud.services.store.job(job)
    assert found is not None
    return found.state


def actions(world: "World") -> list[dict[str, Any]]:
    return [each["detail"] for each in world.cloud.events() if each["detail-type"] == "Console Action"]


@pytest.mark.parametrize("action", ACTIONS[:3])
def test_a_console_that_only_reads_changes_nothing(world: "World", action: str) -> None:
    job = held(world)
    with world.browser() as browser:
        asked = browser.get(f"/jobs/{job}/{action}").text
        answer = browser.post(f"/jobs/{job}/{action}")
        offered = browser.get(f"/jobs/{job}").text
    assert READ_ONLY in asked
    assert "<form" not in asked
    assert (answer.status_code, READ_ONLY in answer.text) == (403, True)
    assert f"/jobs/{job}/{action}" not in offered
    assert state(world, job) is JobState.HELD
    told = [(each["action"], each["job"], each["result"]) for each in (*map(json.loads, world.log), *actions(world))]
    assert told == [(action, job, READ_ONLY)] * 2


@pytest.mark.parametrize("action", ACTIONS[:3])
def test_an_action_asks_first_and_asking_changes_nothing(world: "World", writer: TestClient, action: str) -> None:
    job = held(world)
    asked = writer.get(f"/jobs/{job}/{action}")
    assert f'<form method="post" action="/jobs/{job}/{action}">' in asked.text
    assert (asked.status_code, state(world, job), world.log) == (200, JobState.HELD, [])


@pytest.mark.parametrize(
    ("action", "then"),
    [("cancel", JobState.CANCELLING), ("reject", JobState.PUBLISHING), ("approve", JobState.HELD)],
)
def test_an_action_is_done_logged_as_one_line_and_sent_as_an_event(
    world: "World", writer: TestClient, action: str, then: JobState
) -> None:
    job = held(world)
    world.cloud.events()
    answer = writer.post(f"/jobs/{job}/{action}")
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job}?done={action}")
    assert state(world, job) is then
    (line,) = [json.loads(each) for each in world.log]
    by = world.console().cloud.user
    assert line == {"at": line["at"], "by": by, "action": action, "job": job, "result": "done", "event": "sent"}
    event = {"schema": "batchdrop.event/1", "job": job, "action": action, "by": by, "result": "done"}
    assert actions(world) == [event]
    assert 'role="status"' in writer.get(answer.headers["location"]).text


def test_an_action_twice_is_as_good_as_once_and_one_that_comes_too_late_is_told_and_logged(
    world: "World", writer: TestClient
) -> None:
    job = held(world)
    assert [writer.post(f"/jobs/{job}/cancel").status_code for _ in range(2)] == [303, 303]
    late = writer.post(f"/jobs/{job}/approve")
    said = f"Job {job} is CANCELLING, not held for its budget: there is nothing to approve. See: batchdrop show {job}"
    assert (late.status_code, said in late.text) == (409, True)
    assert [json.loads(each)["result"] for each in world.log] == ["done", "done", said]
    assert [each["result"] for each in actions(world)] == ["done", "done", said]


def test_failed_lines_are_sent_again_as_a_job_of_their_own(world: "World", writer: TestClient) -> None:
    job = world.cloud.run("input/mine/a.jsonl", [chat("q", "r"), b"{bad"]).manifest.job
    asked = writer.get(f"/jobs/{job}/retry").text
    assert "1 line failed. They become a job of their own, and are paid for." in asked
    assert "1 invalid_json (line 2; to be fixed)" in asked
    answer = writer.post(f"/jobs/{job}/retry")
    retry = answer.headers["location"].removeprefix("/jobs/").removesuffix("?done=retry")
    (line,) = [json.loads(each) for each in world.log]
    assert (answer.status_code, line["action"], line["job"], retry != job) == (303, "retry", retry, True)
    (dropped,) = [key for key in world.cloud.keys("input/") if "retry" in key]
    assert world.cloud.read(dropped) == b"{bad\n"
    young = writer.get(answer.headers["location"])
    assert (young.status_code, f"It is being taken up as job {retry}" in young.text) == (200, True)


def test_an_action_on_no_job_is_logged(world: "World", writer: TestClient) -> None:
    answer = writer.post("/jobs/nope/cancel")
    (line,) = [json.loads(each) for each in world.log]
    said = "There is no job nope. See: batchdrop jobs"
    assert (answer.status_code, line["job"], line["result"]) == (404, "nope", said)


def test_an_action_whose_event_is_not_taken_is_done_all_the_same_and_the_log_says_so(world: "World") -> None:
    job = held(world)
    console = world.console(may_write=True)

    def refuse(**_: object) -> None:
        raise ClientError({"Error": {"Code": "AccessDeniedException", "Message": "no"}}, "PutEvents")

    console.cloud.events._client.meta.events.register("before-call.events.PutEvents", refuse)  # noqa: SLF001 - the border
    with world.browser_of(console) as writer:
        assert writer.post(f"/jobs/{job}/cancel").status_code == 303
    assert state(world, job) is JobState.CANCELLING
    refused = "not sent: AWS refused access. The credentials need more permissions (PutEvents)."
    assert [json.loads(each)["event"] for each in world.log] == [refused]


def test_a_log_line_and_an_event_hold_nothing_of_the_file(world: "World", writer: TestClient) -> None:
    job = held(world)
    writer.post(f"/jobs/{job}/cancel")
    assert set(json.loads(world.log[0])) == {"at", "by", "action", "job", "result", "event"}
    assert "input/" not in world.log[0]
