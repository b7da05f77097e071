"""Why lines of a job failed: the reasons that most of them share, with the numbers of the first lines."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from batchdrop.jsonl import cut_lines
from batchdrop.manifest import Counts, Manifest
from batchdrop.records import Job

from batchdrop_cli.answers import Line, name_in, read_line
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.fetch import name_of
from batchdrop_cli.say import count, say
from batchdrop_cli.words import ROW_ONE, noun_of

SHOWN_REASONS = 5
_SHOWN_LINES = 3  # numbers of each reason
_SHOWN_CHARACTERS = 300  # of a message
_SEARCHED_BYTES = 32 * 1024 * 1024  # of errors.jsonl: the commonest codes stand near its beginning
_LONGEST_LINE = 1024 * 1024  # a longer one is passed over: it holds what a provider said, raw


@dataclass(kw_only=True)
class Reason:
    """A code, the lines that failed with it, and what the first of them says.

    `noun` is what lines are called, `must_change` is whether sending them again as they are cannot help.
    """

    code: str
    count: int
    lines: list[int] = field(default_factory=list)
    message: str = ""
    must_change: bool = False
    noun: str = "line"

    def add(self, line: Line) -> None:
        if line.error is None or len(self.lines) == _SHOWN_LINES:
            return
        if not self.lines:
            self.message, self.must_change = _shown(line), not line.error.retryable
        self.lines.append(line.line)

    def __str__(self) -> str:
        more = ", …" if self.count > len(self.lines) else ""
        which = f"{self.noun if self.count == 1 else f'{self.noun}s'} {', '.join(map(str, self.lines))}{more}; "
        todo = "to be fixed" if self.must_change else "may pass"
        return f"  {self.count:,} {self.code} ({which if self.lines else ''}{todo}): {self.message}"


def _shown(line: Line) -> str:
    if line.error is None:
        return ""
    theirs = f' The provider: "{line.error.provider_message}"' if line.error.provider_message else ""
    name = name_in(line.error.message, line.line)  # the number stands before it
    message = line.error.message.removeprefix(f"{name} {line.line}: ")
    text = " ".join(f"{message}{theirs}".split())
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[: _SHOWN_CHARACTERS - 1]}…"


def find_reasons(cloud: Cloud, manifest: Manifest, noun: str = "line") -> list[Reason]:
    """The reasons that most failed lines of a finished job share, at most five; `noun` is what lines are called."""
    if manifest.counts is None or manifest.files.errors is None:
        return []
    reasons = {code: Reason(code=code, count=number, noun=noun) for code, number in _commonest(manifest.counts)}
    for line in _first_errors(cloud, manifest):
        if line.error is not None and line.error.code in reasons:
            reasons[line.error.code].add(line)
        if all(len(each.lines) == min(_SHOWN_LINES, each.count) for each in reasons.values()):
            break
    return list(reasons.values())


def _commonest(counts: Counts) -> list[tuple[str, int]]:
    return sorted(counts.errors.items(), key=lambda each: (-each[1], each[0]))[:SHOWN_REASONS]


def _first_errors(cloud: Cloud, manifest: Manifest) -> Iterator[Line]:
    file = manifest.files.errors
    if file is None or not file.bytes:
        return
    chunks = cloud.files.stream(file.key, end=min(file.bytes, _SEARCHED_BYTES), version_id=file.version_id)
    for line in cut_lines(chunks, offset=0, max_bytes=_LONGEST_LINE):
        if line.bytes and line.offset + line.length < _SEARCHED_BYTES:  # the last one may be cut
            yield read_line(line.bytes)


def say_reasons(cloud: Cloud, job: Job, manifest: Manifest) -> None:
    """Why lines of a job failed, and the commands that send them again. Nothing where none failed."""
    counts, noun = manifest.counts, noun_of(job)
    if counts is None or not counts.failed:
        return
    reasons = find_reasons(cloud, manifest, noun)
    say()
    say(f"Why {count(counts.failed, noun)} failed:")
    for reason in reasons:
        say(str(reason))
    others = counts.failed - sum(each.count for each in reasons)
    if others:
        say(f"  … and {count(others, noun)} for other reasons: see errors.jsonl")
    if noun == "row":
        say(ROW_ONE)
    say("To fix them and send them again:")
    say(f"  {cloud.command(f'retry {manifest.job} --save {shlex.quote(name_of(job))}.failed.jsonl')}")
    if not all(each.must_change for each in reasons):
        say("To send them again as they are:")
        say(f"  {cloud.command(f'retry {manifest.job}')}")
