"""One call of one step: what it changes of each row, sends to each queue, and asks of the provider, compared whole."""

import copy
import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import pytest
from batchdrop.aws.table_items import decode
from batchdrop.providers.interface import BatchApi
from batchdrop.states import BatchState, JobState, SplitState, State
from batchdrop.steps.poll import poll_provider
from faking.cloud import REGION, STEPS, Cloud, cloud, jsonl
from faking.lines import chat, claude
from faking.moto_models import queue_in
from faking.rows import a_batch, a_job, a_split

Rows = dict[str, dict[str, Any]]

UNTOLD = {"pk", "sk", "moved_by", "sent_by", "version", "day", "due_key"}  # of keys, of who wrote it, of the index
IDS = ("batch_", "msgbatch_", "file-")
NOTED = {"upload", "create", "retrieve", "page", "stream", "delete", "cancel"}


class Noting:
    """Notes the calls of a provider's client."""

    def __init__(self, api: BatchApi, calls: list[str]) -> None:
        self._api, self._calls = api, calls

    def __getattr__(self, name: str) -> Any:
        if name in NOTED:
            self._calls.append(name)
        return getattr(self._api, name)


class Watched:
    """A cloud of which is told what each call changed."""

    def __init__(self, cloud: Cloud, calls: list[str]) -> None:
        self.cloud, self._calls = cloud, calls
        self._before = self.rows()

    def rows(self) -> Rows:
        found = {key: decode(item) for key, item in copy.deepcopy(self.cloud.table.items).items()}
        return {sk if pk.startswith("JOB#") else f"{pk} {sk}": row for (pk, sk), row in found.items()}

    def changes(self) -> tuple[Rows, dict[str, int], list[str]]:
        """What changed since the last call: attributes of rows as they are now (None: gone), messages, calls."""
        before, self._before = self._before, self.rows()
        calls, self._calls[:] = list(self._calls), []
        rows = {
            self._named(key): changed
            for key in sorted(before.keys() | self._before.keys())
            if (changed := self._changed(before.get(key, {}), self._before.get(key, {})))
        }
        return rows, self._messages(), calls

    def _changed(self, old: dict[str, Any], new: dict[str, Any]) -> dict[str, Any]:
        names = sorted((old.keys() | new.keys()) - UNTOLD)
        return {name: self._plain(new.get(name)) for name in names if old.get(name) != new.get(name)}

    def _plain(self, value: Any) -> Any:
        """Times count from now, ids are left out."""
        now = self.cloud.clock.seconds()
        if isinstance(value, int) and abs(value - now) < 10**8:
            return f"now{value - now:+}"
        return "ID" if isinstance(value, str) and value.startswith(IDS) else value

    def _named(self, key: str) -> str:
        words = key.replace("#", " ").split()
        return " ".join("ID" if word.startswith(IDS) else word for word in words if not word.isdecimal())

    def _messages(self) -> dict[str, int]:
        queues = {step: queue_in(REGION, url) for step, url in self.cloud.queue_urls.items()}
        return {step: len(queue.messages) for step, queue in queues.items() if queue and queue.messages}


@pytest.fixture
def watched() -> Iterator[Watched]:
    calls: list[str] = []
    with cloud(wrap=lambda api: Noting(api, calls)) as made:  # type: ignore[arg-type]  # it stands in by its methods
        yield Watched(made, calls)


def only(rows: Rows, *kinds: str) -> Rows:
    """Of rows that a job's path leaves by the way (leases, who owns the table), none."""
    return {key: row for key, row in rows.items() if key.split()[0] in {"JOB", "SPLIT", "BATCH", "INTENT", *kinds}}


LINES = {"openai": chat("one"), "anthropic": claude("one")}
CREATES = {"openai": ["upload", "create"], "anthropic": ["create"]}
WINDOW = 29 * 86_400


@pytest.mark.parametrize("provider", LINES)
def test_each_step_of_a_job_writes_sends_and_asks_this_and_nothing_else(watched: Watched, provider: str) -> None:
    here = watched.cloud
    job = here.drop("input/x.jsonl", jsonl([LINES[provider]]))
    rows, sent, calls = watched.changes()
    assert (sorted(only(rows)), sent, calls) == (["JOB", "SPLIT"], {"plan": 1}, [])
    assert (rows["JOB"]["state"], rows["SPLIT"]["state"], rows["JOB"]["due_at"]) == ("PLANNING", "PENDING", "now+900")

    here.deliver("plan")
    rows, sent, calls = watched.changes()
    assert (sent, calls) == ({"submit": 1}, [])
    work = f"work/{job}/00000"
    assert rows["SPLIT"] == {
        "state": "PLANNED",
        "epoch": 3,
        "due_at": None,
        "lines": 1,
        "open": 1,
        "plan_key": f"{work}/plan-0.json",
    }
    assert {**rows["JOB"], "due_at": None} == {
        "state": "RUNNING",
        "epoch": 2,
        "unplanned": 0,
        "opened_key": f"work/{job}/opened.json",
        "quote_key": f"work/{job}/quote.json",
        "due_at": None,
    }
    batch = here.services.store.batch(str(job), "00000-0-0000")
    assert batch is not None
    assert (batch.state, batch.epoch, batch.requests, batch.batch_id) == (BatchState.ADMITTED, 2, 1, None)
    assert here.services.store.providers.ledger(batch.ledger).reserved == batch.cost > 0

    here.deliver("submit")
    rows, sent, calls = watched.changes()
    assert (sent, calls) == ({}, CREATES[provider])
    upload = {"input_file_id": "ID"} if provider == "openai" else {}
    claims = {"openai": 6, "anthropic": 5}  # one more for the upload's id
    assert rows["BATCH 00000-0-0000"] == {
        "state": "IN_FLIGHT",
        "epoch": claims[provider],
        "account_id": batch.account_id or rows["BATCH 00000-0-0000"]["account_id"],
        "batch_id": "ID",
        "create_by": "now+450",
        "due_at": "now+0",
        "intended_at": "now+0",
        "submitted_at": "now+0",
        **upload,
    }
    assert rows["INTENT 00000-0-0000"] == {
        "account_id": rows["BATCH 00000-0-0000"]["account_id"],
        "batch": batch.id,
        "create_by": "now+450",
        "expires_at": f"now+{WINDOW}",
        "job": job,
        "provider": provider,
        "requests": 1,
        "started_at": "now+0",
        "token": batch.token,
        **upload,
    }
    owner = rows[f"PROVIDER {provider} BATCH ID"]
    assert owner == {"batch": batch.id, "job": job, "expires_at": f"now+{WINDOW}"}

    here.clock.now += 60
    poll_provider(provider, here.services)
    rows, sent, calls = watched.changes()
    assert (sent, calls) == ({"collect": 1}, ["retrieve"])
    outputs = {"output_file_id": "ID"} if provider == "openai" else {}
    assert rows["BATCH 00000-0-0000"] == {
        "state": "ENDED",
        "epoch": claims[provider] + 1,
        "cost": 0,
        "counted": 1,
        "due_at": "now+900",
        "ended_as": "completed",
        "ended_at": "now+0",
        **outputs,
    }
    assert here.services.store.providers.ledger(batch.ledger).reserved == 0

    here.deliver("collect")
    rows, sent, calls = watched.changes()
    assert (sent, calls) == ({"assemble": 1}, ["stream", "delete"])
    assert rows == {
        "BATCH 00000-0-0000": {
            "state": "COLLECTED",
            "epoch": claims[provider] + 4,
            "collected_key": f"{work}/collected-00000-0-0000-{claims[provider] + 2}/",
            "due_at": None,
        },
        "SPLIT": {"open": 0, "due_at": "now+900"},
    }

    here.deliver("assemble")
    rows, sent, calls = watched.changes()
    assert (sent, calls) == ({"publish": 1}, [])
    assert rows == {
        "SPLIT": {
            "state": "ASSEMBLED",
            "epoch": 5,
            "due_at": None,
            "part_keys": [f"{work}/assemble-0-4/part.json"],
        },
        "JOB": {
            "state": "PUBLISHING",
            "epoch": 3,
            "due_at": "now+900",
            "first_submitted_at": "now-60",
            "last_ended_at": "now+0",
            "outcome": "COMPLETED",
            "published_at": "now+0",
            "unassembled": None,
        },
    }

    here.deliver("publish")
    rows, sent, calls = watched.changes()
    assert (sent, calls) == ({"events": 1}, [])
    assert rows.pop("JOB") == {
        "state": "COMPLETED",
        "epoch": 5,
        "due_at": None,
        "expires_at": "now+7776000",
        "manifest_key": f"output/x/{job}/manifest.json",
    }
    [history] = [name for name in rows if name.startswith("ANSWERS")]
    answered = rows.pop(history)
    assert answered["answers"] == 1
    assert answered["expires_at"] == f"now+{8 * 7 * 86_400}"
    assert {name for row in rows.values() for name, value in row.items() if value is not None} == set()
    assert sorted(rows) == ["BATCH 00000-0-0000", "SPLIT"]  # gone


def snapshot(here: Watched) -> tuple[str, dict[str, int]]:
    _, messages, calls = here.changes()
    assert calls == []
    return json.dumps(here.rows(), default=str, sort_keys=True), messages


Case = tuple[str, State, JobState]
SUBMITTED = {BatchState.WAITING, BatchState.ADMITTED}
IDLE: list[Case] = [
    *(("plan", split, job) for split, job in product(SplitState, JobState) if split is not SplitState.PENDING),
    *(("assemble", split, job) for split, job in product(SplitState, JobState) if split is not SplitState.PLANNED),
    *(("submit", batch, job) for batch, job in product(BatchState, JobState) if batch not in SUBMITTED),
    *(("finish", batch, job) for batch, job in product(BatchState, JobState) if batch is not BatchState.ADMITTED),
    *(("collect", batch, job) for batch, job in product(BatchState, JobState) if batch is not BatchState.ENDED),
    *(("publish", job, job) for job in JobState if job is not JobState.PUBLISHING),
]


@pytest.mark.parametrize("step", STEPS)
def test_a_step_that_finds_its_unit_in_another_state_changes_sends_and_asks_nothing(
    watched: Watched, step: str
) -> None:
    here, failed = watched.cloud, []
    cases = [each for each in IDLE if each[0] == step]
    assert cases
    for number, (_, state, job_state) in enumerate(cases):
        job = f"20261105T091412Z-{number:010x}"
        here.table.items.clear()  # the rows of the case before: each look reads all that are there
        here.services.store.add(a_job(job=job, state=job_state, due_at=None))
        split = state if isinstance(state, SplitState) else SplitState.PLANNED
        here.services.store.add(a_split(job=job, state=split, open=0, due_at=None))
        batch = state if isinstance(state, BatchState) else BatchState.COLLECTED
        is_called = step == "finish"
        here.services.store.add(a_batch(job=job, state=batch, batch_id="batch_1", is_realtime=is_called, due_at=None))
        units: dict[str, tuple[Any, ...]] = {
            "plan": (job, 0),
            "assemble": (job, 0),
            "submit": (job, "00000-0-0000"),
            "finish": (job, "00000-0-0000"),
            "collect": (job, "00000-0-0000"),
            "publish": (job,),
        }
        before = snapshot(watched)
        here.call(step, dict(enumerate(units[step])))  # type: ignore[arg-type]  # its values are what counts
        if snapshot(watched) != before:
            failed.append((state, job_state))
    assert failed == []


@pytest.mark.parametrize("step", STEPS)
def test_a_step_whose_unit_is_gone_changes_sends_and_asks_nothing(watched: Watched, step: str) -> None:
    units: dict[str, Callable[[], tuple[Any, ...]]] = {
        "submit": lambda: ("j", "00000-0-0000"),
        "finish": lambda: ("j", "00000-0-0000"),
        "collect": lambda: ("j", "00000-0-0000"),
        "publish": lambda: ("j",),
    }
    before = snapshot(watched)
    watched.cloud.call(step, dict(enumerate(units.get(step, lambda: ("j", 0))())))  # type: ignore[arg-type]
    assert snapshot(watched) == before
