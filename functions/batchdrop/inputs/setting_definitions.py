"""Each setting of a job: what it means, which values it takes, and an example. `docs/settings.md` is made from this."""

import re
from collections.abc import Callable
from typing import Any, NamedTuple

from batchdrop.deadlines import DURATION, seconds
from batchdrop.dollars import BUDGET_WORDS, read_budget
from batchdrop.providers.config import is_api_version

MAX_ATTEMPTS = 10
MAX_AGE = 60 * 86_400  # seconds; `work/` and replaced versions live 90 days
MIN_PART_BYTES = 5 * 1024 * 1024  # S3's smallest part of a multipart upload
MAX_PART_BYTES = 5 * 1024**4  # S3's largest object
MAX_PRIORITY = 1_000_000
VERSION = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
HEADER_WORD = re.compile(r"[!-+\--~]+")  # visible ASCII without a comma: it travels in a header's list
TIME_OF_DAY = re.compile(r"([01][0-9]|2[0-3]):[0-5][0-9]Z")
MOMENT_WORDS = 'a duration after the drop such as "6h", 60 days at most, or a time of day such as "07:00Z"'
MAX_MODEL_LENGTH = 256
MAX_SUMMARY = 200  # characters: it is one line, and lies in the job's row
MAX_NAMES, MAX_NAME_LENGTH = 50, 100  # of betas and of parameters: they stand in rows, betas also in a header
_PARAMETER = re.compile(r"[^\x00-\x1f\x7f]+")


class Setting(NamedTuple):
    """`wanted` names the values that it takes, `example` is one of them, as a value of TOML."""

    accepts: Callable[[Any], bool]
    wanted: str
    meaning: str
    example: str


def _is_short_duration(value: str) -> bool:
    return DURATION.fullmatch(value) is not None and seconds(value) <= MAX_AGE


def _is_moment(value: str) -> bool:
    return _is_short_duration(value) or TIME_OF_DAY.fullmatch(value) is not None


def _are_names(values: tuple[str, ...], pattern: re.Pattern[str]) -> bool:
    return len(values) <= MAX_NAMES and all(len(each) <= MAX_NAME_LENGTH and pattern.fullmatch(each) for each in values)


SETTINGS: dict[str, Setting] = {
    "max_attempts": Setting(
        lambda value: 1 <= value <= MAX_ATTEMPTS,
        f"a number from 1 to {MAX_ATTEMPTS}",
        "How often a request is sent at most, where an error may pass or its batch expired",
        "5",
    ),
    "on_invalid": Setting(
        lambda value: value in {"skip", "reject"},
        'either "skip" or "reject"',
        'What happens to a file with invalid lines: `"skip"` sends the others, `"reject"` fails the job before '
        "anything is paid",
        '"reject"',
    ),
    "priority": Setting(
        lambda value: abs(value) <= MAX_PRIORITY,
        f"a number from {-MAX_PRIORITY} to {MAX_PRIORITY}",
        "Jobs of a higher priority are sent first",
        "10",
    ),
    "summary": Setting(
        lambda value: 1 <= len(value) <= MAX_SUMMARY and value.isprintable(),
        f"a line of text, {MAX_SUMMARY} characters at most",
        "What the file is for, in your words: the [console](console.md) shows it beside the job. It is kept in the "
        "table, so that nothing secret belongs in it",
        '"Reviews of November, second try"',
    ),
    "expected_by": Setting(
        _is_moment,
        MOMENT_WORDS,
        "When the job should be done: if it is not, the event `Job Late` is sent, once, and the job goes on",
        '"07:00Z"',
    ),
    "max_age": Setting(
        _is_short_duration,
        'a duration such as "30d" or "36h", 60 days at most',
        "When the job ends, counted from the drop, with the answers that there are by then",
        '"36h"',
    ),
    "part_bytes": Setting(
        lambda value: MIN_PART_BYTES <= value <= MAX_PART_BYTES,
        f"a number, at least {MIN_PART_BYTES}, at most {MAX_PART_BYTES}",
        "Results are published in parts of about so many bytes (`results-00001.jsonl`, …); without it, in one file",
        "268435456",
    ),
    "anthropic_version": Setting(
        lambda value: VERSION.fullmatch(value) is not None and is_api_version(value),
        'a date such as "2023-06-01"',
        "The version of Anthropic's API; without it, the provider's `api_version`",
        '"2023-06-01"',
    ),
    "betas": Setting(
        lambda value: _are_names(value, HEADER_WORD),
        f"names of betas, each a word; {MAX_NAMES} at most, of up to {MAX_NAME_LENGTH} characters",
        "Anthropic's betas of every batch; without it, the provider's",
        '["output-300k-2026-03-24"]',
    ),
    "drop_params": Setting(
        lambda value: _are_names(value, _PARAMETER),
        f'names of parameters, such as "seed"; {MAX_NAMES} at most, of up to {MAX_NAME_LENGTH} characters',
        "Parameters that a [translation](translation.md) may leave out",
        '["seed", "logprobs"]',
    ),
    "budget_usd": Setting(
        lambda value: read_budget(value) is not None,
        BUDGET_WORDS,
        "What a job may cost at most: one that may cost more is held until it is approved, and nothing of it is paid",
        "12.50",
    ),
    "monthly_budget_usd": Setting(
        lambda value: read_budget(value) is not None,
        BUDGET_WORDS,
        "What the jobs of the folder may cost together in a month of UTC; a job that it has no room for is held. "
        "Only a `batchdrop.toml` can set it",
        "200",
    ),
    "delimiter": Setting(
        lambda value: len(value) == 1 and value.isascii() and not value.isalnum() and value not in '"\r\n\0 ',
        'one character such as ";"',
        "What stands between the cells of a [table](tables.md); without it, a comma in `.csv` and a tab in `.tsv`",
        '";"',
    ),
    "answers": Setting(
        lambda values: {*values} <= {"jsonl", "csv", "parquet"},
        'names of kinds of files: "jsonl", "csv", "parquet"',
        "Publishes `answers.jsonl` and `answers.csv` beside the results: one "
        "[row per line](tables.md#which-files-of-answers-do-i-get), with "
        'its text, tokens and cost; for `"parquet"` the JSON lines, of which the command makes Parquet when it fetches '
        "them",
        '["csv"]',
    ),
    "csv_bom": Setting(
        lambda value: isinstance(value, bool),
        "true or false",
        "Begins `answers.csv` with a byte-order mark, by which Excel knows that it is UTF-8",
        "true",
    ),
    "csv_formulas": Setting(
        lambda value: isinstance(value, bool),
        "true or false",
        "Leaves a text in `answers.csv` as it is that a spreadsheet would run (it begins with `=`, `+`, `-`, `@`, a "
        "tab or a carriage return); otherwise a `'` stands before it",
        "true",
    ),
    "deadline": Setting(
        _is_moment,
        MOMENT_WORDS,
        "When the job must be done: what its batches have not answered by the [last safe moment](deadlines.md) is "
        "answered by calls at real-time prices",
        '"6h"',
    ),
    "fallback": Setting(
        lambda value: bool(value.strip()) and len(value) <= MAX_MODEL_LENGTH and value.isprintable(),
        f"a model as lines name it, of up to {MAX_MODEL_LENGTH} characters",
        "Another model, which serves the lines that their own model, or its provider, [failed for good](fallback.md)",
        '"anthropic/claude-haiku-4-5"',
    ),
    "realtime": Setting(
        lambda value: value in {"deadline", "off"},
        'either "deadline" or "off"',
        'What may be called at real-time prices: `"deadline"` keeps the deadline by it, with `"off"` a job that misses '
        "its deadline is late",
        '"off"',
    ),
    "dedupe": Setting(
        lambda value: isinstance(value, bool),
        "true or false",
        "Sends requests that are [equal](dedupe.md) once, and gives each of their lines the answer",
        "true",
    ),
    "cache_prefix": Setting(
        lambda value: isinstance(value, bool),
        "true or false",
        "Asks Claude's prompt cache to keep what the requests of a batch have in common, for an hour: what that costs, "
        "and when it pays, [is to be read before](prompt-caching.md)",
        "true",
    ),
    "schema_retry": Setting(
        lambda value: value in {"same", "with_errors"},
        'either "same" or "with_errors"',
        'How a request is sent again whose answer does not fit the [output schema](structured-answers.md): `"same"` as '
        'it was, `"with_errors"` with that answer and its problems',
        '"with_errors"',
    ),
    "report": Setting(
        lambda value: isinstance(value, bool),
        "true or false",
        "Publishes `report.html` beside the manifest: "
        "[one page for people](console.md#what-is-in-the-report-of-a-job), with no prompt and no answer",
        "true",
    ),
}
