"""The table in memory answers as moto's does."""

from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from faking.cloud import TABLE, create_table
from moto import mock_aws

from faults.outside import Outside
from faults.points import Point, parse_point
from faults.table import RefusedError, Table
from faults.world import new_world

pytestmark = pytest.mark.exploration

_METHODS = {
    "GetItem": "get_item",
    "PutItem": "put_item",
    "UpdateItem": "update_item",
    "DeleteItem": "delete_item",
    "Query": "query",
    "TransactWriteItems": "transact_write_items",
}
_NOT_COMPARED = {"ResponseMetadata", "ConsumedCapacity", "ItemCollectionMetrics", "ScannedCount"}


class BesideMoto(Table):
    """Puts every request to moto too."""

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0
        self.different: list[Any] = []
        self._moto: Any = boto3.client("dynamodb", region_name="us-east-1")

    def call(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        if operation not in _METHODS:
            return super().call(operation, body)
        self.calls += 1
        theirs = self._theirs(operation, body)
        try:
            ours = super().call(operation, body)
        except RefusedError as refused:
            self._compare(operation, body, {"refused": str(refused), **_reasons(refused.body)}, theirs)
            raise
        self._compare(operation, body, ours, theirs)
        return ours

    def _theirs(self, operation: str, body: dict[str, Any]) -> dict[str, Any]:
        try:
            return dict(getattr(self._moto, _METHODS[operation])(**body))
        except ClientError as error:
            answer: Any = error.response
            return {"refused": answer["Error"]["Code"], **_reasons(answer)}

    def _compare(self, operation: str, body: dict[str, Any], ours: dict[str, Any], theirs: dict[str, Any]) -> None:
        ours, theirs = ({k: v for k, v in each.items() if k not in _NOT_COMPARED} for each in (ours, theirs))
        if ours != theirs:
            self.different.append((operation, body, ours, theirs))


def _reasons(answer: dict[str, Any]) -> dict[str, Any]:
    return {"reasons": [each.get("Code") for each in answer.get("CancellationReasons", [])]}


@pytest.mark.parametrize("point", ["", "40:TWICE 150:REPLY_LOST 260:SLEEPS"], ids=["quiet", "late and repeated"])
def test_every_call_of_a_job_is_answered_as_by_moto(point: str) -> None:
    _compare_run(parse_point(point))


def _compare_run(point: Point) -> None:
    with mock_aws(), new_world() as world:
        create_table()
        world.begin(Outside(faults=dict(point.faults)))
        world.aws.table = table = BesideMoto()
        world.run()
        items = boto3.client("dynamodb", region_name="us-east-1").scan(TableName=TABLE)["Items"]
    assert table.different == []
    assert table.calls > 300
    assert sorted((each["pk"]["S"], each["sk"]["S"]) for each in items) == sorted(table.items)
