"""A quote before an upload: shown in one line, or instead of the upload, and held to what a file may cost."""

import shlex
from decimal import Decimal
from pathlib import Path

from batchdrop.aws.keys import is_compressed
from batchdrop.errors import Unprocessable
from batchdrop.inputs.fallbacks import Fallback, find_fallback
from batchdrop.providers.config import Providers

from batchdrop_cli.exit_codes import LINES_FAILED, OK, OVER_LIMIT, WRONG_USE
from batchdrop_cli.quote import Priced, Quote, quote_file
from batchdrop_cli.quote_report import say_quote
from batchdrop_cli.row_settings import RowSettings
from batchdrop_cli.table_files import is_converted
from batchdrop_cli.user_errors import TooExpensive, UserError

# A larger file is not quoted unless it is asked for: reading it takes longer than its owner would wait for one line.
_QUOTED_BYTES = 16 * 1024 * 1024  # two seconds
_INFLATED = 8  # times: what text that is compressed usually becomes


def read_fallback(name: str | None, providers: Providers) -> Fallback | None:
    """The model that an option names as the job's fallback.

    Raises:
        UserError: There is no such model.
    """
    try:
        return None if name is None else find_fallback(name, providers)
    except Unprocessable as error:
        raise UserError(f"{error}. Nothing was sent.", code=WRONG_USE) from None


def quote_only(  # noqa: PLR0913 - what a quote depends on
    file: Path,
    key: str,
    providers: Providers,
    max_cost: Decimal | None,
    rows: RowSettings,
    *,
    fallback: Fallback | None = None,
    shown: str,
) -> int:
    """Show a file's quote, under the name `shown`; the exit code, as `validate` has it.

    Raises:
        UserError: It may cost more than `max_cost`.
    """
    priced = quote_file(file, providers, name=key, rows=rows, fallback=fallback)
    say_quote(priced, shown)
    refuse_above(priced, max_cost)
    return exit_code_of(priced.quote)


def quote_before_upload(  # noqa: PLR0913 - what a quote depends on
    file: Path,
    key: str,
    providers: Providers,
    max_cost: Decimal | None,
    rows: RowSettings,
    *,
    fallback: Fallback | None = None,
) -> Quote | None:
    """Return a file's quote, where it is short or a limit is to be kept; None otherwise.

    Raises:
        UserError: It may cost more than `max_cost`.
    """
    if max_cost is None and not is_quick(file, key):
        return None
    priced = quote_file(file, providers, name=key, rows=rows, fallback=fallback)
    refuse_above(priced, max_cost)
    return priced.quote


def refuse_above(priced: Priced, max_cost: Decimal | None) -> None:
    """Refuse a file that may cost more than a limit, or nobody knows how much.

    Raises:
        UserError: So it is.
    """
    if max_cost is None or (priced.most is not None and priced.most <= max_cost):
        return
    file = priced.quote.file
    see = f"Nothing was sent. See: batchdrop quote {shlex.quote(file)}"
    if priced.most is None:
        raise TooExpensive(
            f"{file}: what it may cost at most is unknown, so that --max-cost {max_cost} cannot be kept. {see}",
            code=OVER_LIMIT,
        )
    most = priced.quote.batch.high_usd
    raise TooExpensive(f"{file} may cost ${most} in batches, more than --max-cost {max_cost}. {see}", code=OVER_LIMIT)


def is_quick(file: Path, key: str) -> bool:
    """Return whether a file is read so fast that it is quoted unasked."""
    is_packed = is_compressed(key) or is_converted(file)
    return file.stat().st_size * (_INFLATED if is_packed else 1) <= _QUOTED_BYTES


def exit_code_of(quote: Quote) -> int:
    return LINES_FAILED if quote.invalid_lines else OK
