"""`providers`: who takes batches, and what is free."""

import json
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from batchdrop.aws.provider_items import reserve
from batchdrop.manifest import timestamp
from batchdrop.pause_codes import PauseCode
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState
from cli.conftest import NOW

if TYPE_CHECKING:
    from cli.conftest import Aws, Run

LEDGER = "openai/gpt-4o-mini"
FAR = 4_000_000_000


def take(aws: "Aws", batch: Batch, cost: int) -> None:
    aws.store.add(batch)
    aws.store.move(batch, BatchState.ADMITTED, also=[reserve(batch.ledger, cost, limit=10**9)])


def test_what_is_taken_and_what_was_learned_is_shown(aws: "Aws", run: "Run", a_batch: Callable[..., Batch]) -> None:
    take(aws, a_batch(), 80_000)
    aws.store.providers.learn_limit(LEDGER, 90_000, FAR)
    aws.store.providers.set_pause("anthropic", "no key in the secret 'x'", FAR, code=PauseCode.NO_KEY)
    aws.store.providers.set_pause("openai", "503", FAR, code=PauseCode.CALLS_FAILED)
    aws.store.providers.end_pause("openai")
    lasting = {"opened_at": timestamp(NOW), "reason": "no_key", "probes": 0, "probed_at": None, "ended_at": None}
    code, out, _ = run("providers", "--json")
    assert code == 0
    assert json.loads(out) == [
        {
            "provider": "openai",
            "protocol": "openai",
            "base_url": "https://api.openai.com/v1",
            "paused": None,
            "ledgers": [
                {
                    "ledger": LEDGER,
                    "unit": "tokens",
                    "limit": 90_000,
                    "taken": 80_000,
                    "learned_until": "2096-10-02T07:06:40Z",
                }
            ],
            "pauses": [lasting | {"reason": "calls_failed", "ended_at": timestamp(NOW)}],
        },
        {
            "provider": "anthropic",
            "protocol": "anthropic",
            "base_url": "https://api.anthropic.com",
            "paused": "anthropic: no key. Set it with: batchdrop keys set anthropic",
            "ledgers": [],
            "pauses": [lasting],
        },
    ]
    lines = run("providers").out.splitlines()
    learned = "a refusal stated this limit, which is used until 2096-10-02T07:06:40Z"
    assert lines[1].split(maxsplit=4) == [LEDGER, "80,000", "90,000", "tokens", f"open; {learned}"]
    assert lines[2].startswith("anthropic")


def test_a_limit_that_is_forgotten_is_the_configured_one(aws: "Aws", run: "Run", a_batch: Callable[..., Batch]) -> None:
    take(aws, a_batch(), 1)
    aws.store.providers.learn_limit(LEDGER, 90_000, int(time.time()) - 1)
    (ledger,) = json.loads(run("providers", "--json").out)[0]["ledgers"]
    assert (ledger["limit"], ledger["learned_until"]) == (2_000_000, None)


def test_a_job_shows_its_place_in_the_queue(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch]
) -> None:
    aws.store.add(a_job())
    for number in range(3):
        aws.store.add(a_batch(job="another", id=f"00000-0-000{number}", due_at=1))
    aws.store.add(a_batch(due_at=2))
    assert json.loads(run("show", "--json").out)["waits_for"] == [
        f"position 2 of 4 in queue {LEDGER}; needs 300 tokens, 0 of 2,000,000 in use"
    ]
