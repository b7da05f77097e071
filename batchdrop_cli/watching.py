"""A job, live: its lines by state, its batches, tokens, money and expected end, as often as it is looked at."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from functools import partial

from batchdrop.money import Quote
from batchdrop.records import Batch, Job
from batchdrop.states import BATCH_WORDS, JobState
from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.deadline import deadline_of
from batchdrop_cli.expected import expected_end
from batchdrop_cli.jobs import groups, quote_of
from batchdrop_cli.progress import Display, Stage
from batchdrop_cli.report import describe_quote
from batchdrop_cli.say import count, err, note, wrap
from batchdrop_cli.words import JOB_WORDS, batch_counts, noun_of

Picture = list[tuple[str, str]]
"""What is shown of a job: a label and its text, a line each."""


def picture(now: Stage, quote: Quote | None, expected: str | None, deadline: str | None) -> Picture:
    """Return the picture of a job at one moment; of one that is not there yet, that it is waited for."""
    if now.job is None:
        return [("state", now.text)]
    shown = [
        ("job", f"{now.job.id}  {now.job.key}"),
        ("state", f"{now.job.state}: {_reason(now.job)}"),
        ("rows" if noun_of(now.job) == "row" else "lines", _lines(now)),
        ("batches", batch_counts(now.batches)),
        ("tokens", _tokens(quote)),
        ("money", describe_quote(quote) if quote else ""),
        *(("waits", reason) for reason in now.waits),
        ("expected", expected or ""),
        ("deadline", deadline or ""),
    ]
    return [(label, text) for label, text in shown if text]


def _reason(job: Job) -> str:
    return job.reason or JOB_WORDS[job.state]


def _lines(now: Stage) -> str:
    if now.job is not None and now.job.state is JobState.PLANNING:
        return f"{now.done:,} of {count(now.total, 'part')} of the file read" if now.total else ""
    if not now.total:
        return ""
    noun = "line" if now.job is None else noun_of(now.job)
    done = f"{now.done:,} of {count(now.total, noun)} done ({100 * now.done // now.total}%)"
    return f"{done}: {_by_state(now.batches)}"


def _by_state(batches: Sequence[Batch]) -> str:
    """`100 waiting, 200 at the provider`: lines that are sent again are counted once."""
    lines: dict[str, int] = {}
    for each in groups(batches):
        lines[each.state] = lines.get(each.state, 0) + each.requests - each.moved
    return ", ".join(f"{lines[state]:,} {word}" for state, word in BATCH_WORDS.items() if lines.get(state))


def _tokens(quote: Quote | None) -> str:
    if quote is None:
        return ""
    read, written = quote.tokens.input, quote.tokens.output
    most = "with no known limit" if written.high is None else f"at most {written.high:,}"
    return f"{read.low:,} to {read.high:,} in, {most} out, estimated"


class _Watch:
    """Paints what is found; the quote is read once, since it does not change."""

    def __init__(self, cloud: Cloud, paint: Callable[[Stage, Picture], None], notify: Callable[[str], None]) -> None:
        self._cloud, self._paint, self.notify = cloud, paint, notify
        self._quote: Quote | None = None

    def show(self, now: Stage) -> None:
        expected = expected_end(self._cloud, now.batches) if now.batches else None
        deadline = None if now.job is None else deadline_of(now.job, expected)
        if self._quote is None and now.batches and now.job is not None:
            self._quote = quote_of(self._cloud, now.job)
        texts = (str(each) if each else None for each in (expected, deadline))
        self._paint(now, picture(now, self._quote, *texts))


@contextmanager
def watched(cloud: Cloud, console: Console | None = None) -> Iterator[Display]:
    """A picture that is painted anew on a terminal; elsewhere a line whenever something changes."""
    console = console or err()
    if not console.is_terminal:
        yield _Watch(cloud, _Lines().paint, note)
        return
    with Live(console=console, transient=True, auto_refresh=False) as live:
        yield _Watch(cloud, partial(_paint, live, console), partial(_print_above, console))


def _paint(live: Live, console: Console, now: Stage, shown: Picture) -> None:
    lines = [line for label, text in shown for line in wrap(f"{label:8}  {text}", console.width)]
    bar = ProgressBar(total=now.total, completed=now.done, width=console.width) if now.total else Text()
    live.update(Group(Text("\n".join(lines)), bar), refresh=True)


def _print_above(console: Console, text: str) -> None:
    for line in wrap(text, console.width):
        console.print(line, soft_wrap=True)


class _Lines:
    """A line with what has changed, and the time since the beginning."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._last: Picture = []
        self._now, self._began = now, now()

    def paint(self, _: Stage, shown: Picture) -> None:
        changed = [each for each in shown if each not in self._last]
        if changed:
            elapsed = timedelta(seconds=int(self._now() - self._began))
            note(f"  {elapsed} {'; '.join(f'{label} {text}' for label, text in changed)}")
        self._last = shown
