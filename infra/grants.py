"""The grants of each function's role, read from the template: `python -m infra.grants` writes `docs/grants.md`."""

import json
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from infra.app import build
from infra.context import ROOT

DOCUMENT = ROOT / "docs/grants.md"
_TEXT = """# What each function may do

Made from the template by `python -m infra.grants`; a test holds it up to date. The tests of whole jobs, with a fault
or a death at any call, deny the functions whatever does not stand here (`tests/faults/granted.py`), and what they never
call is explained there (`tests/faults/test_grants.py`).

| function | action | resource |
|---|---|---|
"""


class Grant(NamedTuple):
    function: str
    action: str
    resource: str


def document(template: Mapping[str, Any]) -> str:
    """The page, for a stack's template."""
    rows = sorted(set(_Roles(template).grants()))
    return _TEXT + "".join(f"| {each.function} | `{each.action}` | {each.resource} |\n" for each in rows)


class _Roles:
    """The roles of a template, and plain names for what they are for."""

    def __init__(self, template: Mapping[str, Any]) -> None:
        self._resources: Mapping[str, Any] = template["Resources"]
        self._names = dict(self._named())

    def grants(self) -> Iterator[Grant]:
        functions = {
            function["Role"]["Fn::GetAtt"][0]: _step(function) for _, function in self._of_type("AWS::Lambda::Function")
        }
        for _, policy in self._of_type("AWS::IAM::Policy"):
            for statement in policy["PolicyDocument"]["Statement"]:
                for role in policy["Roles"]:
                    yield from self._allowed(functions[role["Ref"]], statement)

    def _allowed(self, function: str, statement: Mapping[str, Any]) -> Iterator[Grant]:
        source = statement.get("Condition", {}).get("ForAllValues:StringEquals", {}).get("events:source")
        sender = f", as {source}" if source else ""
        for action in _as_list(statement["Action"]):
            for resource in _as_list(statement["Resource"]):
                yield Grant(function, action, self._name(resource) + sender)

    def _name(self, resource: Any) -> str:  # noqa: ANN401 - CloudFormation's own
        """`bucket`, `bucket, work/`, `table, index due`, `queue plan`, `secret batchdrop/openai`."""
        match resource:
            case {"Fn::GetAtt": [owner, "Arn"]}:
                return self._names[owner]
            case {"Fn::Join": ["", [{"Fn::GetAtt": [owner, "Arn"]}, str(rest)]]}:
                return f"{self._names[owner]}, {rest.removeprefix('/').replace('index/', 'index ').removesuffix('*')}"
            case {"Fn::Join": ["", [*_, str(end)]]}:
                kind, name = end.rsplit(":", 2)[-2:]
                return (
                    f"secret {name.removesuffix('-??????')}" if kind == "secret" else f"{name.split('/')[1]} event bus"
                )
            case _:
                return str(resource)

    def _named(self) -> Iterator[tuple[str, str]]:
        kinds = {"AWS::S3::Bucket": "bucket", "AWS::DynamoDB::Table": "table", "AWS::Logs::LogGroup": "its log group"}
        for kind, name in kinds.items():
            for logical_id, _ in self._of_type(kind):
                yield logical_id, name
        for _, function in self._of_type("AWS::Lambda::Function"):
            for variable, value in function["Environment"]["Variables"].items():
                for ending, text in (("_QUEUE", "queue"), ("_DEAD_LETTERS", "dead letters of")):
                    if variable.endswith(ending):
                        step = variable.removeprefix("BATCHDROP_").removesuffix(ending).lower()
                        yield value["Ref"], f"{text} {step}"

    def _of_type(self, kind: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
        found = (each for each in self._resources.items() if each[1]["Type"] == kind)
        return ((logical_id, resource["Properties"]) for logical_id, resource in found)


def _step(function: Mapping[str, Any]) -> str:
    return str(function["Handler"].split(".")[1])


def _as_list(value: object) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _default_template() -> Mapping[str, Any]:
    values = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))["context"] | {"aws:cdk:bundling-stacks": []}
    with tempfile.TemporaryDirectory() as folder:
        template: Mapping[str, Any] = build(context=values, directory=Path(folder)).synth().stacks[0].template
    return template


if __name__ == "__main__":
    sys.exit(DOCUMENT.write_text(document(_default_template()), encoding="utf-8") and None)
