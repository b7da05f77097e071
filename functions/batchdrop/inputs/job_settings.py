"""A job's settings: `batchdrop.toml` of its folders, the nearest winning key by key, then the object's metadata."""

import re
import tomllib
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any, NamedTuple

import msgspec

from batchdrop.aws.keys import SCHEMA_ENDING, SETTINGS_ENDING, beside_key
from batchdrop.dollars import read_budget
from batchdrop.errors import Unprocessable
from batchdrop.inputs.setting_definitions import SETTINGS
from batchdrop.inputs.templates import Template, read_template
from batchdrop.providers.folder_rules import Rules
from batchdrop.records import JobSettings
from batchdrop.texts import nearest_of

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBERS = frozenset({"max_attempts", "priority", "part_bytes"})
_MONEY = frozenset({"budget_usd", "monthly_budget_usd"})
_METADATA = "batchdrop-"
OWN_SETTINGS = "settings"  # names a file beside the object, whose settings are the object's own
_TEMPLATE, _SCHEMA = "template", "output_schema"
OTHER_METADATA = frozenset({"retry_of", "retry_lines", "sha256", OWN_SETTINGS, _SCHEMA})
_SCHEMA_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,100}}{re.escape(SCHEMA_ENDING)}", re.ASCII)
_LISTS = frozenset({"betas", "drop_params", "answers"})
_NO_RULES = Rules()
_OBJECT = "the object's metadata"


def resolve(files: Sequence[tuple[str, str]], metadata: Mapping[str, str], rules: Rules = _NO_RULES) -> JobSettings:
    """The settings of one job, its template and its output schema aside.

    Args:
        files: Key and text of each settings file, the nearest last; the object's own, if it has one, comes last.
        metadata: The object's own; `batchdrop-<key>` counts, with `-` or `_` in the key.
        rules: What the deployer allows in the object's folder.

    Raises:
        Unprocessable: A file is not TOML, a key is unknown, a value has no sense or is not allowed; the message
            names it.
    """
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    given = [*((key, _table(key, text)) for key, text in files), (_OBJECT, _from_metadata(metadata))]
    for source, values in given:
        if source.endswith((_OBJECT, SETTINGS_ENDING)) and "monthly_budget_usd" in values:
            raise Unprocessable(f"{source}: monthly_budget_usd belongs to a folder: set it in a batchdrop.toml")
        found |= _checked(values, source)
        sources |= dict.fromkeys(values, source)
    return _within(rules, msgspec.convert(found, JobSettings), sources)


def find_template(files: Sequence[tuple[str, str]]) -> Template | None:
    """The template of the nearest settings file that has one: a template is taken whole, not key by key.

    Args:
        files: As `resolve` takes them.

    Raises:
        Unprocessable: It has no sense; the message names it.
    """
    found = [(key, table) for key, text in files if (table := _table(key, text).get(_TEMPLATE)) is not None]
    return read_template(found[-1][1], found[-1][0]) if found else None


class NamedSchema(NamedTuple):
    """An output schema as settings have it: its text, or the key of the file that holds it."""

    text: bytes | None
    key: str | None = None


def find_output_schema(
    files: Sequence[tuple[str, str]], metadata: Mapping[str, str], key: str = ""
) -> NamedSchema | None:
    """The output schema of the nearest settings that have one; None where they have none, or the nearest is empty.

    Args:
        files: As `resolve` takes them.
        metadata: The object's own, which can only name a file beside it.
        key: The object's.

    Raises:
        Unprocessable: It is neither a table, nor JSON, nor the name of a file beside the settings.
    """
    given = [(source, each) for source, text in files if (each := _table(source, text).get(_SCHEMA)) is not None]
    own = own_metadata(metadata).get(_SCHEMA)
    source, value = (key, own) if own is not None else given[-1] if given else ("", {})
    if isinstance(value, dict):
        return NamedSchema(_as_json(value, source)) if value else None
    if isinstance(value, str) and value.lstrip().startswith("{"):
        return None if value.strip() == "{}" else NamedSchema(value.encode())
    if isinstance(value, str) and _SCHEMA_NAME.fullmatch(value):
        return NamedSchema(None, beside_key(source, value))
    raise Unprocessable(
        f"{source}: output_schema must be a JSON Schema, as a table or as text, or the name of a file beside it, which "
        f"ends in {SCHEMA_ENDING}"
    )


def _as_json(value: dict[str, Any], source: str) -> bytes:
    try:
        return msgspec.json.encode(value)
    except (TypeError, ValueError, OverflowError, RecursionError):
        raise Unprocessable(f"{source}: output_schema holds a value that JSON does not have") from None


def find_budget_folder(files: Sequence[tuple[str, str]]) -> str | None:
    """The folder whose settings set the monthly budget; None where none do.

    Args:
        files: As `resolve` took them.
    """
    keys = [key for key, text in files if "monthly_budget_usd" in _table(key, text)]
    return f"{keys[-1].rpartition('/')[0]}/" if keys else None


def _within(rules: Rules, settings: JobSettings, sources: Mapping[str, str]) -> JobSettings:
    """The settings if the deployer's ceilings allow them; a default above one is lowered to it."""
    lowered = {}
    ceilings = {
        "priority": rules.max_priority,
        "max_attempts": rules.max_attempts,
        "budget_usd": rules.max_budget_usd,
    }
    for name, ceiling in ceilings.items():
        value = getattr(settings, name)
        if ceiling is None or (value is not None and value <= ceiling):
            continue
        if name in sources:
            raise Unprocessable(f"{sources[name]}: {name} = {value}: at most {ceiling} is allowed in this folder")
        lowered[name] = ceiling
    return msgspec.structs.replace(settings, **lowered)


def _table(key: str, text: str) -> dict[str, Any]:
    try:
        exact = tomllib.loads(text, parse_float=Decimal)
        return tomllib.loads(text) | {name: exact[name] for name in _MONEY & exact.keys()}
    except (ValueError, RecursionError) as error:  # a number may have too many digits, a table too many levels
        raise Unprocessable(f"{key} is not TOML: {error}") from error


def own_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return our keys of an object's metadata: `batchdrop-retry-of` as `retry_of`."""
    return {
        name.lower().removeprefix(_METADATA).replace("-", "_"): value
        for name, value in metadata.items()
        if name.lower().startswith(_METADATA)
    }


def _from_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: [each.strip() for each in value.split(",") if each.strip()] if name in _LISTS else value
        for name, value in own_metadata(metadata).items()
        if name not in OTHER_METADATA
    }


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    if source != _OBJECT:
        values = {name: value for name, value in values.items() if name not in (_TEMPLATE, _SCHEMA)}
    for name, value in values.items():
        if name not in JobSettings.__struct_fields__:
            raise Unprocessable(f"{source}: unknown setting {name!r:.100}; {nearest_of(name, SETTINGS)}")
        problem = _problem(name, value)
        if problem is not None:
            shown = str(value) if isinstance(value, Decimal) else repr(value)
            raise Unprocessable(f"{source}: {name} = {shown:.100}: {problem}")
    exact = {name: read_budget(value) if name in _MONEY else value for name, value in values.items()}
    read = msgspec.convert(exact, JobSettings, strict=False)
    return {name: getattr(read, name) for name in values}


def _problem(name: str, value: object) -> str | None:
    setting = SETTINGS[name]
    if name in _MONEY:
        return None if read_budget(value) is not None else setting.wanted
    if name in _NUMBERS and isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        return setting.wanted  # msgspec would take "null", "1e5" and "1.0" for numbers
    try:
        read = getattr(msgspec.convert({name: value}, JobSettings, strict=False), name)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return None if setting.accepts(read) else setting.wanted
