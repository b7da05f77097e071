"""`python -m local_cloud.ticker`: what EventBridge's schedules do on AWS, but every two seconds.

EventBridge's shortest schedule is a minute, and that is enough while nothing is due. A run that is still going is
waited for: runs of one target never overlap.
"""

import argparse
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.aws import client
from local_cloud.state import Access

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_lambda import LambdaClient

INVOKE_SECONDS = 90  # longer than a function may take
INDEX = "due"  # the table's index of what is not over
logger = logging.getLogger("ticker")


class _FromEnvironment:
    """The cloud of the environment: a key in the arguments would be shown to every user of the machine."""

    endpoint = property(lambda _: os.environ["AWS_ENDPOINT_URL"])
    access_key_id = property(lambda _: os.environ["AWS_ACCESS_KEY_ID"])
    secret_access_key = property(lambda _: os.environ["AWS_SECRET_ACCESS_KEY"])


@dataclass(frozen=True, kw_only=True)
class Target:
    function: str
    payload: dict[str, str]


class Ticker:
    """Invokes the targets for as long as something is due, so many at once; nothing that goes wrong ends it.

    Args:
        table: The deployment's table.
        at_once: How many runs there are at once; a run more waits for its turn.
    """

    def __init__(self, targets: Sequence[Target], *, cloud: Access, table: str, at_once: int) -> None:
        self._targets, self._table = targets, table
        self._functions: LambdaClient = client("lambda", cloud, read_timeout=INVOKE_SECONDS)
        self._rows: DynamoDBClient = client("dynamodb", cloud)
        self._pool = ThreadPoolExecutor(at_once)
        self._running: set[int] = set()
        self._trouble: dict[int, str] = {}

    def run(self, *, seconds: float, stop: threading.Event) -> None:
        """Look every so many seconds, until stopped."""
        while not stop.is_set():
            if self._is_due():
                for number in set(range(len(self._targets))) - self._running:
                    self._running.add(number)
                    self._pool.submit(self._invoke, number)
            stop.wait(seconds)
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _is_due(self) -> bool:
        """Return whether some row is due; also where that is not known. What is due later is left to the schedules."""
        now = {":now": {"N": str(int(time.time()))}}
        pages = self._rows.get_paginator("scan").paginate(
            TableName=self._table,
            IndexName=INDEX,
            Select="COUNT",
            FilterExpression="due_at <= :now",
            ExpressionAttributeValues=now,
        )
        try:
            return any(page["Count"] for page in pages)
        except (BotoCoreError, ClientError):
            return True

    def _invoke(self, number: int) -> None:
        target = self._targets[number]
        try:
            answer = self._functions.invoke(FunctionName=target.function, Payload=json.dumps(target.payload))
            now = answer["Payload"].read().decode() if "FunctionError" in answer else ""
        except Exception as error:  # noqa: BLE001 - whatever it is, the target is invoked again
            now = f"{type(error).__name__}: {error}"
        if now and now != self._trouble.get(number):
            logger.warning("%s %s: %s", target.function, target.payload, now)
        self._trouble[number] = now
        self._running.discard(number)


def main() -> None:
    parser = argparse.ArgumentParser(prog="local_cloud.ticker", description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--table", required=True)
    parser.add_argument("--at-once", type=int, required=True)
    parser.add_argument("--poll", required=True, help="name of the poll function")
    parser.add_argument("--provider", action="append", default=[], help="polled; may be repeated")
    parser.add_argument("--sweep", required=True, help="name of the sweep function")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s")
    targets = [Target(function=options.sweep, payload={})]
    targets += [Target(function=options.poll, payload={"provider": name}) for name in options.provider]
    ticker = Ticker(targets, cloud=_FromEnvironment(), table=options.table, at_once=options.at_once)
    ticker.run(seconds=options.seconds, stop=threading.Event())


if __name__ == "__main__":
    main()
