"""Each wait of a batch is named: what it waits for, and until when."""

from typing import TYPE_CHECKING, Any

import pytest
from batchdrop.aws.provider_store import Pause
from batchdrop.outputs.timeline import Lane
from batchdrop.pause_codes import PauseCode
from batchdrop.records import Batch
from batchdrop.refusal_kinds import Kind
from batchdrop.states import BatchState, JobState
from faking.rows import NOW, a_batch, a_job

from batchdrop_console.batch_waits import Known, batch_waits, lane_waits, wait_of

if TYPE_CHECKING:
    from conftest import World

PAUSED = Known(pause=Pause(until=NOW + 300), paused="openai: no credit. Retried automatically.")
QUEUED = Known(places={"00000-0-0000": "position 2 of 9"}, window=86_400)
SUBMITTING, ENDED = BatchState.SUBMITTING, BatchState.ENDED


@pytest.mark.parametrize(
    ("batch", "known", "words"),
    [
        (a_batch(), QUEUED, "position 2 of 9"),
        (a_batch(due_at=NOW), Known(), ""),
        (a_batch(due_at=NOW + 60), Known(), "tried again at 2027-01-15 08:01 UTC"),
        (a_batch(), PAUSED, f"until 2027-01-15 08:05 UTC, then one batch tries; {PAUSED.paused}"),
        (a_batch(), Known(hold="nothing is sent until then", pause=PAUSED.pause), "nothing is sent until then"),
        (a_batch(), Known(sends=False), ""),
        (
            a_batch(refused_as=Kind.PASSING, due_at=NOW + 60),
            QUEUED,
            "openai refused it (kind: passing); tried again at 2027-01-15 08:01 UTC",
        ),
        (a_batch(state=SUBMITTING, create_by=NOW + 9), QUEUED, ""),
        (
            a_batch(state=SUBMITTING, create_by=NOW - 9),
            QUEUED,
            "whether it began is looked for in the provider's lists until 2027-01-15 08:29 UTC",
        ),
        (a_batch(state=BatchState.IN_FLIGHT, submitted_at=NOW), QUEUED, "its end, 2027-01-16 08:00 UTC at the latest"),
        (a_batch(state=BatchState.IN_FLIGHT, submitted_at=NOW), Known(), ""),
        (a_batch(state=ENDED), QUEUED, ""),
        (a_batch(state=ENDED, defer_reason="refused", due_at=NOW), QUEUED, "no results yet: refused"),
    ],
)
def test_a_batch_says_what_it_waits_for(batch: Batch, known: Known, words: str) -> None:
    assert wait_of(batch, known, now=NOW) == words


def test_each_batch_of_a_job_has_its_own_place_and_each_pause_its_end(world: "World") -> None:
    store, now = world.cloud.services.store, world.cloud.clock.seconds()
    job = a_job(state=JobState.RUNNING)
    store.add(a_batch(job="another", due_at=1, ledger="openai/gpt-4o"))
    batches = [
        *(a_batch(number, job=job.id, due_at=2 + number) for number in range(2)),
        a_batch(2, job=job.id, provider="anthropic", due_at=2),
        a_batch(3, BatchState.COLLECTED, job=job.id),
    ]
    for each in batches:
        store.add(each)
    store.providers.set_pause("anthropic", "no credit", 2**33, code=PauseCode.ACCOUNT_REFUSED)
    waits = batch_waits(world.console().cloud, job, batches, now=now)
    assert [words.partition(";")[0] for words in waits.values()] == [
        "position 2 of 3 in queue openai/gpt-4o",
        "position 3 of 3 in queue openai/gpt-4o",
        "until 2242-03-16 12:56 UTC, then one batch tries",
    ]


def test_batches_that_share_a_lane_say_each_wait_once_and_not_too_many() -> None:
    lane = Lane(label="", state="", requests=0, segments=[], marks=[], batches=[str(each) for each in range(8)])
    waits = {str(each): f"wait {each // 2}" for each in range(1, 8)}
    assert lane_waits(a_job(state=JobState.RUNNING), lane, waits) == "wait 0; wait 1; wait 2; and more"


@pytest.mark.parametrize(("job", "words"), [({}, "until it is approved or rejected"), ({"is_approved": True}, "")])
def test_a_held_job_waits_for_a_person(job: dict[str, Any], words: str) -> None:
    lane = Lane(label="", state="", requests=0, segments=[], marks=[])
    assert lane_waits(a_job(state=JobState.HELD, **job), lane, {}) == words
