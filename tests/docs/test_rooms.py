"""The rooms of `functions/batchdrop`: every import goes down the order that the package's docstring states.

Imports within functions and for type checkers count as all others do: they tie modules together just as well.
"""

import ast
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import batchdrop
import pytest

PACKAGE = Path(batchdrop.__file__).parent
LANGUAGE = "language"  # the modules at the root that the order does not name
STEPS, RESTARTS_STEPS = "steps", "steps.sweep"
SDKS = {"openai", "anthropic"}
AWS_SDKS = {"boto3", "botocore"}  # and boto3's types: mypy_boto3_dynamodb, …
CALLS_AWS = {
    "services",
    "providers.keys",
}  # outside `aws`: it makes the clients; it reads the keys by Powertools' cache


class Import(NamedTuple):
    """One name that a module imports: `target` is a module of the package ("" for its root), or None for another's."""

    module: str
    line: int
    target: str | None
    name: str


def floors_of(docstring: str) -> dict[str, int]:
    """The floor of each room, 0 at the top, from the lines of the docstring that hold arrows."""
    arrows = " ".join(line for line in docstring.splitlines() if "→" in line)
    rooms = [re.findall(r"\w+", floor) for floor in arrows.split("→") if floor.strip()]
    return {room: number for number, floor in enumerate(rooms) for room in floor}


FLOORS = floors_of(batchdrop.__doc__ or "")


def modules_of(package: Path) -> dict[str, Path]:
    """The modules by their dotted names below the package; the package itself is ""."""
    return {
        ".".join(path.relative_to(package).with_suffix("").parts).removesuffix("__init__").removesuffix("."): path
        for path in sorted(package.rglob("*.py"))
    }


def imports_of(package: Path) -> list[Import]:
    modules = modules_of(package)
    return [
        found
        for module, path in modules.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        for found in _imported(module, node, modules)
    ]


def _imported(module: str, node: ast.AST, modules: Mapping[str, Path]) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (_import(module, node.lineno, each.name, modules) for each in node.names)
    elif isinstance(node, ast.ImportFrom):
        folders = modules[module].relative_to(modules[""].parents[1]).parts[:-1]
        base = [*folders[: len(folders) + 1 - node.level], node.module or ""] if node.level else [node.module or ""]
        begin = ".".join(filter(None, base))
        yield from (_import(module, node.lineno, f"{begin}.{each.name}", modules) for each in node.names)


def _import(module: str, line: int, name: str, modules: Mapping[str, Path]) -> Import:
    """The module that holds a name: the longest beginning of it that is one."""
    package, *parts = name.split(".")
    if package != "batchdrop":
        return Import(module, line, None, name)
    ends = range(len(parts), -1, -1)
    return Import(module, line, next(path for end in ends if (path := ".".join(parts[:end])) in modules), name)


def room_of(module: str) -> str:
    first, _, inner = module.partition(".")
    return first if inner or first in FLOORS else LANGUAGE


def misplaced(package: Path) -> list[str]:
    """What is wrong with the imports of a package, each with its place and the two rooms."""
    imports = imports_of(package)
    reached = _reached(imports)
    found = [
        f"{_place(each)}: {room_of(each.module)} imports {_what(each)}: {wrong}"
        for each in imports
        for wrong in _mistakes(each, reached)
    ]
    return sorted(found)


def _place(found: Import) -> str:
    return f"{found.module.replace('.', '/') or '__init__'}.py:{found.line}"


def _what(found: Import) -> str:
    return found.name if found.target is None else f"{room_of(found.target)} ({found.target or 'the package'})"


def _mistakes(found: Import, reached: Mapping[str, set[str]]) -> Iterator[str]:
    if found.target is None:
        yield from _sdk_mistakes(found)
        return
    here, there = room_of(found.module), room_of(found.target)
    if found.target and here != there and FLOORS.get(here, -1) >= FLOORS.get(there, -1):
        yield "against the order"
    if here == there == STEPS and found.module != RESTARTS_STEPS and found.target not in {STEPS, found.module}:
        yield "a step calls no other"
    if found.module in reached.get(found.target, set()):
        yield "a circle"


def _sdk_mistakes(found: Import) -> Iterator[str]:
    sdk = found.name.partition(".")[0]
    if sdk in SDKS and not (room_of(found.module) == "providers" and found.module.endswith("_client")):
        yield "an SDK belongs in providers/*_client"
    is_aws = sdk in AWS_SDKS or sdk.startswith("mypy_boto3")
    if is_aws and room_of(found.module) != "aws" and found.module not in CALLS_AWS:
        yield "AWS is called in aws alone"


def _reached(imports: list[Import]) -> dict[str, set[str]]:
    """For each module, all that it imports, itself or by others."""
    direct: dict[str, set[str]] = {}
    for each in imports:
        if each.target:
            direct.setdefault(each.module, set()).add(each.target)
    return {module: _all_from(module, direct) for module in direct}


def _all_from(module: str, direct: Mapping[str, set[str]]) -> set[str]:
    found, left = set[str](), [module]
    while left:
        fresh = direct.get(left.pop(), set()) - found
        found |= fresh
        left += fresh
    return found


def test_no_import_goes_against_the_order_of_the_rooms() -> None:
    assert misplaced(PACKAGE) == []


def test_the_order_names_each_folder_and_nothing_that_is_not_there() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(FLOORS)
    assert {room for room in FLOORS if not (PACKAGE / f"{room}.py").is_file()} - folders == {LANGUAGE}
    assert max(FLOORS, key=FLOORS.__getitem__) == LANGUAGE


@pytest.mark.parametrize("room", sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py")))
def test_a_rooms_init_holds_a_docstring_only(room: str) -> None:
    (only,) = ast.parse((PACKAGE / room / "__init__.py").read_text(encoding="utf-8")).body
    assert isinstance(only, ast.Expr)
    assert isinstance(only.value, ast.Constant)


def test_all_imports_are_seen() -> None:
    modules = modules_of(PACKAGE)
    seen = imports_of(PACKAGE)
    assert (len(modules) > 90, len(seen) > 1_000) == (True, True)
    assert (
        Import("providers.clients", _line("providers/clients.py", "OpenAIBatches"), *_CLIENT) in seen
    )  # in a function
    assert any(each.module == "aws.bucket" and each.name == "mypy_boto3_s3.S3Client" for each in seen)  # for types


_CLIENT = ("providers.openai_client", "batchdrop.providers.openai_client.OpenAIBatches")


def _line(file: str, words: str) -> int:
    lines = (PACKAGE / file).read_text(encoding="utf-8").splitlines()
    return next(number for number, line in enumerate(lines, start=1) if words in line)


Sources = dict[str, str]

ALLOWED: dict[str, Sources] = {
    "downwards, over any number of floors": {
        "steps/plan.py": "from batchdrop.aws.store import Store\nfrom batchdrop import states, __version__\n",
        "aws/store.py": "from batchdrop.errors import Transient\n",
        "errors.py": "",
        "states.py": "",
    },
    "within a room": {
        "batches/rows.py": "from batchdrop.batches.packing import Group\n",
        "batches/packing.py": "",
    },
    "sweep restarts the steps": {
        "steps/sweep.py": "from batchdrop.steps.plan import plan_split\n",
        "steps/plan.py": "",
    },
    "the clients have the SDKs, and protocols have modules of their names": {
        "providers/openai_client.py": "import openai\n",
        "providers/anthropic_client.py": "from anthropic import Anthropic\n",
        "protocols/openai.py": "",
        "inputs/request_lines.py": "from batchdrop.protocols import openai\n",
    },
    "who calls AWS": {
        "aws/bucket.py": "from botocore.exceptions import ClientError\nfrom mypy_boto3_s3 import S3Client\n",
        "services.py": "import boto3\nfrom botocore.config import Config\n",
        "providers/keys.py": "from botocore.exceptions import ClientError\n",
    },
}

# By what is wrong: the sources, and what is said of them.
FORBIDDEN: dict[str, tuple[Sources, list[str]]] = {
    "upwards": (
        {
            "batches/rows.py": "import json\n\nfrom batchdrop.outputs.sealed_parts import Tally\n",
            "outputs/sealed_parts.py": "",
        },
        ["batches/rows.py:3: batches imports outputs (outputs.sealed_parts): against the order"],
    ),
    "upwards from the language": (
        {"records.py": "from batchdrop.protocols import anthropic\n", "protocols/anthropic.py": ""},
        ["records.py:1: language imports protocols (protocols.anthropic): against the order"],
    ),
    "between two rooms of one floor": (
        {"aws/queues.py": "import batchdrop.providers.config\n", "providers/config.py": ""},
        ["aws/queues.py:1: aws imports providers (providers.config): against the order"],
    ),
    "upwards, within a function": (
        {"worker.py": "def turn():\n    from batchdrop.jobs import fail_job\n", "jobs.py": ""},
        ["worker.py:2: worker imports jobs (jobs): against the order"],
    ),
    "upwards, for a type checker": (
        {
            "aws/guards.py": "if TYPE_CHECKING:\n    from batchdrop.services import Services\n",
            "services.py": "",
        },
        ["aws/guards.py:2: aws imports services (services): against the order"],
    ),
    "upwards, by a relative import": (
        {
            "limits/ledgers.py": "from ..batches.packing import Group\nfrom ..batches import packing\n",
            "batches/packing.py": "",
        },
        [
            "limits/ledgers.py:1: limits imports batches (batches.packing): against the order",
            "limits/ledgers.py:2: limits imports batches (batches.packing): against the order",
        ],
    ),
    "a circle of two": (
        {
            "batches/rows.py": "from batchdrop.batches import packing\n",
            "batches/packing.py": "def f():\n    from batchdrop.batches.rows import batch_rows\n",
        },
        [
            "batches/packing.py:2: batches imports batches (batches.rows): a circle",
            "batches/rows.py:1: batches imports batches (batches.packing): a circle",
        ],
    ),
    "a circle of three, in the language": (
        {
            "errors.py": "from batchdrop.texts import cut\n",
            "texts.py": "from batchdrop.states import State\n",
            "states.py": "from .errors import BatchdropError\n",
            "records.py": "from batchdrop.states import State\n",
        },
        [
            "errors.py:1: language imports language (texts): a circle",
            "states.py:1: language imports language (errors): a circle",
            "texts.py:1: language imports language (states): a circle",
        ],
    ),
    "a step that calls another": (
        {"steps/submit.py": "from batchdrop.steps import plan\n", "steps/plan.py": ""},
        ["steps/submit.py:1: steps imports steps (steps.plan): a step calls no other"],
    ),
    "an SDK outside the clients": (
        {
            "providers/http_errors.py": "def f():\n    import openai\n",
            "protocols/anthropic_client.py": "import anthropic\n",
        },
        [
            "protocols/anthropic_client.py:1: protocols imports anthropic: an SDK belongs in providers/*_client",
            "providers/http_errors.py:2: providers imports openai: an SDK belongs in providers/*_client",
        ],
    ),
    "AWS's SDK outside aws": (
        {"limits/admission.py": "from botocore.exceptions import ClientError\n", "jobs.py": "import boto3.session\n"},
        [
            "jobs.py:1: jobs imports boto3.session: AWS is called in aws alone",
            "limits/admission.py:1: limits imports botocore.exceptions.ClientError: AWS is called in aws alone",
        ],
    ),
    "AWS's types outside aws": (
        {"steps/poll.py": "from mypy_boto3_s3 import S3Client\n"},
        ["steps/poll.py:1: steps imports mypy_boto3_s3.S3Client: AWS is called in aws alone"],
    ),
}


def _package(folder: Path, sources: Sources) -> Path:
    package = folder / "batchdrop"
    for file in ["__init__.py", *sources]:
        path = package / file
        path.parent.mkdir(parents=True, exist_ok=True)
        (path.parent / "__init__.py").touch()
        path.write_text(sources.get(file, ""), encoding="utf-8")
    return package


@pytest.mark.parametrize("sources", ALLOWED.values(), ids=ALLOWED)
def test_what_is_allowed_is_not_said(sources: Sources, tmp_path: Path) -> None:
    assert misplaced(_package(tmp_path, sources)) == []


@pytest.mark.parametrize(("sources", "said"), FORBIDDEN.values(), ids=FORBIDDEN)
def test_what_is_wrong_is_said_with_its_place_and_its_rooms(sources: Sources, said: list[str], tmp_path: Path) -> None:
    assert misplaced(_package(tmp_path, sources)) == said
