"""`costs`: what finished jobs cost, by folder, model or day: as their manifests say, in exact decimals.

Memory grows with the rows of the table alone; manifests are read some at a time.
"""

import csv
import io
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from functools import partial
from itertools import batched, islice
from typing import Literal

import msgspec
from batchdrop.aws.bucket import Files
from batchdrop.costs import Price
from batchdrop.errors import Gone
from batchdrop.manifest import Manifest, ModelCounts
from batchdrop.money import named, usd
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.prices import prices_of, shown
from batchdrop_cli.say import count, note, say_table

type By = Literal["folder", "model", "day"]

_READS_AT_ONCE = 8
_FIRST_DAY = date(2020, 1, 1)  # before any job
_FORMULA = ("=", "+", "-", "@", "\t", "\r")  # what a spreadsheet takes a cell for that begins so
_NOTHING = Decimal(0)


class CostRow(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of jobs together: US dollars, exact decimals as text.

    Attributes:
        name: The folder, the model or the day (UTC) on which the files were dropped; `total` for all.
        jobs: How many of them there are; a job of several models counts for each.
        saved_usd: What real time would have cost more, where that is known.
        duplicates_usd: What was paid beside `cost_usd`, for second answers of lines that had one; null by model.
        unpriced_requests: Requests to models with no known price, which the sums leave out.
    """

    name: str
    jobs: int
    requests: int
    answered: int
    input_tokens: int
    output_tokens: int
    cost_usd: str
    saved_usd: str
    duplicates_usd: str | None
    unpriced_requests: int


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The output of `costs --json`: `since` is the first day, by the drop."""

    by: By
    since: str
    rows: list[CostRow]
    total: CostRow


class _Sum:
    """The sums of one row."""

    def __init__(self) -> None:
        self._numbers = [0] * 6  # jobs, requests, answered, input and output tokens, unpriced requests
        self._cost = self._saved = _NOTHING
        self._duplicates: Decimal | None = _NOTHING

    def add_job(self, manifest: Manifest | None) -> None:
        """Count a job; without its manifest what was paid twice is not known."""
        self._numbers[0] += 1
        if manifest is None:
            self._duplicates = None
        elif self._duplicates is not None and manifest.money is not None:
            self._duplicates += Decimal(manifest.money.duplicates_usd or 0)

    def add_model(self, model: ModelCounts, price: Price | None) -> None:
        used, unpriced = model.usage, model.requests if price is None else 0
        more = (0, model.requests, model.answered, used.input_tokens, used.output_tokens, unpriced)
        self._numbers = [one + other for one, other in zip(self._numbers, more, strict=True)]
        if price is not None:
            self._cost += price.dollars
            self._saved += _NOTHING if price.realtime is None else price.realtime - price.dollars

    def row(self, name: str) -> CostRow:
        jobs, requests, answered, read, written, unpriced = self._numbers
        return CostRow(
            name=name,
            jobs=jobs,
            requests=requests,
            answered=answered,
            input_tokens=read,
            output_tokens=written,
            cost_usd=usd(self._cost),
            saved_usd=usd(self._saved),
            duplicates_usd=None if self._duplicates is None else usd(self._duplicates),
            unpriced_requests=unpriced,
        )


def costs_of(cloud: Cloud, by: By, since: date) -> Costs:
    """Return the cost of the finished jobs that were dropped since a day."""
    return costs_by(cloud, [by], since)[0]


def costs_by(cloud: Cloud, ways: Sequence[By], since: date, *, most: int | None = None) -> list[Costs]:
    """The same in several ways, by one look at each manifest; of so many jobs at most, the newest."""
    sums = [_Sums(by) for by in ways]
    for job, manifest in islice(_manifests(cloud, since), most):
        priced = list(zip(manifest.models, prices_of(manifest, cloud.prices), strict=True))
        for each in sums:
            each.add(job, manifest, priced)
    return [each.costs(since) for each in sums]


class _Sums:
    """The rows of one way to sum up, and their total."""

    def __init__(self, by: By) -> None:
        self._by: By = by
        self._rows, self._total = dict[str, _Sum](), _Sum()

    def add(self, job: Job, manifest: Manifest, priced: Sequence[tuple[ModelCounts, Price | None]]) -> None:
        by = self._by
        names = [_model(each) if by == "model" else _name(job, by) for each, _ in priced]
        for name in dict.fromkeys(names):
            self._rows.setdefault(name, _Sum()).add_job(None if by == "model" else manifest)
        for name, (model, price) in zip(names, priced, strict=True):
            self._rows[name].add_model(model, price)
            self._total.add_model(model, price)
        self._total.add_job(manifest)

    def costs(self, since: date) -> Costs:
        found = [self._rows[name].row(name) for name in sorted(self._rows)]
        return Costs(by=self._by, since=since.isoformat(), rows=found, total=self._total.row("total"))


def _model(model: ModelCounts) -> str:
    return named([(model.provider, model.model)])[0]


def _name(job: Job, by: By) -> str:
    if by == "folder":
        return f"{job.key.rpartition('/')[0]}/"
    return datetime.fromtimestamp(job.dropped_at, UTC).date().isoformat()


def _manifests(cloud: Cloud, since: date) -> Iterator[tuple[Job, Manifest]]:
    """The jobs that are over and were published, with their manifests; those that are gone are counted and reported."""
    gone = 0
    for job, manifest in _read(cloud, since):
        if manifest is None:
            gone += 1
        else:
            yield job, manifest
    if gone:
        cloud.notify(f"{count(gone, 'job')} left out: the manifest is gone, or was never written.")


def _read(cloud: Cloud, since: date) -> Iterator[tuple[Job, Manifest | None]]:
    today = datetime.now(UTC).date()
    days = [(today - timedelta(days=back)).strftime("%Y%m%d") for back in range((today - since).days + 1)]
    files = cloud.files  # before there are threads: making a client is not for several at once
    over = (job for job in cloud.store.recent_jobs(days, newer=cloud.notify_newer) if job.state in TERMINAL_JOBS)
    with ThreadPoolExecutor(_READS_AT_ONCE) as reading:
        for some in batched(over, _READS_AT_ONCE * 4, strict=False):
            yield from zip(some, reading.map(partial(_manifest, files), some), strict=True)


def _manifest(files: Files, job: Job) -> Manifest | None:
    if job.manifest_key is None:
        return None
    try:
        return msgspec.json.decode(files.get(job.manifest_key), type=Manifest)
    except (Gone, msgspec.DecodeError):
        return None


def read_since(text: str, *, today: date) -> date | None:
    """A day, as `2026-11-01`, or so many days ago, as `30d`; None for anything else, and for a day to come."""
    try:
        back = text.removesuffix("d")
        is_count = text.endswith("d") and back.isascii() and back.isdecimal()
        day = today - timedelta(days=int(back)) if is_count else date.fromisoformat(text)
    except (ValueError, OverflowError):
        return None
    return day if _FIRST_DAY <= day <= today else None


def to_csv(costs: Costs) -> Iterator[str]:
    """Its lines, the total's last; what a spreadsheet would take for a formula is made a text."""
    fields = CostRow.__struct_fields__
    yield _line([costs.by, *fields[1:]])
    for row in [*costs.rows, costs.total]:
        yield _line(getattr(row, name) for name in fields)


def _line(cells: Iterable[object]) -> str:
    out = io.StringIO()
    csv.writer(out, lineterminator="").writerow(_disarmed(cell) for cell in cells)
    return out.getvalue()


def _disarmed(cell: object) -> object:
    return f"'{cell}" if isinstance(cell, str) and cell.startswith(_FORMULA) else cell


def say_costs(costs: Costs) -> None:
    headings = (costs.by, "jobs", "requests", "answered", "tokens", "cost", "saved")
    rows = [
        [
            row.name,
            f"{row.jobs:,}",
            f"{row.requests:,}",
            f"{row.answered:,}",
            f"{row.input_tokens + row.output_tokens:,}",
            _dollars(row.cost_usd),
            _dollars(row.saved_usd),
        ]
        for row in [*costs.rows, costs.total]
    ]
    say_table(headings, rows, numbers=headings[1:])
    if costs.total.unpriced_requests:
        unpriced = count(costs.total.unpriced_requests, "request")
        note(f"{unpriced} went to models whose price is unknown: they are left out.")
    if Decimal(costs.total.duplicates_usd or 0):
        note(f"Beside that, {_dollars(costs.total.duplicates_usd or '0')} were paid for second answers of lines.")


def _dollars(text: str) -> str:
    return shown(Decimal(text))
