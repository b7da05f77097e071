"""What a worker knew of a provider, and writes when others have long known better, changes nothing of that."""

from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.aws.provider_store import ProviderStore
from batchdrop.aws.store import Store
from faking import cloud
from faking.rows import NOW
from store.conftest import Clock

LATER = NOW + 10_800


def begin(known: ProviderStore) -> None:
    known.set_pause("openai", "no key", LATER + 300)


def announce(known: ProviderStore) -> None:
    begin(known)
    known.mark_pause_announced("openai")


def end(known: ProviderStore) -> None:
    announce(known)
    known.end_pause("openai")


LATE: dict[str, Callable[[ProviderStore], object]] = {
    "a pause": lambda known: known.set_pause("openai", "no credit", NOW + 300),
    "its end": lambda known: known.end_pause("openai"),
    "its event": lambda known: known.mark_pause_announced("openai"),
    "a refusal": lambda known: known.extend_pause_reason("openai"),
    "a failure": lambda known: known.count_failure("openai"),
}


@pytest.mark.parametrize("since", [begin, announce, end])
@pytest.mark.parametrize("late", LATE.values(), ids=LATE)
def test_what_is_written_late_changes_no_pause_that_is_known_better(
    late: Callable[[ProviderStore], object],
    since: Callable[[ProviderStore], None],
    store: Store,
    clock: Clock,
    client: Any,
) -> None:
    clock.now = LATER
    since(store.providers)
    known = store.providers.get_pause("openai")
    assert not late(Store(client, cloud.TABLE, now=lambda: NOW).providers)
    assert store.providers.get_pause("openai") == known
