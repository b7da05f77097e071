"""The console as an application: its pages, behind its door."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles

from batchdrop_console import actions, costs_page, drop_page, job_page, jobs_page, providers_page, results_page
from batchdrop_console.access import ENTER, Access, Door
from batchdrop_console.pages import FOLDER, Console, load_templates, render
from batchdrop_console.uploads import Uploads

_READS_AT_ONCE = 10  # as many connections as botocore keeps
_GET, _POST = ["GET"], ["POST"]
# Not a redirect: a browser that came from another site would not send a SameSite=Strict cookie with it.
_ENTERED = (
    '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>batchdrop</title>'
    '<meta http-equiv="refresh" content="0; url=/"></head><body><p><a href="/">Open the console</a></p></body></html>'
)


def make_app(console: Console, access: Access) -> Starlette:
    """The console's application; `console.cloud` should have made its clients: several threads use them."""

    @asynccontextmanager
    async def running(app: Starlette) -> AsyncIterator[None]:
        load_templates()
        app.state.uploads = Uploads()
        with ThreadPoolExecutor(_READS_AT_ONCE) as pool:
            app.state.pool = pool
            yield
        app.state.uploads.close()

    app = Starlette(
        routes=_routes(),
        middleware=[Middleware(Door, access=access)],
        exception_handlers={404: _no_such_page, 405: _no_such_page},
        lifespan=running,
    )
    app.state.console, app.state.access = console, access
    return app


def _routes() -> list[BaseRoute]:
    return [
        Route(ENTER, _enter, methods=_GET),
        Route("/", jobs_page.show_jobs, methods=_GET),
        Route("/jobs", jobs_page.show_rows, methods=_GET),
        Route("/jobs/{job}", job_page.show_job, methods=_GET),
        Route("/jobs/{job}/live", job_page.show_live, methods=_GET),
        Route("/jobs/{job}/results", results_page.show_results, methods=_GET),
        Route("/jobs/{job}/files/{name}", results_page.download, methods=_GET),
        Route("/jobs/{job}/{action}", actions.ask, methods=_GET),
        Route("/jobs/{job}/{action}", actions.act, methods=_POST),
        Route("/costs", costs_page.show_costs, methods=_GET),
        Route("/costs/sums", costs_page.show_sums, methods=_GET),
        Route("/providers", providers_page.show_providers, methods=_GET),
        Route("/drop", drop_page.show_form, methods=_GET),
        Route("/drop", drop_page.check, methods=_POST),
        Route("/drop/{upload}", drop_page.send, methods=_POST),
        Mount("/static", StaticFiles(directory=FOLDER / "static")),
    ]


async def _enter(request: Request) -> Response:
    """Exchange the token for the cookie, once."""
    access: Access = request.app.state.access
    if request.method == "HEAD":  # a preview of the address must not use it up
        return PlainTextResponse("")
    session = access.enter(request.query_params.get("token", ""))
    if session is None:
        text = "This address has been opened before, or is not the one that was printed. Start the console again.\n"
        return PlainTextResponse(text, 403)
    answer = HTMLResponse(_ENTERED)
    answer.set_cookie(access.cookie, session, httponly=True, samesite="strict", path="/")
    return answer


async def _no_such_page(request: Request, _: Exception) -> Response:
    return render(request, "error.html", status=404, title="There is no such page", text="There is no such page.")
