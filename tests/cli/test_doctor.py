"""What `doctor` finds on a stack in moto, and what it says to do about it."""

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import boto3
import pytest
from batchdrop.records import Job
from batchdrop.states import JobState
from botocore.exceptions import ClientError
from faking.parts import RULE, Parts, stack_with_parts

from batchdrop_cli import doctor
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deployed import Deployed
from batchdrop_cli.doctor import Finding

if TYPE_CHECKING:
    from conftest import Aws, Run

TITLE = "stack batchdrop in eu-central-1"


@pytest.fixture
def parts(aws: "Aws", monkeypatch: pytest.MonkeyPatch) -> Iterator[Parts]:
    for provider in ("openai", "anthropic"):
        aws.secrets.create_secret(Name=f"batchdrop/{provider}", SecretString="sk-0123456789")
    with stack_with_parts(monkeypatch) as found:
        yield found


def found(run: "Run") -> tuple[int, list[Finding]]:
    ran = run("doctor", "--json")
    return ran.code, [Finding(**each) for each in json.loads(ran.out)]


@pytest.mark.usefixtures("parts")
def test_where_nothing_is_wrong_each_check_says_so(run: "Run") -> None:
    said = (
        f"stack       ok: {TITLE}: CREATE_COMPLETE, version 0.1.0.\n"
        "bucket      ok: batchdrop-test is there.\n"
        "table       ok: batchdrop-jobs is there.\n"
        "rules       ok: 1 rule enabled.\n"
        "keys        ok: Stored for openai, anthropic; not tried. batchdrop keys check\n"
        "letters     ok: There are no dead letters.\n"
        "alarms      ok: No alarm is on.\n"
    )
    assert run("doctor") == (0, said, "")


def test_what_is_wrong_is_named_with_what_to_do(
    aws: "Aws", run: "Run", parts: Parts, a_job: Callable[..., Job]
) -> None:
    aws.secrets.delete_secret(SecretId="batchdrop/openai", ForceDeleteWithoutRecovery=True)
    parts.events.disable_rule(Name=RULE)
    parts.sqs.send_message(QueueUrl=parts.queue, MessageBody="{}")
    parts.sqs.send_message(QueueUrl=parts.dead_letters, MessageBody="{}")
    parts.alarm("ALARM")
    aws.store.add(a_job(state=JobState.HELD, reason="It may cost $20."))
    code, findings = found(run)
    job = a_job().id
    assert code == 1
    assert [each for each in findings if each.check not in {"stack", "bucket", "table"}] == [
        Finding(
            check="rules",
            state="problem",
            text=f"The rule {RULE} is disabled: it starts nothing.",
            todo=f"Enable it: aws events enable-rule --name {RULE}",
        ),
        Finding(
            check="keys",
            state="problem",
            text="openai has no key: its batches wait.",
            todo="batchdrop keys set openai",
        ),
        Finding(check="keys", state="ok", text="Stored for anthropic; not tried.", todo="batchdrop keys check"),
        Finding(check="queues", state="ok", text="plan: 1 message waiting, 0 at work."),
        Finding(
            check="letters",
            state="warning",
            text="plan: 1 message failed too often.",
            todo="Repair the cause (docs/runbook.md, DeadLetters), then: batchdrop redrive",
        ),
        Finding(
            check="alarms",
            state="warning",
            text="The alarm UnitsFailed is on.",
            todo="See docs/runbook.md, UnitsFailed.",
        ),
        Finding(
            check="jobs",
            state="warning",
            text=f"Job {job} is held: It may cost $20.",
            todo=f"batchdrop approve {job} - or reject it",
        ),
    ]


@pytest.mark.parametrize(
    ("changes", "finding"),
    [
        (
            {"version": "9.9.9"},
            Finding(
                check="stack",
                state="warning",
                text=f"{TITLE} runs 9.9.9, this command is 0.1.0.",
                todo="Bring both to one version: make deploy, with the -c settings of before",
            ),
        ),
        (
            {"status": "UPDATE_ROLLBACK_FAILED"},
            Finding(
                check="stack",
                state="problem",
                text=f"{TITLE}: UPDATE_ROLLBACK_FAILED.",
                todo="Look at the stack's events in CloudFormation, then: make deploy, with the -c settings of before",
            ),
        ),
    ],
)
@pytest.mark.usefixtures("aws")
def test_a_stack_that_is_out_of_date_or_broken_is_named(
    run: "Run", monkeypatch: pytest.MonkeyPatch, changes: dict[str, str], finding: Finding
) -> None:
    with stack_with_parts(monkeypatch, **changes):
        code, findings = found(run)
    assert (code, findings[0]) == (1, finding)


@pytest.mark.usefixtures("aws")
def test_without_a_stack_it_says_how_to_get_one(run: "Run") -> None:
    code, findings = found(run)
    assert code == 1  # no keys
    ran = run("doctor", "--stack", "other", "--json")
    assert (ran.code, json.loads(ran.out)) == (
        1,
        [
            {
                "check": "stack",
                "state": "problem",
                "text": 'There is no stack "other" in eu-central-1.',
                "todo": "Deploy it (make deploy), or name yours with --stack and --region; for a cloud on this "
                "machine: batchdrop local up",
            }
        ],
    )
    assert {each.check for each in findings} == {"stack", "bucket", "table", "keys"}


@pytest.mark.parametrize(
    ("code", "finding"),
    [
        (
            "AccessDenied",
            Finding(
                check="queues",
                state="unseen",
                text="Your credentials may not call GetQueueAttributes.",
                todo="See docs/security.md, Policies: auditor.json lets you look.",
            ),
        ),
        (
            "InternalError",
            Finding(
                check="queues",
                state="problem",
                text="AWS answered InternalError to GetQueueAttributes. Repeat the command in a moment.",
            ),
        ),
    ],
)
@pytest.mark.usefixtures("aws")
def test_what_cannot_be_looked_at_is_a_finding_and_the_others_are_made(code: str, finding: Finding) -> None:
    def refuse(_: doctor.Patient) -> Iterator[Finding]:
        yield from ()
        raise ClientError({"Error": {"Code": code}}, "GetQueueAttributes")

    cloud = Cloud(title="", is_local=False, bucket="b", table="t", session=boto3.Session())
    patient = doctor.Patient(cloud, Deployed(), doctor.Providers({}))
    assert list(doctor._guarded("queues", refuse, patient)) == [finding]  # noqa: SLF001 - the border of each check


def test_who_may_see_nothing_is_told_so_and_that_is_not_well(capsys: pytest.CaptureFixture[str]) -> None:
    unseen = [Finding(check=check, state="unseen", text="Not allowed.") for check in ("table", "bucket")]
    assert (doctor.is_blind(unseen), doctor.is_blind([*unseen, Finding(check="keys", state="ok", text="")])) == (
        True,
        False,
    )
    doctor.say_findings(unseen)
    assert capsys.readouterr().err == "Not looked at: bucket, table. What is wrong there is not known.\n"
