"""The page Jobs: it is painted with what one look at the index and a page of rows say; the rest follows."""

from starlette.requests import Request
from starlette.responses import Response

from batchdrop_console import job_list
from batchdrop_console.pages import console_of, page, render


@page
def show_jobs(request: Request) -> Response:
    """The whole page; with `full=1` nothing follows later."""
    return _jobs(request, "jobs.html", is_full="full" in request.query_params)


@page
def show_rows(request: Request) -> Response:
    """The list alone, with all facts."""
    return _jobs(request, "jobs_list.html", is_full=True)


def _jobs(request: Request, template: str, *, is_full: bool) -> Response:
    console, wanted = console_of(request), job_list.read_filter(request.query_params)
    pool = request.app.state.pool
    found = job_list.find_jobs(console, wanted, pool, counts=is_full)
    listed = job_list.with_facts(console, found.rows, pool) if is_full else list(job_list.as_known(console, found.rows))
    return render(
        request,
        template,
        title="Jobs",
        wanted=wanted,
        found=found,
        listed=listed,
        active=job_list.ACTIVE,
        days=job_list.DAYS,
    )
