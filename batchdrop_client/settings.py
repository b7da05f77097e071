"""The settings that go with one drop: those of a `batchdrop.toml`, by their names, as the object's metadata."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from os import PathLike
from pathlib import Path
from typing import Any

import msgspec
from batchdrop.dollars import BUDGET_WORDS, read_budget
from batchdrop.errors import Unprocessable
from batchdrop.inputs.job_settings import OTHER_METADATA, resolve

from batchdrop_cli.row_settings import RowOptions

_NO_SETTINGS = frozenset({"template", *OTHER_METADATA})
_INSTEAD = "put() makes a template of model and prompt, and takes schema=; retry() names the job that it retries."

type SchemaSource = str | PathLike[str] | Mapping[str, Any] | type
"""A JSON Schema: the path of its file, a mapping, or a class of pydantic's."""


@dataclass(frozen=True, kw_only=True)
class GivenRows(RowOptions):
    """The same with a schema as a program has it."""

    given_schema: SchemaSource | None = None

    def schema_text(self) -> bytes | None:
        """The output schema as JSON."""
        given: Any = self.given_schema
        if given is None:
            return None
        if isinstance(given, str | PathLike):
            return Path(given).read_bytes()
        named = given if isinstance(given, Mapping) else given.model_json_schema()
        return msgspec.json.encode(dict(named))


def metadata_of(settings: Mapping[str, Any], max_cost: str | float | Decimal | None) -> dict[str, str]:
    """The metadata of a drop, checked by the functions' own rules.

    Raises:
        BatchdropError: A setting is unknown, or its value has no sense.
        ValueError: So is `max_cost`.
    """
    given = dict(settings)
    for name in given:
        if name.lower().replace("-", "_") in _NO_SETTINGS:
            raise Unprocessable(f"settings: {name} is not a setting of a drop: {_INSTEAD}")
    if max_cost is not None:
        given["budget_usd"] = str(read_limit(max_cost))
    metadata = {f"batchdrop-{name.replace('_', '-')}": _as_text(value) for name, value in given.items()}
    resolve([], metadata)
    return metadata


def read_limit(max_cost: str | float | Decimal) -> Decimal:
    """US dollars.

    Raises:
        ValueError: They are not.
    """
    limit = read_budget(max_cost if isinstance(max_cost, str) else f"{Decimal(str(max_cost)):f}")  # no 1e-06
    if limit is None:
        raise ValueError(f"max_cost must be {BUDGET_WORDS}, not {max_cost}.")
    return limit


def _as_text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple | set) else str(value)
