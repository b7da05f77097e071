"""The page Drop: a file is checked and quoted on this machine; only then, and if it is wanted, it is sent."""

from collections.abc import Iterator
from contextlib import contextmanager
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import IO

from batchdrop.aws.keys import INPUT, is_job
from batchdrop.dollars import BUDGET_WORDS, read_budget
from batchdrop.providers.config import load_providers
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from batchdrop_cli import quote_report
from batchdrop_cli.check import check_kind
from batchdrop_cli.dropped_rows import check_rows
from batchdrop_cli.quote import quote_file
from batchdrop_cli.row_settings import RowOptions
from batchdrop_cli.table_files import dropped_name, holds_rows
from batchdrop_cli.user_errors import AlreadyRunning, NoTemplate, TooExpensive, UserError
from batchdrop_client import Client
from batchdrop_console.actions import perform
from batchdrop_console.pages import Console, console_of, page, render, say, see_other, size
from batchdrop_console.uploads import MOST_BYTES, Upload, Uploads

_MOST_FIELDS = 10
_FIELDS = ("folder", "model", "prompt")
_OTHERS_BYTES = 1_000_000  # of a request, beside the file
_TOO_LARGE = f"Here a file may have {size(MOST_BYTES)} at most. A larger one is dropped with: batchdrop put FILE"


class WrongLimit(UserError):  # noqa: N818 - a fact about a form
    """The most that it may cost is no such number, or too little."""


def uploads_of(request: Request) -> Uploads:
    found: Uploads = request.app.state.uploads
    return found


@page
def show_form(request: Request) -> Response:
    return _form(request)


def _form(request: Request, form: FormData | None = None, problem: str | None = None, status: int = 200) -> Response:
    """The form, with what was filled in."""
    given = {name: "" if form is None else _text(form, name) for name in _FIELDS}
    most = size(MOST_BYTES)
    return render(request, "drop.html", status=status, title="Drop", problem=problem, given=given, most=most)


async def check(request: Request) -> Response:
    """Take a file, and show what would become of it."""
    length = request.headers.get("content-length", "")
    if not length.isdecimal() or int(length) > MOST_BYTES + _OTHERS_BYTES:
        async for _ in request.stream():  # a browser reads no answer before it has sent all
            pass
        return _form(request, problem=_TOO_LARGE, status=413)
    async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
        return await run_in_threadpool(_check, request, form)


def _check(request: Request, form: FormData) -> Response:
    """As `page` has it: what is wrong with the file is said beside the form."""

    @page
    def answer(request: Request) -> Response:
        uploads, upload = uploads_of(request), None
        try:
            upload = _take(uploads, form)
            answer = _quoted(request, upload)
        except UserError as error:
            answer = _form(request, form, say(error), 400)
        if upload is not None and (answer.status_code != 200 or not console_of(request).may_write):  # noqa: PLR2004
            uploads.forget(upload.id)
        return answer

    return answer(request)


def _take(uploads: Uploads, form: FormData) -> Upload:
    """The file of the form, as it is to be dropped.

    Raises:
        UserError: There is none, or no job would come of it.
    """
    file = form.get("file")
    if not isinstance(file, UploadFile) or not file.filename:
        raise UserError("Choose a file first.")
    folder = _text(form, "folder").strip("/").removeprefix(INPUT)
    name = PurePosixPath(file.filename.replace("\\", "/")).name
    key = INPUT + (f"{folder}/" if folder else "") + dropped_name(Path(name))
    if not is_job(key):
        raise UserError(f"{name} would not become a job: tools write files named like it. Give the file another name.")
    rows = RowOptions(model=_text(form, "model") or None, prompt=_text(form, "prompt") or None)
    content: IO[bytes] = file.file
    return uploads.add(content, name, key, rows)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def _quoted(request: Request, upload: Upload, max_cost: str = "", problem: str | None = None) -> Response:
    """Return the quote of a file, and the problem of its limit, if it has one.

    Raises:
        UserError: No job would come of it.
    """
    cloud = console_of(request).cloud
    providers = load_providers(cloud.prices_file)
    if not holds_rows(upload.path, upload.key):
        check_kind(upload.path, upload.key)
    with _in_words_of_form(upload):
        rows = check_rows(cloud, upload.path, upload.key, upload.rows, providers)
    priced = quote_file(upload.path, providers, name=upload.key, rows=rows)
    return render(
        request,
        "drop_quote.html",
        status=200 if problem is None else 400,
        title="Drop",
        problem=problem,
        max_cost=max_cost,
        upload=upload,
        quote=priced.quote,
        dollars=quote_report.dollars,
        tokens=quote_report.tokens,
        remarks=[*quote_report.remarks(priced.quote)],
        noun=priced.noun,
        invalid=[quote_report.describe_invalid(each, priced.noun) for each in priced.quote.invalid],
    )


@contextmanager
def _in_words_of_form(upload: Upload) -> Iterator[None]:
    """Name what is missing as the form has it, where the command's options are named."""
    try:
        yield
    except NoTemplate as error:
        raise UserError(
            f"{upload.path.name} {error.problem}: fill in model and prompt, or put a batchdrop.toml with [template] "
            f"into its folder in the bucket. A prompt, for example: Sentiment of: {{{{ {error.column} }}}}",
            code=error.code,
        ) from None


async def send(request: Request) -> Response:
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return await run_in_threadpool(_send, request, _text(form, "max_cost"))


def _send(request: Request, max_cost: str) -> Response:
    @page
    def answer(request: Request) -> Response:
        console, uploads, name = console_of(request), uploads_of(request), request.path_params["upload"]
        try:
            job = perform(console, "drop", None, lambda: _drop(console, uploads.get(name), max_cost))
        except WrongLimit as error:
            return _quoted(request, uploads.get(name), max_cost, say(error))
        uploads.forget(name)
        return see_other(f"/jobs/{job}?done=drop")

    return answer(request)


def _drop(console: Console, upload: Upload, max_cost: str) -> str:
    limit: Decimal | None = read_budget(max_cost) if max_cost else None
    if max_cost and limit is None:
        raise WrongLimit(f"The most that it may cost must be {BUDGET_WORDS}.")
    rows, client = upload.rows, Client.on(console.cloud)
    try:
        return client.put(upload.path, key=upload.key, max_cost=limit, model=rows.model, prompt=rows.prompt).id
    except TooExpensive:
        raise WrongLimit(f"It may cost more than ${max_cost}, or nobody knows how much. Nothing was sent.") from None
    except AlreadyRunning as error:
        raise UserError(f"Job {error.job_id} is already processing the same bytes. Nothing was sent.") from None
