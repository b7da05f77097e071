"""`doctor`: what is deployed, reachable, permitted, queued, dead-lettered, out of date, and what to do about each.

Each check is a function that returns what it found; one that may not look, or gets no answer, is a finding, too.
"""

from collections.abc import Callable, Iterator
from typing import Literal, NamedTuple

import msgspec
from batchdrop import __version__
from batchdrop.errors import BatchdropError
from batchdrop.providers.config import Providers, load_providers
from batchdrop.states import JobState
from botocore.exceptions import BotoCoreError, ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deployed import Deployed, describe_stack, find_parts
from batchdrop_cli.jobs import recent
from batchdrop_cli.keys import stored_keys
from batchdrop_cli.say import count, note, say
from batchdrop_cli.user_errors import UserError, sentence
from batchdrop_cli.waiting import paused

FindingState = Literal["ok", "warning", "problem", "unseen"]

_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "AuthorizationError", "403"})
_STYLES = {"problem": "red", "warning": "yellow", "unseen": "yellow"}
_POLICIES = "See docs/security.md, Policies: auditor.json lets you look."
_DAYS, _JOBS = 35, 500


class Finding(msgspec.Struct, frozen=True, kw_only=True):
    """A line of `doctor --json`. `unseen` is what could not be looked at; `todo` is what to do, where anything is."""

    check: str
    state: FindingState
    text: str
    todo: str | None = None


class Patient(NamedTuple):
    """The deployment that is examined."""

    cloud: Cloud
    parts: Deployed
    providers: Providers


Check = Callable[[Patient], Iterator[Finding]]


def examine(cloud: Cloud, providers: Providers | None = None) -> list[Finding]:
    """Everything that the checks find, in the order in which a file goes through it."""
    parts = Deployed()
    unseen: list[Finding] = []
    try:
        parts = find_parts(cloud)
    except (BotoCoreError, ClientError) as error:
        unseen = [_unseen("parts", error)]
    try:
        providers = load_providers(cloud.providers_file) if providers is None else providers
    except (BatchdropError, OSError) as error:
        unseen.append(Finding(check="providers", state="problem", text=sentence(error)[0]))
    patient = Patient(cloud, parts, providers if providers is not None else Providers({}))
    return [finding for name, check in _CHECKS.items() for finding in _guarded(name, check, patient)] + unseen


def describe_absence(error: UserError) -> Finding:
    """There is no cloud to look at: the error says which one, and how to get it."""
    text, _, todo = str(error).partition(". ")
    return Finding(check="stack", state="problem", text=f"{text}.", todo=todo or None)


def _guarded(name: str, check: Check, patient: Patient) -> Iterator[Finding]:
    try:
        yield from check(patient)
    except (BotoCoreError, ClientError, BatchdropError) as error:
        yield _unseen(name, error)


def _unseen(name: str, error: Exception) -> Finding:
    text = sentence(error)[0]
    if isinstance(error, ClientError) and error.response["Error"]["Code"] in _DENIED:
        text = f"Your credentials may not call {error.operation_name}."
        return Finding(check=name, state="unseen", text=text, todo=_POLICIES)
    return Finding(check=name, state="problem", text=text)


def _stack(patient: Patient) -> Iterator[Finding]:
    stack = describe_stack(patient.cloud)
    outputs = {each["OutputKey"]: each["OutputValue"] for each in stack.get("Outputs", [])}
    version, status = outputs.get("Version"), stack["StackStatus"]
    update = "batchdrop local up" if patient.cloud.is_local else "make deploy, with the -c settings of before"
    if not status.endswith(("CREATE_COMPLETE", "UPDATE_COMPLETE")):
        todo = f"Look at the stack's events in CloudFormation, then: {update}"
        yield Finding(check="stack", state="problem", text=f"{patient.cloud.title}: {status}.", todo=todo)
    elif version != __version__:
        text = f"{patient.cloud.title} runs {version or 'a version before 0.2.0'}, this command is {__version__}."
        yield Finding(check="stack", state="warning", text=text, todo=f"Bring both to one version: {update}")
    else:
        yield Finding(check="stack", state="ok", text=f"{patient.cloud.title}: {status}, version {version}.")


def _storage(patient: Patient) -> Iterator[Finding]:
    cloud = patient.cloud
    cloud.s3.head_bucket(Bucket=cloud.bucket)
    yield Finding(check="bucket", state="ok", text=f"{cloud.bucket} is there.")


def _table(patient: Patient) -> Iterator[Finding]:
    restore = patient.cloud.store.restores.read()
    if restore.is_held:
        text = "The table was restored or adopted: nothing is sent before it is reconciled."
        yield Finding(check="table", state="problem", text=text, todo=patient.cloud.command("reconcile"))
    else:
        yield Finding(check="table", state="ok", text=f"{patient.cloud.table} is there.")


def _rules(patient: Patient) -> Iterator[Finding]:
    client, off = patient.cloud.client("events"), []
    for rule in patient.parts.rules:
        name = rule.rpartition("|")[2]
        if client.describe_rule(Name=name)["State"] != "ENABLED":
            off.append(name)
    for name in off:
        todo = f"Enable it: aws events enable-rule --name {name}"
        yield Finding(
            check="rules", state="problem", text=f"The rule {name} is disabled: it starts nothing.", todo=todo
        )
    if patient.parts.rules and not off:
        yield Finding(check="rules", state="ok", text=f"{count(len(patient.parts.rules), 'rule')} enabled.")


def _keys(patient: Patient) -> Iterator[Finding]:
    stored = stored_keys(patient.cloud, patient.providers)
    for each in stored:
        if each.set_at is None:
            todo = patient.cloud.command(f"keys set {each.provider}")
            yield Finding(
                check="keys", state="problem", text=f"{each.provider} has no key: its batches wait.", todo=todo
            )
    held = [each.provider for each in stored if each.set_at is not None]
    if held:
        text = f"Stored for {', '.join(held)}; not tried."
        yield Finding(check="keys", state="ok", text=text, todo=patient.cloud.command("keys check"))


def _pauses(patient: Patient) -> Iterator[Finding]:
    for name in patient.providers:
        pause = patient.cloud.store.providers.active_pause(name)
        if pause is not None:
            text = paused(name, pause, patient.cloud.options)
            yield Finding(check="providers", state="problem", text=text, todo=patient.cloud.command("providers"))


def _queues(patient: Patient) -> Iterator[Finding]:
    for step, url in sorted(patient.parts.queues.items()):
        waiting, at_work = _depth(patient.cloud, url)
        if waiting or at_work:
            text = f"{step}: {count(waiting, 'message')} waiting, {at_work:,} at work."
            yield Finding(check="queues", state="ok", text=text)


def _dead_letters(patient: Patient) -> Iterator[Finding]:
    total = 0
    for step, url in sorted(patient.parts.dead_letters.items()):
        letters = sum(_depth(patient.cloud, url))
        total += letters
        if letters:
            text = f"{step}: {count(letters, 'message')} failed too often."
            todo = f"Repair the cause (docs/runbook.md, DeadLetters), then: {patient.cloud.command('redrive')}"
            yield Finding(check="letters", state="warning", text=text, todo=todo)
    if patient.parts.dead_letters and not total:
        yield Finding(check="letters", state="ok", text="There are no dead letters.")


def _depth(cloud: Cloud, url: str) -> tuple[int, int]:
    names = ("ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible")
    found = cloud.client("sqs").get_queue_attributes(QueueUrl=url, AttributeNames=list(names))["Attributes"]
    waiting, at_work = (int(found.get(name, "0")) for name in names)
    return waiting, at_work


def _alarms(patient: Patient) -> Iterator[Finding]:
    pages = patient.cloud.client("cloudwatch").get_paginator("describe_alarms")
    on = {each["AlarmName"] for page in pages.paginate(StateValue="ALARM") for each in page["MetricAlarms"]}
    found = sorted(section for name, section in patient.parts.alarms.items() if name in on)
    for section in found:
        todo = f"See docs/runbook.md, {section}."
        yield Finding(check="alarms", state="warning", text=f"The alarm {section} is on.", todo=todo)
    if patient.parts.alarms and not found:
        yield Finding(check="alarms", state="ok", text="No alarm is on.")


def _jobs(patient: Patient) -> Iterator[Finding]:
    cloud = patient.cloud
    for job in recent(cloud, days=_DAYS, limit=_JOBS):
        if job.state is JobState.HELD and job.is_approved is None:
            todo = f"{cloud.command(f'approve {job.id}')} - or reject it"
            yield Finding(check="jobs", state="warning", text=f"Job {job.id} is held: {job.reason}", todo=todo)


_CHECKS: dict[str, Check] = {
    "stack": _stack,
    "bucket": _storage,
    "table": _table,
    "rules": _rules,
    "keys": _keys,
    "providers": _pauses,
    "queues": _queues,
    "letters": _dead_letters,
    "alarms": _alarms,
    "jobs": _jobs,
}


def is_wrong(findings: list[Finding]) -> bool:
    return any(each.state in {"problem", "warning"} for each in findings)


def is_blind(findings: list[Finding]) -> bool:
    """Return whether nothing could be looked at."""
    return not any(each.state == "ok" for each in findings)


def say_findings(findings: list[Finding]) -> None:
    for each in findings:
        todo = f" {each.todo}" if each.todo else ""
        say(f"{each.check:10}  {each.state}: {each.text}{todo}", style=_STYLES.get(each.state))
    unseen = sorted({each.check for each in findings if each.state == "unseen"})
    if unseen:
        note(f"Not looked at: {', '.join(unseen)}. What is wrong there is not known.")
