"""How the lines of a file that is dropped will be read; data of which nobody says what is asked is refused."""

from codecs import BOM_UTF8
from pathlib import Path

import msgspec
from batchdrop.inputs.request_lines import MAX_LINE_BYTES, is_blank
from batchdrop.jsonl import cut_lines
from batchdrop.providers.config import Providers

from batchdrop_cli.check import check_kind, read_chunks
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.row_settings import (
    REQUESTS,
    RowOptions,
    RowSettings,
    refuse_table_without_template,
    settings_there,
)
from batchdrop_cli.table_files import holds_rows
from batchdrop_cli.user_errors import NoTemplate

# Each form of a line has one of the first three; a line with another is a request that lacks something. `input` is none
# of them: data often have such a column.
_OF_REQUESTS = {"body", "params", "model", "messages"}
_row = msgspec.json.Decoder(dict[str, msgspec.Raw])


def check_rows(cloud: Cloud, path: Path, key: str, options: RowOptions, providers: Providers) -> RowSettings:
    """Return how the lines of a file will be read that is dropped there; a table is looked at, as `check_kind` does.

    Raises:
        NoTemplate: It holds data, and no request can be made of it.
        UserError: Its options or its folders' settings have no sense, or it is no such table.
    """
    rows = settings_there(cloud, key, options, providers)
    if holds_rows(path, key):
        refuse_table_without_template(path, key, rows)
        check_kind(path, key, rows, rows.rendering(providers))
    elif rows.template is None and rows.is_whole:
        _refuse_data(path, key)
    return rows


def _refuse_data(path: Path, key: str) -> None:
    """Refuse a file of which every line lacks all parts of a request: each would fail for the same reason.

    Raises:
        NoTemplate: It is one.
    """
    first: dict[str, msgspec.Raw] = {}
    for line in cut_lines(read_chunks(path, key, REQUESTS, None), offset=0, max_bytes=MAX_LINE_BYTES):
        text = b"" if line.bytes is None else line.bytes.removeprefix(BOM_UTF8)
        if line.bytes is not None and is_blank(text):
            continue
        row = _columns_of(text)
        if not row.keys() - {"custom_id"} or _is_request(row):
            return
        first = first or row
    if first:
        raise NoTemplate(path, "holds data, not requests (no line names a model)", _longest_text(first))


def _is_request(row: dict[str, msgspec.Raw]) -> bool:
    """Return whether it is meant as a request; an endpoint is a path, and data's `url` mostly a whole address."""
    return bool(_OF_REQUESTS & row.keys()) or bytes(row.get("url", b"")).startswith(b'"/')


def _columns_of(line: bytes) -> dict[str, msgspec.Raw]:
    try:
        return _row.decode(line)
    except (msgspec.DecodeError, RecursionError):
        return {}


def _longest_text(row: dict[str, msgspec.Raw]) -> str:
    """The column that is asked about, most likely."""
    return max(row, key=lambda name: len(bytes(row[name])) if bytes(row[name]).startswith(b'"') else 0)
