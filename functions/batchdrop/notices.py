"""Writes notices for people: a subject, and a few lines on the event and the next command to type.

Names of files and reasons come from elsewhere: whatever is no letter, digit or sign is shown as "?".
"""

from decimal import Decimal
from urllib.parse import quote

import msgspec

from batchdrop.manifest import HeldEvent, JobEvent, ProviderEvent
from batchdrop.money import Money
from batchdrop.states import JobState

KINDS: dict[str, type[JobEvent | ProviderEvent]] = {
    "Job Completed": JobEvent,
    "Job Failed": JobEvent,
    "Job Cancelled": JobEvent,
    "Job Late": JobEvent,
    "Job Held": HeldEvent,
    "Provider Paused": ProviderEvent,
}
"""The detail of each event that somebody is notified of."""

_LONGEST_SUBJECT = 100  # SNS's limit, in ASCII


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    subject: str
    text: str


def notice_of(kind: str, detail: bytes | msgspec.Raw) -> Notice:
    """The notice of an event, by its detail's type."""
    event = msgspec.json.decode(detail, type=KINDS[kind])
    if isinstance(event, ProviderEvent):
        return _of_provider(event)
    found = {"Job Late": _late, "Job Held": _held}.get(kind, _over)(event)
    return Notice(subject=_subject(f"batchdrop: {_name(event)} {found[0]}"), text=_text(event, found))


def _over(event: JobEvent) -> tuple[str, list[str]]:
    counts = event.counts
    done = f"{counts.answered:,} of {counts.total:,} lines are answered" if counts else "it has no results"
    words = {JobState.COMPLETED: "is done", JobState.CANCELLED: "is cancelled"}.get(event.status, "failed")
    lines = [f"Job {event.job} {words}: {done}."]
    if event.reason:
        lines.append(f"Reason: {event.reason}")
    if event.top_error is not None and counts is not None:
        top = event.top_error
        lines.append(
            f"{counts.failed:,} lines failed, {top.lines:,} of them with {top.code} (see docs/error-codes.md)."
        )
    if event.money is not None:
        lines.append(_money(event.money))
    return f"{words}: {done}", lines


def _money(money: Money) -> str:
    saved = "" if money.saved_usd is None else f", ${_cents(money.saved_usd)} less than at real time"
    return "Its cost is not known." if money.cost_usd is None else f"It cost ${_cents(money.cost_usd)}{saved}."


def _late(event: JobEvent) -> tuple[str, list[str]]:
    return "is late", [f"Job {event.job} is late; it goes on. {event.reason or ''}".rstrip()]


def _held(event: JobEvent) -> tuple[str, list[str]]:
    lines = [f"Job {event.job} is held for its budget: nothing of it is sent, and nothing is paid."]
    if event.reason:
        lines.append(event.reason)
    return "waits for your approval", lines


def _text(event: JobEvent, found: tuple[str, list[str]]) -> str:
    lines = [*found[1], "", f"File: s3://{event.input.bucket}/{event.input.key}"]
    if event.manifest is not None:
        at = event.manifest
        console = f"https://console.aws.amazon.com/s3/object/{at.bucket}?prefix={quote(at.key)}"
        lines += [f"Manifest: s3://{at.bucket}/{at.key}", f"In the console: {console}"]
    lines += ["", "Next:", *(f"  batchdrop {words} {event.job}" for words in _next(event))]
    return "\n".join(map(_plain, lines)) + "\n"


def _next(event: JobEvent) -> list[str]:
    """The commands that fit the job's state."""
    if event.status is JobState.HELD:
        return ["show", "approve", "reject"]
    if event.counts is None:
        return ["show"]
    return ["results", *(["results --errors", "retry"] if event.counts.failed else [])]


def _of_provider(event: ProviderEvent) -> Notice:
    lines = [
        f"Nothing is submitted to {event.provider} for now: {event.reason}",
        "It is tried again every five minutes; no line is lost.",
        "",
        "Next:",
        "  batchdrop doctor",
    ]
    subject = f"batchdrop: {event.provider} takes no batches"
    return Notice(subject=_subject(subject), text="\n".join(map(_plain, lines)) + "\n")


def _name(event: JobEvent) -> str:
    return event.input.key.rpartition("/")[2]


def _cents(dollars: str) -> str:
    return f"{Decimal(dollars):,.4f}"


def _subject(text: str) -> str:
    """ASCII of a hundred characters at most."""
    ascii_ = _plain(text).encode("ascii", "replace").decode()
    return ascii_ if len(ascii_) <= _LONGEST_SUBJECT else f"{ascii_[: _LONGEST_SUBJECT - 3]}..."


def _plain(line: str) -> str:
    return "".join(character if character.isprintable() else "?" for character in line)
