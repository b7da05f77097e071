"""What a worker learned of a ledger, and writes when others have learned it anew, changes nothing."""

from collections.abc import Callable

import pytest
from batchdrop.aws.provider_store import ProviderStore
from batchdrop.aws.store import Store
from batchdrop.records import Ledger
from faking.rows import NOW

LEDGER = "openai/gpt-4o"

FACTS: dict[str, tuple[Callable[[ProviderStore, int, int], None], Callable[[int, int], Ledger]]] = {
    "a limit": (
        lambda known, value, until: known.learn_limit(LEDGER, value, until),
        lambda value, until: Ledger(name=LEDGER, learned=value, learned_until=until),
    ),
    "sizes": (
        lambda known, value, until: known.learn_sizes(LEDGER, until, most_requests=value),
        lambda value, until: Ledger(name=LEDGER, most_requests=value, sizes_until=until),
    ),
    "a refused model": (
        lambda known, value, until: known.learn_refused_model(LEDGER, f"/v{value}", None, until),
        lambda value, until: Ledger(name=LEDGER, refused_at_endpoint=f"/v{value}", refused_until=until),
    ),
}


@pytest.mark.parametrize("fact", FACTS)
@pytest.mark.parametrize(
    ("second", "known"), [(NOW - 1, (1, NOW)), (NOW, (2, NOW)), (NOW + 1, (2, NOW + 1))], ids=["late", "same", "newer"]
)
def test_of_two_facts_the_one_that_was_learned_later_is_believed(
    store: Store, fact: str, second: int, known: tuple[int, int]
) -> None:
    learn, ledger = FACTS[fact]
    learn(store.providers, 1, NOW)
    learn(store.providers, 2, second)
    assert store.providers.ledger(LEDGER) == ledger(*known)


def test_what_was_learned_of_one_thing_leaves_the_others(store: Store) -> None:
    store.providers.learn_limit(LEDGER, 9, NOW + 60)
    store.providers.learn_sizes(LEDGER, NOW, most_bytes=5)
    expected = Ledger(name=LEDGER, learned=9, learned_until=NOW + 60, most_bytes=5, sizes_until=NOW)
    assert store.providers.ledger(LEDGER) == expected


def test_a_late_size_is_believed_beside_another_that_is_known(store: Store) -> None:
    store.providers.learn_sizes(LEDGER, NOW + 1, most_bytes=5)
    store.providers.learn_sizes(LEDGER, NOW, most_requests=10, most_bytes=6)
    expected = Ledger(name=LEDGER, most_requests=10, most_bytes=5, sizes_until=NOW + 1)
    assert store.providers.ledger(LEDGER) == expected
