"""The options that several commands share."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from batchdrop.dollars import BUDGET_WORDS, read_budget
from batchdrop.inputs.setting_definitions import MOMENT_WORDS, SETTINGS
from cyclopts import Parameter

from batchdrop_cli.cloud import Target

DEFAULT_TARGET = Target()
_LONGEST_ID = 100  # characters; a job's id has 27


def between(low: int, high: int) -> Callable[[object, float | None], None]:
    """A validator for a number."""

    def validate(_: object, value: float | None) -> None:
        if value is not None and not low <= value <= high:
            raise ValueError(f"must be from {low:,} to {high:,}")

    return validate


def _validate_cost(_: object, value: str | None) -> None:
    if value is not None and read_budget(value) is None:
        raise ValueError(f"must be {BUDGET_WORDS}")


def _validate_moment(_: object, value: str | None) -> None:
    if value is not None and not SETTINGS["deadline"].accepts(value):
        raise ValueError(f"must be {MOMENT_WORDS}")


def _validate_id(_: object, value: str) -> None:
    if not value.strip() or len(value) > _LONGEST_ID:
        raise ValueError('must be a job\'s id, as "batchdrop jobs" lists them, or "latest"')


Again = Annotated[
    bool, Parameter(negative="", help="Drop the same bytes although they are being processed; pay again.")
]
AsCsv = Annotated[bool, Parameter(name="--csv", negative="", help="The same as --answers csv.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="Print one JSON value on standard output.")]
DryRun = Annotated[bool, Parameter(negative="", help="Show the file's quote, and send nothing.")]
File = Annotated[
    Path, Parameter(help="JSON lines (.jsonl) or a table (.csv, .tsv), also as .gz or .zst; .parquet, .arrow, .xlsx.")
]
Source = Annotated[
    Path,
    Parameter(
        allow_leading_hyphen=True,
        help="A file as for `run`, a folder whose files are all dropped, or - for standard input.",
    ),
]
Folder = Annotated[
    Path | None,
    Parameter(
        name=["-o", "--output"],
        help="The folder for the results; default: results/NAME or results/NAME-JOB.",
    ),
]
JobId = Annotated[str, Parameter(help='A job\'s id, or "latest": the newest, a retry too.', validator=_validate_id)]
Key = Annotated[str | None, Parameter(metavar="KEY", help="The key in the bucket; default: input/NAME.")]
PutKey = Annotated[
    str | None,
    Parameter(
        metavar="KEY",
        help="The key in the bucket; default: input/NAME; for a folder input/FOLDER/, for - input/stdin.jsonl.",
    ),
]
MaxCost = Annotated[
    str | None,
    Parameter(
        metavar="USD",
        allow_leading_hyphen=True,
        validator=_validate_cost,
        help="US dollars, the job's budget: a file that may cost more, or nobody knows how much, is not sent.",
    ),
]
By = Annotated[
    str | None,
    Parameter(
        metavar="TIME",
        allow_leading_hyphen=True,
        validator=_validate_moment,
        help='The deadline, as "6h" after the drop or "07:00Z": what batches leave is called at real-time prices.',
    ),
]
FallbackModel = Annotated[
    str | None,
    Parameter(
        metavar="MODEL",
        name="--fallback",
        help="A model, as lines name it, that serves the lines that their own model or provider failed for good.",
    ),
]
ProvidersFile = Annotated[
    Path | None,
    Parameter(help="Another providers.toml; default: the local cloud's as deployed, or for AWS the project's."),
]
QuotedProviders = Annotated[
    Path | None,
    Parameter(help="Another providers.toml for the quote; if left out, the cloud's, or for --dry-run the project's."),
]
