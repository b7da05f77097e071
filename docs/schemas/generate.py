"""JSON Schemas of every shape that users see, made from the code: `python docs/schemas/generate.py [folder]`.

Types come from the structs; what a type cannot say (a null that comes with another, a range, a pattern) is added here.
"""  # noqa: INP001 - a program beside the files that it writes, no package

import sys
from pathlib import Path
from typing import Any

import msgspec
from batchdrop import deadlines
from batchdrop.dollars import MAX_BUDGET
from batchdrop.inputs import setting_definitions
from batchdrop.inputs.templates import Template
from batchdrop.manifest import (
    EVENT_SCHEMA,
    SCHEMA,
    ActionEvent,
    DuplicateBatch,
    HeldEvent,
    JobEvent,
    Manifest,
    ProviderEvent,
)
from batchdrop.providers import price_table
from batchdrop.providers.config import NAME, ProviderConfig
from batchdrop.providers.folder_rules import FOLDER, Rules
from batchdrop.records import JobSettings
from batchdrop.result_line import ErrorCode, Result
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli import quote
from batchdrop_cli.costs import Costs
from batchdrop_cli.dead_letters import DeadLetter
from batchdrop_cli.doctor import Finding
from batchdrop_cli.headroom import ShownProvider
from batchdrop_cli.job_logs import LoggedLine
from batchdrop_cli.jobs import Listed, Shown
from batchdrop_cli.key_checks import CheckedKey
from batchdrop_cli.keys import StoredKey
from batchdrop_cli.local_status import LocalStatus

Schema = dict[str, Any]

_NULL: Schema = {"type": "null"}
_OBJECT: Schema = {"type": "object"}
_DOLLARS = r"^-?[0-9]+\.[0-9]{6}$"
_EXACT_DOLLARS = r"^[0-9]+(\.[0-9]+)?$"
_DOLLARS_OF_EVENTS = (
    ("Quote", "high_usd"),
    *(("BudgetState", name) for name in ("budget_usd", "monthly_budget_usd", "committed_usd")),
)
_BUDGET: Schema = {"type": "number", "exclusiveMinimum": 0, "maximum": MAX_BUDGET}  # decimals are numbers in TOML

# What each command prints with `--json`, beside `quote`.
LISTINGS: dict[str, Any] = {
    "jobs": list[Listed],
    "show": Shown,
    "costs": Costs,
    "providers": list[ShownProvider],
    "logs": list[LoggedLine],
    "doctor": list[Finding],
    "redrive": list[DeadLetter],
    "keys list": list[StoredKey],
    "keys check": list[CheckedKey],
    "local status": LocalStatus,
}


class ProvidersFile(msgspec.Struct, forbid_unknown_fields=True):
    """`providers.toml`: each provider by its name, the rules of folders, and prices by provider and model pattern."""

    providers: dict[str, ProviderConfig]
    folders: dict[str, Rules] = {}
    prices: dict[str, dict[str, price_table.OwnPrices]] = {}


def schemas() -> dict[str, Schema]:
    """Each schema by the name of its file."""
    return {
        "results-line.json": _results_line(),
        "manifest.json": _manifest(),
        "event.json": _event(),
        "batchdrop-toml.json": _settings(),
        "providers-toml.json": _providers(),
        "quote.json": _quote(),
        **{f"command-{name.replace(' ', '-')}.json": _listing(name, kind) for name, kind in LISTINGS.items()},
    }


def _results_line() -> Schema:
    schema, structs = _of("batchdrop.results/1", "A line of results.jsonl and of errors.jsonl", Result)
    structs["Result"] |= {
        "if": {"properties": {"error": _NULL}},
        "then": {"properties": {"response": _OBJECT}},
    }
    structs["Result"]["properties"]["line"] |= {"minimum": 1}
    structs["Result"]["properties"]["attempts"] |= {"minimum": 0}
    structs["ResultError"]["properties"]["code"] |= {
        "description": "One of ours, which are listed here, or the provider's own.",
        "examples": [str(code) for code in ErrorCode],
    }
    return schema


def _manifest() -> Schema:
    schema, structs = _of(SCHEMA, "manifest.json", Manifest)
    schema["$comment"] = (
        "1.1: quote, money, and by model retries, duplicates and what they cost. 1.2: files.answers. 1.3: top_error"
    )
    _always_written(structs)
    _over_only(structs)
    structs["Manifest"]["properties"]["schema"] = {"const": SCHEMA}
    ended = {"enum": ["FAILED", "CANCELLED"]}  # a cancelled job may have no results either: its plan failed
    empty = {"status": ended, "counts": _NULL, "input": _lines(_NULL), "files": _files(_NULL)}
    empty["files"]["properties"]["results"] = {"maxItems": 0}
    whole = {"counts": _OBJECT, "input": _lines({"type": "integer"}), "files": _files(_OBJECT)}
    whole["files"]["properties"]["results"] = {"minItems": 1}
    structs["Manifest"] |= {
        "if": {"properties": {"counts": _NULL}},
        "then": {"properties": {**empty, "reason": {"type": "string"}}},
        "else": {"properties": whole},
        "allOf": [
            {
                "if": {"properties": {"status": {"const": "FAILED"}}},
                "then": {"properties": {"reason": {"type": "string"}}},
            }
        ],
    }
    return schema


def _event() -> Schema:
    events = (JobEvent, HeldEvent, ProviderEvent, DuplicateBatch, ActionEvent)
    schema, structs = _of(EVENT_SCHEMA, "The detail of an event of the source batchdrop", *events)
    schema["$comment"] = "1.1: money. 1.2: top_error"
    _always_written(structs)
    for event in events:
        structs[event.__name__]["properties"]["schema"] = {"const": EVENT_SCHEMA}
    for struct, name in _DOLLARS_OF_EVENTS:
        structs[struct]["properties"][name] = {"anyOf": [{"type": "string", "pattern": _EXACT_DOLLARS}, _NULL]}
    return schema


def _settings() -> Schema:
    schema, structs = _of("batchdrop.settings/1", "batchdrop.toml, the settings of a folder", JobSettings)
    structs["JobSettings"]["additionalProperties"] = False  # intake refuses what a row may hold of a newer version
    properties = structs["JobSettings"]["properties"]
    duration, time = deadlines.DURATION.pattern, setting_definitions.TIME_OF_DAY.pattern
    more: Schema = {
        "max_attempts": {"minimum": 1, "maximum": setting_definitions.MAX_ATTEMPTS},
        "on_invalid": {"enum": ["skip", "reject"]},
        "priority": {"minimum": -setting_definitions.MAX_PRIORITY, "maximum": setting_definitions.MAX_PRIORITY},
        "expected_by": {"pattern": f"^({duration}|{time})$"},
        "max_age": {"pattern": f"^{duration}$"},
        "part_bytes": {"minimum": setting_definitions.MIN_PART_BYTES, "maximum": setting_definitions.MAX_PART_BYTES},
        "anthropic_version": {"pattern": f"^{setting_definitions.VERSION.pattern}$"},
    }
    for name, rules in more.items():
        properties[name] |= rules
    properties |= dict.fromkeys(("budget_usd", "monthly_budget_usd"), _BUDGET)
    properties["betas"]["items"]["pattern"] = f"^{setting_definitions.HEADER_WORD.pattern}$"
    properties["answers"]["items"] = {"enum": ["csv", "jsonl"]}
    properties["delimiter"] |= {"minLength": 1, "maxLength": 1}
    properties["template"] = _template()
    properties["output_schema"] = {"type": ["object", "string"]}
    for name in ("betas", "drop_params"):
        properties[name] |= {"maxItems": setting_definitions.MAX_NAMES}
        properties[name]["items"] |= {"maxLength": setting_definitions.MAX_NAME_LENGTH}
    return schema


def _template() -> Schema:
    """An empty table turns off that of a folder above; a body may be JSON in a string."""
    _, structs = msgspec.json.schema_components((Template,), ref_template="#/$defs/{name}")
    template = structs["Template"]
    template["properties"]["body"] = {"type": ["object", "string"]}
    return {"anyOf": [{"type": "object", "maxProperties": 0}, template]}


def _providers() -> Schema:
    schema, structs = _of("batchdrop.providers/1", "providers.toml, the providers that lines may go to", ProvidersFile)
    structs["ProviderConfig"]["properties"]["base_url"]["pattern"] = "^https?://[^@?#]+$"
    del structs["ProviderConfig"]["properties"]["name"]  # the table's own name, filled in when the file is read
    structs["ProvidersFile"]["properties"]["providers"] |= {
        "minProperties": 1,
        "propertyNames": {"pattern": f"^{NAME.pattern}$"},
    }
    structs["ProvidersFile"]["properties"]["folders"]["propertyNames"] = {"pattern": f"^{FOLDER.pattern}$"}
    structs["ProvidersFile"]["properties"]["prices"]["propertyNames"] = {"pattern": f"^{NAME.pattern}$"}
    structs["Rules"]["properties"]["max_budget_usd"] = _BUDGET
    _own_prices(structs)
    return schema


def _own_prices(structs: dict[str, Schema]) -> None:
    """Decimals are numbers in TOML, and a file gives three of the rates."""
    dollars = {"type": "number", "minimum": 0, "maximum": price_table.MOST_DOLLARS}
    rates, prices = structs["Rates"], structs["OwnPrices"]
    rates |= {
        "properties": dict.fromkeys(price_table.RATES, dollars),
        "required": ["input", "output"],
        "additionalProperties": False,
    }
    prices |= {"minProperties": 1, "additionalProperties": False}
    for name in ("batch", "realtime"):
        prices["properties"][name] = {"$ref": "#/$defs/Rates"}
    prices["properties"]["batch_discount"] = {"type": "number", "minimum": 0, "maximum": 1}
    prices["properties"]["discount"] = {"type": "number", "minimum": -10, "maximum": 1}


def _quote() -> Schema:
    schema, structs = _of(quote.SCHEMA, "What `batchdrop quote --json` prints", quote.Quote)
    _always_written(structs)
    structs["Quote"]["properties"]["schema"] = {"const": quote.SCHEMA}
    structs["DollarRange"]["properties"]["low_usd"] |= {"pattern": _DOLLARS}
    structs["DollarRange"]["properties"]["high_usd"] = {"anyOf": [{"type": "string", "pattern": _DOLLARS}, _NULL]}
    return schema


def _listing(command: str, kind: type) -> Schema:
    title = f"What `batchdrop {command} --json` prints"
    schema, structs = _of(f"batchdrop.command-{command.replace(' ', '-')}/1", title, kind)
    _always_written(structs)
    return schema


def _of(version: str, title: str, *kinds: type) -> tuple[Schema, dict[str, Schema]]:
    """A schema and its structs by name; `version` is `<name>/<number>`, as the shape itself has it."""
    roots, structs = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
    root = roots[0] if len(roots) == 1 else {"anyOf": list(roots)}
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": f"urn:{version.replace('.', ':').replace('/', ':')}",
        "title": title,
        **root,
        "$defs": structs,
    }
    return schema, structs


def _always_written(structs: dict[str, Schema]) -> None:
    """Nothing is left out of what batchdrop writes, whether it has a default or not."""
    for struct in structs.values():
        if "properties" in struct:
            struct["required"] = list(struct["properties"])
            for field in struct["properties"].values():
                field.pop("default", None)


def _over_only(structs: dict[str, Schema]) -> None:
    structs["JobState"]["enum"] = sorted(TERMINAL_JOBS)


def _lines(kind: Schema) -> Schema:
    return {"properties": {"lines": kind, "blank_lines": kind}}


def _files(kind: Schema) -> Schema:
    return {"properties": {"errors": kind, "failed": kind}}


def text_of(schema: Schema) -> str:
    return msgspec.json.format(msgspec.json.encode(schema), indent=2).decode() + "\n"


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parent
    for name, each in schemas().items():
        (folder / name).write_text(text_of(each), encoding="utf-8")
