"""The fields of an output schema as columns."""

from typing import Any

import msgspec
import pytest
from batchdrop.outputs.schema_columns import SchemaColumns
from batchdrop.protocols.answer_checks import AnswerCheck

TEXT = {"type": "string"}
ADDRESS = {"type": "object", "properties": {"city": TEXT, "lines": {"type": "array", "items": TEXT}}}


def columns(properties: dict[str, Any], taken: set[str] | None = None, **others: Any) -> SchemaColumns:
    schema = {"type": "object", "properties": properties} | others
    return SchemaColumns(AnswerCheck(msgspec.json.encode(schema)), taken or set())


@pytest.mark.parametrize(
    ("properties", "names"),
    [
        ({"a": TEXT, "b": {"type": "integer"}}, ("a", "b")),
        ({"a": ADDRESS}, ("a.city", "a.lines")),
        ({"a": {"$ref": "#/$defs/address"}}, ("a.city", "a.lines")),
        ({"a": {"anyOf": [{"$ref": "#/$defs/address"}, {"type": "null"}]}}, ("a.city", "a.lines")),
        ({"a": {"anyOf": [ADDRESS, TEXT]}}, ("a",)),
        ({"a": {"type": "object", "additionalProperties": TEXT}}, ("a",)),
        ({"a": True}, ("a",)),
        ({"a.city": TEXT, "a": ADDRESS}, ("a.city", "out.a.city", "a.lines")),
        ({"model": TEXT, "out.model": TEXT}, ("out.model", "out.out.model")),
    ],
)
def test_nested_fields_have_dotted_names_and_no_two_the_same(properties: Any, names: tuple[str, ...]) -> None:
    assert columns(properties, {"model"}, **{"$defs": {"address": ADDRESS}}).names == names


def test_cells_are_json_and_missing_ones_are_empty() -> None:
    made = columns({"a": ADDRESS, "n": {"type": "number"}, "t": TEXT})
    cells = made.cells('{"a": {"lines": ["x", "y"]}, "n": 1.50, "t": "\\u2028"}')
    assert cells is not None
    assert {name: cell and bytes(cell) for name, cell in cells.items()} == {
        "a.city": None,
        "a.lines": b'["x","y"]',
        "n": b"1.5",
        "t": '"\u2028"'.encode(),
    }
    assert made.cells('{"a": null}') is None
    assert made.cells("no JSON") is None
