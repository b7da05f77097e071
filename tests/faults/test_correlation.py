"""Whatever is logged while a job is worked on has its id, and no other job's: over whole jobs, of every kind."""

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
from batchdrop.correlation import current_job
from faking.logs import Log, all_logged

from faults.outside import Outside
from faults.scenarios import SCENARIOS, Scenario
from faults.table import Item
from faults.world import World, new_world

_JOB_ID = re.compile(r"\b\d{8}T\d{6}Z-[0-9a-f]{10}\b")
_OF_JOBS = {"batch", "split", "batch_id"}  # the fields of a line that is about a part of a job


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    with new_world() as made:
        yield made


@pytest.fixture
def log() -> Iterator[Log]:
    with all_logged() as log:
        yield log


class Watched(dict[tuple[str, str], Item]):
    """A table's rows; a job's are written while its id is the one that log lines have."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self._world = world
        self.job_of_batch: dict[str, str] = {}
        self.wrong: list[str] = []

    def __setitem__(self, key: tuple[str, str], item: Item) -> None:
        self._look(key)
        if key[0].startswith("JOB#") and "batch_id" in item:
            self.job_of_batch[item["batch_id"]["S"]] = key[0].removeprefix("JOB#")
        super().__setitem__(key, item)

    def pop(self, key: tuple[str, str], *default: Any) -> Any:
        self._look(key)
        return super().pop(key, *default)

    def _look(self, key: tuple[str, str]) -> None:
        kind, _, job = key[0].partition("#")
        is_of_work = self._world.working is not None and not key[1].startswith("RETRY#")  # a person's may be none's
        if kind == "JOB" and is_of_work and current_job() != job:
            self.wrong.append(f"{key} in {self._world.working} of {current_job()}")


def mistakes(line: dict[str, Any], job_of_batch: dict[str, str]) -> list[str]:
    """What is wrong with a line's correlation id."""
    named, texts = line.get("correlation_id"), json.dumps({**line, "correlation_id": None})
    others = set(_JOB_ID.findall(texts)) - {named}
    owner = job_of_batch.get(str(line.get("batch_id")), named)
    is_missing = named is None and bool(_OF_JOBS & line.keys())
    return [f"{line}"] if others or owner != named or is_missing else []


@pytest.mark.parametrize("scenario", SCENARIOS.values(), ids=SCENARIOS)
def test_each_line_of_work_on_a_job_has_its_id_and_no_others(scenario: Scenario, world: World, log: Log) -> None:
    world.begin(Outside(), scenario)
    rows = Watched(world)
    world.aws.table.items = rows
    world.run()
    lines = [json.loads(line) for line in log.lines]
    assert (rows.wrong, [each for line in lines for each in mistakes(line, rows.job_of_batch)]) == ([], [])
    assert {line.get("correlation_id") for line in lines} >= {key[0].removeprefix("JOB#") for key in jobs(rows)}
    assert current_job() is None


def jobs(rows: Watched) -> list[tuple[str, str]]:
    return [key for key in rows if key[1] == "JOB"]
