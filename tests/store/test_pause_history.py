"""What is kept of a provider's pauses once they are over."""

from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.aws.pause_history import MOST, PauseTimes
from batchdrop.aws.provider_items import end_pause, take_probe
from batchdrop.aws.provider_store import Pause, ProviderStore
from batchdrop.aws.row_versions import ROW_VERSION
from batchdrop.aws.store import Store
from batchdrop.aws.table_items import Update, encode
from batchdrop.pause_codes import PauseCode
from batchdrop.states import BatchState
from botocore.exceptions import ClientError
from faking import cloud
from faking.rows import NOW, a_batch
from store.conftest import Clock

CODE = PauseCode.CALLS_FAILED
OVER = PauseTimes(opened_at=NOW, reason_code=CODE, ended_at=NOW + 60)


def begin(known: ProviderStore) -> None:
    known.set_pause("openai", "their words", NOW + 300, code=CODE)


def clear(known: ProviderStore) -> None:
    pause = known.get_pause("openai")
    if pause is not None:
        known.clear_pause("openai", pause)


def attributes(client: Any, sk: str) -> dict[str, Any]:
    key = encode({"pk": "PROVIDER#openai", "sk": sk})
    item: dict[str, Any] = client.get_item(TableName=cloud.TABLE, Key=key).get("Item", {})
    return item


def test_a_pause_notes_its_beginning_its_probes_and_its_end_in_the_writes_that_change_it(
    store: Store,
) -> None:
    begin(store.providers)
    assert store.providers.pauses("openai") == [PauseTimes(opened_at=NOW, reason_code=CODE)]
    batch = a_batch()
    store.add(batch)
    admitted = store.move(
        batch, BatchState.ADMITTED, also=[take_probe(batch, NOW + 300, NOW + 600, NOW + 300)], due_at=NOW
    )
    tried = PauseTimes(opened_at=NOW, reason_code=CODE, probes=1, probed_at=NOW + 300)
    assert store.providers.pauses("openai") == [tried]
    store.move(admitted, BatchState.ADMITTED, also=[end_pause("openai", NOW + 310)])
    over = PauseTimes(opened_at=NOW, reason_code=CODE, probes=1, probed_at=NOW + 300, ended_at=NOW + 310)
    assert store.providers.pauses("openai") == [over]
    clear(store.providers)
    assert (store.providers.get_pause("openai"), store.providers.pauses("openai")) == (None, [over])


def test_the_last_pauses_are_kept_the_newest_first(store: Store, clock: Clock) -> None:
    for number in range(MOST + 3):
        clock.now = NOW + 100 * number
        begin(store.providers)
        clock.now += 60
        store.providers.end_pause("openai")
        if number % 2:  # otherwise the next one begins before sweep saw that this is over
            clear(store.providers)
    clear(store.providers)
    opened = [each.opened_at for each in store.providers.pauses("openai")]
    assert opened == [NOW + 100 * number for number in reversed(range(3, MOST + 3))]


STEPS: dict[str, Callable[[ProviderStore], object]] = {
    "beginning": begin,
    "end": lambda known: known.end_pause("openai"),
    "move": clear,
}


@pytest.mark.parametrize("twice", STEPS)
def test_what_is_written_twice_is_noted_once(store: Store, clock: Clock, twice: str) -> None:
    for name, step in STEPS.items():
        for _ in range(2 if name == twice else 1):
            step(store.providers)
            clock.now += 60 if name == "beginning" else 1
        clock.now = NOW + 60
    assert store.providers.pauses("openai") == [OVER]


def test_who_moves_a_pause_that_another_moved_adds_nothing(store: Store, client: Any, clock: Clock) -> None:
    begin(store.providers)
    clock.now = NOW + 60
    store.providers.end_pause("openai")

    class Late:
        """A client whose worker sleeps between its reading and its writing."""

        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def transact_write_items(self, **request: Any) -> Any:
            clear(store.providers)
            clock.now = NOW + 90
            begin(store.providers)
            return client.transact_write_items(**request)

    clear(Store(Late(), cloud.TABLE, now=clock).providers)  # type: ignore[arg-type]  # a stand-in by shape
    new = PauseTimes(opened_at=NOW + 90, reason_code=CODE)
    assert store.providers.pauses("openai") == [new, OVER]


def test_who_dies_between_the_move_and_the_deletion_leaves_a_pause_that_is_cleared(
    store: Store, client: Any, clock: Clock
) -> None:
    begin(store.providers)
    clock.now = NOW + 60
    store.providers.end_pause("openai")

    class Dying:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def delete_item(self, **_: Any) -> Any:
            raise SystemExit

    with pytest.raises(SystemExit):
        clear(Store(Dying(), cloud.TABLE, now=clock).providers)  # type: ignore[arg-type]  # a stand-in by shape
    assert (store.providers.get_pause("openai"), store.providers.pauses("openai")) == (
        Pause(reason="their words", reason_code=CODE),
        [OVER],
    )
    clear(store.providers)
    assert (store.providers.get_pause("openai"), store.providers.pauses("openai")) == (None, [OVER])


def test_a_move_that_fails_hinders_no_pause(store: Store, client: Any, clock: Clock) -> None:
    begin(store.providers)
    store.providers.end_pause("openai")

    class Denied:
        def __getattr__(self, name: str) -> Any:
            return getattr(client, name)

        def transact_write_items(self, **_: Any) -> Any:
            raise ClientError({"Error": {"Code": "AccessDeniedException"}}, "TransactWriteItems")

    known = Store(Denied(), cloud.TABLE, now=clock).providers  # type: ignore[arg-type]  # a stand-in by shape
    begin(known)
    assert known.active_pause("openai") == Pause(until=NOW + 300, reason="their words", reason_code=CODE)
    known.end_pause("openai")
    clear(known)
    assert known.get_pause("openai") is None


def test_failures_and_a_pause_that_never_held_are_not_kept(store: Store, client: Any) -> None:
    store.providers.count_failure("openai")
    store.providers.end_pause("openai")
    clear(store.providers)
    begin(store.providers)
    clear(store.providers)
    assert (store.providers.pauses("openai"), attributes(client, "PAUSE"), attributes(client, "PAUSES")) == ([], {}, {})


def test_no_words_are_kept(store: Store, client: Any) -> None:
    begin(store.providers)
    store.providers.end_pause("openai")
    clear(store.providers)
    assert "their words" not in str(attributes(client, "PAUSES"))


@pytest.mark.parametrize("until", [NOW + 300, 0])
def test_a_pause_of_an_older_version_is_read_ended_and_cleared(store: Store, client: Any, until: int) -> None:
    row = {"pk": "PROVIDER#openai", "sk": "PAUSE", "reason": "no key", "until": until, "as_of": NOW}
    client.put_item(TableName=cloud.TABLE, Item=encode(row))
    known = (store.providers.get_pause("openai"), store.providers.pauses("openai"))
    assert known == (Pause(reason="no key", until=until), [])
    if until:
        store.providers.end_pause("openai")
    clear(store.providers)
    assert (store.providers.get_pause("openai"), store.providers.pauses("openai")) == (None, [])


def test_a_pause_that_an_older_version_sets_over_one_that_ended_is_not_shown_as_ended(
    store: Store, client: Any, clock: Clock
) -> None:
    begin(store.providers)
    clock.now = NOW + 60
    store.providers.end_pause("openai")
    older = Update("PROVIDER#openai", "PAUSE")
    older.set("until", NOW + 400)
    client.update_item(**older.request(cloud.TABLE))
    assert store.providers.pauses("openai") == [PauseTimes(opened_at=NOW, reason_code=CODE)]
    clock.now = NOW + 90
    begin(store.providers)
    assert store.providers.pauses("openai") == [PauseTimes(opened_at=NOW + 90, reason_code=CODE), OVER]


@pytest.mark.parametrize("spoilt", [{"pauses": "nonsense"}, {"version": ROW_VERSION + 1}])
def test_a_history_that_cannot_be_read_is_left_alone_and_hinders_no_pause(
    store: Store, client: Any, spoilt: dict[str, Any]
) -> None:
    row = encode({"pk": "PROVIDER#openai", "sk": "PAUSES"} | spoilt)
    client.put_item(TableName=cloud.TABLE, Item=row)
    for _ in range(2):
        begin(store.providers)
        store.providers.end_pause("openai")
    clear(store.providers)
    assert (store.providers.get_pause("openai"), store.providers.pauses("openai")) == (None, [])
    assert attributes(client, "PAUSES") == row
