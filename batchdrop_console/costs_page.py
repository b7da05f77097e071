"""The page Costs: what finished jobs cost and saved, by day, folder and model."""

from datetime import UTC, datetime, timedelta

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from batchdrop_cli.costs import Costs, costs_by
from batchdrop_console.pages import console_of, page, render

PERIODS = (7, 30, 90)
_USUAL = 30
MOST_JOBS = 5_000  # whose manifests one page reads, the newest


@page
def show_costs(request: Request) -> Response:
    """The page at once; its sums follow, since they take a read for each job."""
    return render(request, "costs.html", title="Costs", days=_days(request), periods=PERIODS)


@page
def show_sums(request: Request) -> Response:
    days = _days(request)
    since = datetime.now(UTC).date() - timedelta(days=days - 1)
    by_day, by_folder, by_model = costs_by(console_of(request).cloud, ["day", "folder", "model"], since, most=MOST_JOBS)
    return render(
        request,
        "costs_sums.html",
        days=days,
        total=by_day.total,
        tables=[by_folder, by_model, by_day],
        is_cut=by_day.total.jobs >= MOST_JOBS,
        most_jobs=MOST_JOBS,
        series=series_of(by_day, days),
    )


def _days(request: Request) -> int:
    days = request.query_params.get("days", "")
    return int(days) if days in map(str, PERIODS) else _USUAL


def series_of(costs: Costs, days: int) -> str:
    """The chart's numbers as JSON: days as seconds since 1970, dollars spent, dollars saved; null where nothing was."""
    first = datetime.fromisoformat(costs.since).replace(tzinfo=UTC)
    found = {row.name: row for row in costs.rows}
    names = [(first + timedelta(days=each)).date().isoformat() for each in range(days)]
    rows = [found.get(name) for name in names]
    series = [
        [int((first + timedelta(days=each)).timestamp()) for each in range(days)],
        [None if row is None else float(row.cost_usd) for row in rows],
        [None if row is None else float(row.saved_usd) for row in rows],
    ]
    return msgspec.json.encode(series).decode()
