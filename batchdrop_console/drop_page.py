"""The page Drop: a file is checked and quoted on this machine; only then, and if it is wanted, it is sent."""

from decimal import Decimal
from pathlib import PurePosixPath
from typing import IO

from batchdrop.aws.keys import INPUT, is_table
from batchdrop.dollars import BUDGET_WORDS, read_budget
from batchdrop.errors import BatchdropError
from batchdrop.providers.config import load_providers
from botocore.exceptions import BotoCoreError, ClientError
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import FormData, UploadFile
from starlette.requests import Request
from starlette.responses import Response

from batchdrop_cli import drop, quote_report
from batchdrop_cli.check import check_kind, check_rows
from batchdrop_cli.quote import quote_file
from batchdrop_cli.row_settings import RowOptions
from batchdrop_cli.user_errors import UserError, sentence
from batchdrop_client import Client
from batchdrop_console.actions import record, refuse_read_only
from batchdrop_console.pages import Console, console_of, page, render, see_other
from batchdrop_console.uploads import Upload, Uploads

_MOST_FIELDS = 10


def uploads_of(request: Request) -> Uploads:
    found: Uploads = request.app.state.uploads
    return found


@page
def show_form(request: Request) -> Response:
    return render(request, "drop.html", title="Drop", problem=None)


async def check(request: Request) -> Response:
    """Take a file, and show what would become of it."""
    async with request.form(max_files=1, max_fields=_MOST_FIELDS) as form:
        return await run_in_threadpool(_check, request, form)


def _check(request: Request, form: FormData) -> Response:
    """As `page` has it: what is wrong with the file is said beside the form."""

    @page
    def answer(request: Request) -> Response:
        try:
            upload = _take(uploads_of(request), form)
        except UserError as error:
            return render(request, "drop.html", status=400, title="Drop", problem=str(error))
        return _quoted(request, upload)

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
    key = drop.check_key(f"{INPUT}{folder}/{name}" if folder else f"{INPUT}{name}")
    rows = RowOptions(model=_text(form, "model") or None, prompt=_text(form, "prompt") or None)
    content: IO[bytes] = file.file
    return uploads.add(content, key, rows)


def _text(form: FormData, name: str) -> str:
    value = form.get(name)
    return value.strip() if isinstance(value, str) else ""


def _quoted(request: Request, upload: Upload) -> Response:
    console = console_of(request)
    cloud, providers = console.cloud, load_providers(console.cloud.prices_file)
    try:
        if not is_table(upload.key):
            check_kind(upload.path, upload.key)
        rows = check_rows(cloud, upload.path, upload.key, upload.rows, providers)
        quote = quote_file(upload.path, providers, name=upload.key, rows=rows).quote
    except UserError as error:
        uploads_of(request).forget(upload.id)
        problem = str(error).replace(f"{upload.path}", upload.path.name)
        return render(request, "drop.html", status=400, title="Drop", problem=problem)
    return render(
        request,
        "drop_quote.html",
        title="Drop",
        upload=upload,
        quote=quote,
        dollars=quote_report.dollars,
        tokens=quote_report.tokens,
        remarks=[*quote_report.remarks(quote)],
        invalid=[quote_report.describe_invalid(each) for each in quote.invalid],
    )


async def send(request: Request) -> Response:
    async with request.form(max_files=0, max_fields=_MOST_FIELDS) as form:
        return await run_in_threadpool(_send, request, _text(form, "max_cost"))


def _send(request: Request, max_cost: str) -> Response:
    @page
    def answer(request: Request) -> Response:
        console = console_of(request)
        refuse_read_only(console)
        upload = uploads_of(request).get(request.path_params["upload"])
        try:
            job = _drop(console, upload, max_cost)
        except (BatchdropError, BotoCoreError, ClientError) as error:
            record(console, "drop", None, sentence(error)[0])
            raise
        record(console, "drop", job, "done")
        uploads_of(request).forget(upload.id)
        return see_other(f"/jobs/{job}?done=drop")

    return answer(request)


def _drop(console: Console, upload: Upload, max_cost: str) -> str:
    limit: Decimal | None = read_budget(max_cost) if max_cost else None
    if max_cost and limit is None:
        raise UserError(f"The most that it may cost must be {BUDGET_WORDS}.")
    rows = upload.rows
    client = Client.on(console.cloud)
    return client.put(upload.path, key=upload.key, max_cost=limit, model=rows.model, prompt=rows.prompt).id
