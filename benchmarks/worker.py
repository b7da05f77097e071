"""A process that plays Lambda's runtime: the deployed handlers run in it, and every run tells what it needed.

A line of JSON on stdin is a step and its event; a line of JSON on stdout is what the run took. Logs go to stderr.
"""

import json
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import boto3
from machine import resident_mb


class Meter:
    """Counts the calls of AWS, the units that DynamoDB asks for, and the bytes that S3 takes and gives."""

    def __init__(self) -> None:
        self.calls: Counter[str] = Counter()
        self.units: Counter[str] = Counter()
        self.bytes: Counter[str] = Counter()
        boto3.setup_default_session()
        events = boto3.DEFAULT_SESSION.events  # type: ignore[union-attr]  # it was made in the line above
        events.register("before-call", self._call)
        events.register("provide-client-params.dynamodb", self._ask_for_units)
        events.register("after-call.dynamodb", self._add_units)
        events.register("before-send.s3", self._add_sent)
        events.register("after-call.s3.GetObject", self._add_got)

    def _call(self, model: Any, **_: object) -> None:  # noqa: ANN401 - botocore's own
        self.calls[f"{model.service_model.service_name}.{model.name}"] += 1

    def _ask_for_units(self, params: dict[str, Any], model: Any, **_: object) -> dict[str, Any]:  # noqa: ANN401 - the same
        """Ask for them. The emulator leaves out what a transaction writes to the index: the old entry and the new."""
        if model.name == "DescribeTable":  # it has none
            return params
        self.units["write"] += 2 * sum("due_key" in str(item) for item in params.get("TransactItems", []))
        return params | {"ReturnConsumedCapacity": "TOTAL"}

    def _add_units(self, model: Any, parsed: dict[str, Any], **_: object) -> None:  # noqa: ANN401 - the same
        kind = "read" if model.name in {"GetItem", "Query", "BatchGetItem"} else "write"
        found = parsed.get("ConsumedCapacity", [])
        refused = [{"CapacityUnits": 1}] if "Error" in parsed else []
        for each in [found] if isinstance(found, dict) else found or refused:
            self.units[kind] += each["CapacityUnits"]

    def _add_sent(self, request: Any, **_: object) -> None:  # noqa: ANN401 - the same
        headers = request.headers
        self.bytes["sent"] += int(headers.get("X-Amz-Decoded-Content-Length") or headers.get("Content-Length") or 0)

    def _add_got(self, parsed: dict[str, Any], **_: object) -> None:
        self.bytes["got"] += parsed.get("ContentLength", 0)

    def clear(self) -> None:
        for counts in (self.calls, self.units, self.bytes):
            counts.clear()


def run(handler: Callable[..., Any], step: str, event: dict[str, Any], meter: Meter) -> dict[str, Any]:
    context = SimpleNamespace(
        function_name=step, memory_limit_in_mb=1024, invoked_function_arn=f"arn:local:{step}", aws_request_id="1"
    )
    start_mb, logged = resident_mb(), os.fstat(sys.stderr.fileno()).st_size
    meter.clear()
    began, cpu = time.perf_counter(), time.process_time()
    answer = handler(event, context)
    return {
        "wall_seconds": time.perf_counter() - began,
        "cpu_seconds": time.process_time() - cpu,
        "start_mb": start_mb,
        "peak_mb": resident_mb(),
        "process_seconds": time.process_time(),
        "failed": bool(answer and answer.get("batchItemFailures")),
        "calls": meter.calls,
        "units": meter.units,
        "bytes": meter.bytes,
        "logged": os.fstat(sys.stderr.fileno()).st_size - logged,
    }


def write_bytes(event: dict[str, Any], context: object) -> None:
    """What S3's client takes for a file, with nothing done to it."""
    del context
    with tempfile.NamedTemporaryFile() as file:
        for _ in range(event["megabytes"]):
            file.write(bytes(1_000_000))
        file.flush()
        _files().put(event["key"], Path(file.name))


def read_bytes(event: dict[str, Any], context: object) -> None:
    del context
    for _ in _files().stream(event["key"]):
        pass


def _files() -> Any:  # noqa: ANN401 - the deployed code's own, found only at run time
    return import_module("batchdrop.services").services().files


OWN = {"_write": write_bytes, "_read": read_bytes}


def main() -> None:
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what handlers log
    meter = Meter()
    for line in sys.stdin:
        step, event = json.loads(line)
        handler = OWN.get(step) or import_module(f"handlers.{step}").handler
        answers.write(json.dumps(run(handler, step, event, meter)) + "\n")


if __name__ == "__main__":
    main()
