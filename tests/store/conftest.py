"""A store on moto, its table as the deployed stack has it, and a clock that stops."""

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from batchdrop.aws.store import Store
from faking import cloud
from faking.rows import NOW
from moto import mock_aws


class Clock:
    now = NOW

    def __call__(self) -> int:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(scope="module")
def dynamodb() -> Iterator[Any]:
    with mock_aws():
        cloud.create_table()
        yield boto3.client("dynamodb", region_name=cloud.REGION)


@pytest.fixture
def client(dynamodb: Any) -> Iterator[Any]:
    """The table is empty again after each test: quicker than a new one."""
    yield dynamodb
    pages = list(dynamodb.get_paginator("scan").paginate(TableName=cloud.TABLE))
    for item in (item for page in pages for item in page["Items"]):
        dynamodb.delete_item(TableName=cloud.TABLE, Key={"pk": item["pk"], "sk": item["sk"]})


@pytest.fixture
def store(client: Any, clock: Clock) -> Store:
    return Store(client, cloud.TABLE, now=clock)
