"""Actions on a job: each is asked first, done as the command does it, logged as one line, sent as an event."""

from collections.abc import Callable

import msgspec
from batchdrop.errors import BatchdropError
from batchdrop.manifest import ActionEvent, timestamp
from batchdrop.records import Job
from botocore.exceptions import BotoCoreError, ClientError
from starlette.requests import Request
from starlette.responses import Response

from batchdrop_cli import decisions, jobs, whose
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.failed_lines import find_reasons
from batchdrop_cli.say import count
from batchdrop_cli.user_errors import UserError
from batchdrop_cli.words import noun_of
from batchdrop_client import Client
from batchdrop_console.pages import READ_ONLY, Console, ReadOnly, console_of, page, render, say, see_other

QUESTIONS = {
    "cancel": "Cancel this job?",
    "approve": "Send this job whatever it costs?",
    "reject": "End this job with nothing sent?",
    "retry": "Send the failed lines again?",
}


class ActionLine(msgspec.Struct, frozen=True, kw_only=True):
    """A line of the log. `event` says whether EventBridge took the event."""

    at: str
    by: str | None
    action: str
    job: str | None
    result: str
    event: str


@page
def ask(request: Request) -> Response:
    """Say what an action does, and ask."""
    console, action = console_of(request), _action(request)
    job = jobs.find(console.cloud, request.path_params["job"])
    lines = _consequences(console, job, action)
    return render(request, "ask.html", title=QUESTIONS[action], job=job, action=action, lines=lines)


@page
def act(request: Request) -> Response:
    """Do it, and show the job."""
    console, action, name = console_of(request), _action(request), request.path_params["job"]
    done = perform(console, action, name, lambda: _do(console, jobs.find(console.cloud, name), action))
    return see_other(f"/jobs/{done}?done={action}")


def perform(console: Console, action: str, job: str | None, do: Callable[[], str]) -> str:
    """Change something where that is allowed; whatever comes of it is recorded.

    Args:
        console: Which allows it, or does not.
        action: Its name.
        job: The job that it is about, where there is one.
        do: Does it; the job to be shown.

    Raises:
        ReadOnly: It is not allowed.
    """
    try:
        _refuse_read_only(console)
        done = do()
    except Exception as error:
        _record(console, action, job, say(error))
        raise
    _record(console, action, done, "done")
    return done


def _refuse_read_only(console: Console) -> None:
    if not console.may_write:
        raise ReadOnly(READ_ONLY)


def _record(console: Console, action: str, job: str | None, result: str) -> None:
    """Log what was done, or why it was not, and send the event."""
    cloud = console.cloud
    event = "sent"
    try:
        cloud.events.console_action(ActionEvent(job=job, action=action, by=cloud.user, result=result))
    except (BatchdropError, BotoCoreError, ClientError) as error:
        event = f"not sent: {say(error)}"
    line = ActionLine(at=timestamp(console.now()), by=cloud.user, action=action, job=job, result=result, event=event)
    console.log(msgspec.json.encode(line).decode())


def _action(request: Request) -> str:
    action = str(request.path_params["action"])
    if action not in QUESTIONS:
        raise UserError("There is no such page.", code=WRONG_USE)
    return action


def _do(console: Console, job: Job, action: str) -> str:
    """Do it as the command does; the job to be shown."""
    match action:
        case "cancel":
            return decisions.cancel(console.cloud, job).id
        case "approve":
            return decisions.approve(console.cloud, job).id
        case "reject":
            return decisions.reject(console.cloud, job).id
        case _:
            return Client.on(console.cloud).job(job.id).retry().id


def _consequences(console: Console, job: Job, action: str) -> list[str]:
    cloud = console.cloud
    match action:
        case "cancel":
            return decisions.describe_cancel(cloud, job, whose.dropper(cloud, job))
        case "approve":
            return [job.reason or "", "Whatever it costs, it is paid."]
        case "reject":
            return [job.reason or "", "Nothing was sent, and nothing is paid."]
        case _:
            manifest = jobs.read_manifest(cloud, job)
            failed = 0 if manifest.counts is None else manifest.counts.failed
            reasons = [str(each).strip() for each in find_reasons(cloud, manifest, noun_of(job))]
            return [
                f"{count(failed, noun_of(job))} failed. They become a job of their own, and are paid for.",
                *reasons,
            ]
