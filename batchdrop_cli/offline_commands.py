"""The commands that look at a file offline: its errors, its price, what its rows become."""

from pathlib import Path
from typing import Annotated

import msgspec
from batchdrop.inputs.request_lines import LineError
from batchdrop.protocols.request_checks import NULL
from batchdrop.providers.config import load_providers
from cyclopts import Parameter

import local_cloud
from batchdrop_cli import quoting, report
from batchdrop_cli.check import check_file, check_settings, read_one
from batchdrop_cli.drop import is_settings
from batchdrop_cli.exit_codes import LINES_FAILED, OK, WRONG_USE
from batchdrop_cli.options import AsJson, FallbackModel, File, between
from batchdrop_cli.quote import format_quote, quote_file
from batchdrop_cli.quote_report import say_quote
from batchdrop_cli.row_settings import NO_ROWS, RowOptions, settings_here
from batchdrop_cli.say import say, say_as_is
from batchdrop_cli.user_errors import UserError


def validate(
    file: File,
    /,
    *,
    rows: RowOptions = NO_ROWS,
    providers_file: Annotated[
        Path, Parameter(help="The providers and their models; default: the project's.")
    ] = local_cloud.PROVIDERS_FILE,
) -> int:
    providers = load_providers(providers_file)
    if is_settings(file.name):
        check_settings(file, providers)
        say(f"{file}: settings, all of them known.")
        return OK
    found = check_file(file, providers, rows=settings_here(file, rows, providers))
    report.say_found(file, found)
    return LINES_FAILED if found.invalid else OK


def quote(
    file: File,
    /,
    *,
    rows: RowOptions = NO_ROWS,
    fallback: FallbackModel = None,
    as_json: AsJson = False,
    providers_file: Annotated[
        Path, Parameter(help="The providers, their models, and prices of your own; default: the project's.")
    ] = local_cloud.PROVIDERS_FILE,
) -> int:
    if is_settings(file.name):
        raise UserError(f"{file} contains settings, not requests: settings cost nothing.", code=WRONG_USE)
    providers = load_providers(providers_file)
    other = quoting.read_fallback(fallback, providers)
    priced = quote_file(file, providers, rows=settings_here(file, rows, providers), fallback=other)
    say_as_is(format_quote(priced.quote)) if as_json else say_quote(priced, str(file))
    return quoting.exit_code_of(priced.quote)


def template(
    file: File,
    /,
    *,
    row: Annotated[
        int,
        Parameter(
            metavar="NUMBER", help="Which row; the first is 1, a table's header aside.", validator=between(1, 10**12)
        ),
    ] = 1,
    rows: RowOptions = NO_ROWS,
    providers_file: Annotated[
        Path, Parameter(help="The providers and their models; default: the project's.")
    ] = local_cloud.PROVIDERS_FILE,
) -> int:
    providers = load_providers(providers_file)
    settings = settings_here(file, rows, providers)
    if settings.template is None:
        raise UserError(
            f"There is no template for {file}: name --model and --prompt (or --embed), or put a batchdrop.toml with "
            "[template] into its folder.",
            code=WRONG_USE,
        )
    read = read_one(file, row, providers, settings)
    if isinstance(read, LineError):
        say(f"Row {row} ({read.code}): {read.message}.")
        return LINES_FAILED
    shown = {"custom_id": read.custom_id, "provider": read.provider, "url": read.endpoint, "body": read.body}
    kept = {} if read.row == NULL else {"row": read.row}
    say_as_is(msgspec.json.format(msgspec.json.encode(shown | kept), indent=2).decode())
    return OK
