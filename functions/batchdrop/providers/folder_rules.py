"""`[folders."input/…/"]` of `providers.toml` limits what files of a folder may spend. Only deployers can set it."""

import re
import tomllib
from collections.abc import Collection, Mapping
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from batchdrop.dollars import BUDGET_WORDS, read_budget
from batchdrop.errors import ConfigError
from batchdrop.texts import with_nearest

FOLDER = re.compile(r"input/([^/]+/)*")
_AtLeastOne = Annotated[int, msgspec.Meta(ge=1, le=10)]


class Rules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The deployer's rules for a folder and below it; None where there is none.

    Attributes:
        allowed_providers: The providers that its lines may go to.
        max_priority: The highest `priority` that a file or a `batchdrop.toml` may ask for.
        max_attempts: The most attempts that they may ask for.
        max_budget_usd: The highest `budget_usd` that they may ask for, and the budget of jobs that have none.
    """

    allowed_providers: tuple[str, ...] | None = None
    max_priority: Annotated[int, msgspec.Meta(ge=-1_000_000, le=1_000_000)] | None = None
    max_attempts: _AtLeastOne | None = None
    max_budget_usd: Decimal | None = None


def read_folders(text: str, providers: Collection[str]) -> dict[str, Rules]:
    """The rules by folder, of a file that is TOML; numbers are read as decimals, which no float ever rounded.

    Raises:
        ConfigError: The message names the folder and the key.
    """
    tables = tomllib.loads(text, parse_float=Decimal).get("folders", {})
    if not isinstance(tables, dict):
        raise ConfigError('folders: must be a table of tables ([folders."input/team/"])')
    return {folder: _read(folder, table, providers) for folder, table in tables.items()}


def _read(folder: str, table: Any, providers: Collection[str]) -> Rules:  # noqa: ANN401 - whatever the file says
    where = f'folders."{folder}"'
    if not FOLDER.fullmatch(folder):
        raise ConfigError(f'{where}: a folder must begin with "input/" and end with "/"')
    if isinstance(table, dict) and "max_budget_usd" in table and read_budget(table["max_budget_usd"]) is None:
        raise ConfigError(f"{where}.max_budget_usd: must be {BUDGET_WORDS}")
    try:
        rules = msgspec.convert(table, Rules)
    except msgspec.ValidationError as error:
        text, _, path = str(error).removeprefix("Object ").partition(" - at `$")
        raise ConfigError(f"{where}{path.rstrip('`')}: {with_nearest(text, Rules.__struct_fields__)}") from error
    unknown = [name for name in rules.allowed_providers or () if name not in providers]
    if unknown:
        raise ConfigError(f"{where}.allowed_providers: there is no [providers.{unknown[0]}]")
    return rules


def rules_for(folders: Mapping[str, Rules], key: str) -> Rules:
    """The rules for an object: of its folders, the nearest winning key by key."""
    found: dict[str, Any] = {}
    for folder in sorted((each for each in folders if key.startswith(each)), key=len):
        given = msgspec.structs.asdict(folders[folder])
        found |= {name: value for name, value in given.items() if value is not None}
    return Rules(**found)
