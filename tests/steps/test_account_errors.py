"""Error rows of the account: their lines alone go again for free, and pause their provider a few times."""

from typing import Any

import pytest
from faking.cloud import Cloud, jsonl
from faking.lines import chat, claude

HOUR = 3_600
LINES = pytest.mark.parametrize(("line", "provider"), [(chat, "openai"), (claude, "anthropic")])
BROKE = {"match": "broke", "status": 400, "message": "Your credit balance is too low."}
BUSY = {"match": "busy", "status": 503}


def sent(cloud: Cloud, job: str, rounds: int) -> set[tuple[int, int, int, int]]:
    """Of each batch of the first rounds: its round and requests, their attempt, and how often they went uncharged."""
    return {
        (each.round, each.requests, each.attempt, each.waits)
        for each in cloud.services.store.batches(job)
        if each.round < rounds
    }


def go_on(cloud: Cloud, job: str, rounds: int) -> None:
    for _ in range(60):
        if any(each.round == rounds for each in cloud.services.store.batches(job)):
            return
        cloud.deliver_all()
        cloud.tick(600)


@LINES
@pytest.mark.parametrize("attempts", [1, 3])
def test_only_the_lines_of_account_errors_go_again_for_free(
    cloud: Cloud, line: Any, provider: str, attempts: int
) -> None:
    cloud.simulator.shape(provider=provider, failing=[BROKE, BUSY])
    lines = [line("fine"), line("busy"), line("broke")]
    job = cloud.drop("input/x.jsonl", jsonl(lines), **{"batchdrop-max-attempts": str(attempts)})
    assert job is not None
    go_on(cloud, job, rounds=4)
    free = {(number, 1, 1, number) for number in range(1, 4)}
    counted = {(attempt - 1, 1, attempt, 0) for attempt in range(2, attempts + 1)}
    assert sent(cloud, job, rounds=4) == {(0, 3, 1, 0)} | free | counted


@LINES
def test_a_line_that_is_always_an_account_error_pauses_its_provider_five_times(
    cloud: Cloud, line: Any, provider: str
) -> None:
    cloud.simulator.shape(provider=provider, failing=[BROKE])
    job = cloud.drop("input/x.jsonl", jsonl([line("broke")]))
    assert job is not None
    go_on(cloud, job, rounds=9)
    told = [event["detail-type"] for event in cloud.events()]
    assert told.count("Provider Paused") == 5
    assert sent(cloud, job, rounds=9) == {(number, 1, 1, number) for number in range(9)}
