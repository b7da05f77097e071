"""A job's settings: `batchdrop.toml` of its folders, the nearest winning key by key, then the object's metadata."""

import re
import tomllib
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from batchdrop.deadlines import DURATION, seconds
from batchdrop.errors import Unprocessable
from batchdrop.providers.config import is_api_version
from batchdrop.providers.folder_rules import Rules
from batchdrop.records import JobSettings

MAX_ATTEMPTS = 10
MAX_AGE = 60 * 86_400  # seconds; `work/` and replaced versions live 90 days
MIN_PART_BYTES = 5 * 1024 * 1024  # S3's smallest part of a multipart upload
MAX_PART_BYTES = 5 * 1024**4  # S3's largest object
MAX_PRIORITY = 1_000_000
VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
HEADER_WORD = re.compile(r"[!-+\--~]+")  # visible ASCII without a comma: it travels in a header's list
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]Z")
MAX_NAMES, MAX_NAME_LENGTH = 50, 100  # of betas and of parameters: they stand in rows, betas also in a header
_PARAMETER = re.compile(r"[^\x00-\x1f\x7f]+")
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}", re.ASCII)
_NUMBERS = frozenset({"max_attempts", "priority", "part_bytes"})
_METADATA = "batchdrop-"
_OTHER_METADATA = frozenset({"retry_of", "retry_lines", "sha256"})
_LISTS = frozenset({"betas", "drop_params"})
_NO_RULES = Rules()


def resolve(files: list[tuple[str, str]], metadata: Mapping[str, str], rules: Rules = _NO_RULES) -> JobSettings:
    """The settings of one job.

    Args:
        files: Key and text of each settings file, the nearest last.
        metadata: The object's own; `batchdrop-<key>` counts, with `-` or `_` in the key.
        rules: What the deployer allows in the object's folder.

    Raises:
        Unprocessable: A file is not TOML, a key is unknown, a value has no sense or is not allowed; the message
            names it.
    """
    found: dict[str, Any] = {}
    sources: dict[str, str] = {}
    given = [*((key, _table(key, text)) for key, text in files), ("the object's metadata", _from_metadata(metadata))]
    for source, values in given:
        found |= _checked(values, source)
        sources |= dict.fromkeys(values, source)
    return _within(rules, msgspec.convert(found, JobSettings), sources)


def _within(rules: Rules, settings: JobSettings, sources: Mapping[str, str]) -> JobSettings:
    """The settings if the deployer's ceilings allow them; a default above one is lowered to it."""
    lowered = {}
    for name, ceiling in (("priority", rules.max_priority), ("max_attempts", rules.max_attempts)):
        value = getattr(settings, name)
        if ceiling is None or value <= ceiling:
            continue
        if name in sources:
            raise Unprocessable(f"{sources[name]}: {name} = {value}: at most {ceiling} is allowed in this folder")
        lowered[name] = ceiling
    return msgspec.structs.replace(settings, **lowered)


def _table(key: str, text: str) -> dict[str, Any]:
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:  # a number may have too many digits, a table too many levels
        raise Unprocessable(f"{key} is not TOML: {error}") from error


def own_metadata(metadata: Mapping[str, str]) -> dict[str, str]:
    """What an object's metadata says to us: `batchdrop-retry-of` as `retry_of`."""
    return {
        name.lower().removeprefix(_METADATA).replace("-", "_"): value
        for name, value in metadata.items()
        if name.lower().startswith(_METADATA)
    }


def _from_metadata(metadata: Mapping[str, str]) -> dict[str, Any]:
    return {
        name: [each.strip() for each in value.split(",") if each.strip()] if name in _LISTS else value
        for name, value in own_metadata(metadata).items()
        if name not in _OTHER_METADATA
    }


def _checked(values: dict[str, Any], source: str) -> dict[str, Any]:
    for name, value in values.items():
        if name not in JobSettings.__struct_fields__:
            known = ", ".join(JobSettings.__struct_fields__)
            raise Unprocessable(f"{source}: unknown setting {name!r:.100}; known are {known}")
        problem = _problem(name, value)
        if problem is not None:
            raise Unprocessable(f"{source}: {name} = {value!r:.100}: {problem}")
    read = msgspec.convert(values, JobSettings, strict=False)
    return {name: getattr(read, name) for name in values}


def _problem(name: str, value: object) -> str | None:
    check = _CHECKS[name]
    if name in _NUMBERS and isinstance(value, str) and not _WHOLE_NUMBER.fullmatch(value):
        return check.wanted  # msgspec would take "null", "1e5" and "1.0" for numbers
    try:
        read = getattr(msgspec.convert({name: value}, JobSettings, strict=False), name)
    except msgspec.ValidationError as error:
        return str(error).partition(" - at ")[0]
    return None if check.accepts(read) else check.wanted


def _is_short_duration(value: str) -> bool:
    return DURATION.fullmatch(value) is not None and seconds(value) <= MAX_AGE


def _are_names(values: tuple[str, ...], pattern: re.Pattern[str]) -> bool:
    return len(values) <= MAX_NAMES and all(len(each) <= MAX_NAME_LENGTH and pattern.fullmatch(each) for each in values)


class _Check(NamedTuple):
    accepts: Callable[[Any], bool]
    wanted: str


_CHECKS: dict[str, _Check] = {
    "max_attempts": _Check(lambda value: 1 <= value <= MAX_ATTEMPTS, f"a number from 1 to {MAX_ATTEMPTS}"),
    "on_invalid": _Check(lambda value: value in {"skip", "reject"}, 'either "skip" or "reject"'),
    "expected_by": _Check(
        lambda value: _is_short_duration(value) or TIME_OF_DAY.fullmatch(value) is not None,
        'a duration after the drop such as "6h", 60 days at most, or a time of day such as "07:00Z"',
    ),
    "max_age": _Check(_is_short_duration, 'a duration such as "30d" or "36h", 60 days at most'),
    "priority": _Check(lambda value: abs(value) <= MAX_PRIORITY, f"a number from {-MAX_PRIORITY} to {MAX_PRIORITY}"),
    "part_bytes": _Check(
        lambda value: MIN_PART_BYTES <= value <= MAX_PART_BYTES,
        f"a number, at least {MIN_PART_BYTES}, at most {MAX_PART_BYTES}",
    ),
    "anthropic_version": _Check(
        lambda value: VERSION.fullmatch(value) is not None and is_api_version(value), 'a date such as "2023-06-01"'
    ),
    "betas": _Check(
        lambda value: _are_names(value, HEADER_WORD),
        f"names of betas, each a word; {MAX_NAMES} at most, of up to {MAX_NAME_LENGTH} characters",
    ),
    "drop_params": _Check(
        lambda value: _are_names(value, _PARAMETER),
        f'names of parameters, such as "seed"; {MAX_NAMES} at most, of up to {MAX_NAME_LENGTH} characters',
    ),
}
