"""Rows that newer code wrote, before it was rolled back: what can be read is read, and the rest is left alone."""

import logging
from collections.abc import Callable
from typing import Any

import pytest
from batchdrop.aws import row_versions
from batchdrop.aws.provider_items import count_in_hour, own_batch_id
from batchdrop.aws.row_versions import ROW_VERSION, NewerRow
from batchdrop.aws.store import Store
from batchdrop.aws.table_items import add_intent, add_retry, encode, put_version_pointer, watch_intent
from batchdrop.records import Batch, Intent, JobSettings
from batchdrop.states import BatchState, JobState
from faking import cloud
from faking.rows import JOB, NOW, a_batch, a_job, a_split

RETRY = "20261106T091412Z-7f3a9c2e52"
NEWER: list[dict[str, Any]] = [{"version": ROW_VERSION + 1}, {"state": "WEIGHED"}]
UNKNOWN = {"colour": "12.50", "weight": {"low": 1, "high": None}}


def put(client: Any, pk: str, sk: str, **values: Any) -> None:
    """Write attributes as newer code would."""
    client.update_item(
        TableName=cloud.TABLE,
        Key=encode({"pk": pk, "sk": sk}),
        UpdateExpression="SET " + ", ".join(f"#{name} = :{name}" for name in values),
        ExpressionAttributeNames={f"#{name}": name for name in values},
        ExpressionAttributeValues={f":{name}": value for name, value in encode(values).items()},
    )


def rows(client: Any) -> list[Any]:
    return sorted(client.scan(TableName=cloud.TABLE)["Items"], key=lambda item: item["sk"]["S"])


def fill(store: Store) -> None:
    store.add(a_job())
    store.add(a_split())
    store.add(a_batch())


OF_JOB: dict[str, Callable[[Store], object]] = {
    "JOB": lambda store: store.job(JOB),
    "SPLIT#00000": lambda store: store.split(JOB, 0),
    "BATCH#00000-0-0000": lambda store: store.batch(JOB, "00000-0-0000"),
}
LISTS: dict[str, Callable[[Store], object]] = {
    "SPLIT#00000": lambda store: list(store.splits(JOB)),
    "BATCH#00000-0-0000": lambda store: list(store.batches(JOB)),
}


@pytest.mark.parametrize("sk", OF_JOB)
def test_what_newer_code_added_is_read_past(store: Store, client: Any, sk: str) -> None:
    fill(store)
    before = OF_JOB[sk](store)
    put(client, f"JOB#{JOB}", sk, **UNKNOWN)
    assert OF_JOB[sk](store) == before


def test_a_setting_of_newer_code_is_read_past_and_a_move_keeps_it(store: Store, client: Any) -> None:
    job = a_job(settings=JobSettings(priority=3))
    store.add(job)
    put(client, f"JOB#{JOB}", "JOB", settings={"priority": 3, **UNKNOWN}, **UNKNOWN)
    store.move(store.job(JOB) or job, JobState.RUNNING)
    (row,) = rows(client)
    assert row["settings"] == {"M": encode({"priority": 3, **UNKNOWN})}
    assert {name: row[name] for name in UNKNOWN} == encode(UNKNOWN)
    assert [each.settings for each in store.recent_jobs([JOB[:8]])] == [job.settings]


@pytest.mark.parametrize("newer", NEWER)
@pytest.mark.parametrize("sk", OF_JOB)
def test_a_row_of_newer_code_is_nobodys_turn(store: Store, client: Any, sk: str, newer: dict[str, Any]) -> None:
    fill(store)
    put(client, f"JOB#{JOB}", sk, **newer)
    with pytest.raises(NewerRow, match="update this one"):
        OF_JOB[sk](store)
    if sk in LISTS:
        with pytest.raises(NewerRow):
            LISTS[sk](store)


@pytest.mark.parametrize("newer", NEWER)
def test_lists_leave_newer_rows_out_and_the_log_names_them(
    store: Store, client: Any, newer: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    fill(store)
    store.add(a_batch(1))
    store.add(a_job(job=RETRY))
    store.add(a_job(job="20261105T091412Z-0000000000"), also=[add_retry(a_job(job=RETRY), JOB, NOW)])
    put(client, f"JOB#{RETRY}", "JOB", **newer)
    put(client, f"JOB#{JOB}", "BATCH#00000-0-0000", **newer)
    with caplog.at_level(logging.WARNING, logger=row_versions.logger.name):
        assert [each.id for each in store.recent_jobs([JOB[:8], RETRY[:8]])] == [JOB, "20261105T091412Z-0000000000"]
        assert list(store.retries(JOB)) == []
        assert [each.id for each in store.readable_batches(JOB)] == ["00000-0-0001"]
    named = [getattr(record, "pk", None) for record in caplog.records]
    assert (named, {record.message for record in caplog.records}) == (
        [f"JOB#{RETRY}", f"JOB#{RETRY}", f"JOB#{JOB}"],
        {"row of a newer version left alone"},
    )


@pytest.mark.parametrize("newer", NEWER)
@pytest.mark.parametrize("sk", OF_JOB)
def test_what_is_due_of_newer_code_is_not_looked_at_and_has_no_failures(
    store: Store, client: Any, sk: str, newer: dict[str, Any]
) -> None:
    store.add(a_job(due_at=NOW))
    store.add(a_split(due_at=NOW))
    store.add(a_batch(state=BatchState.ENDED))
    put(client, f"JOB#{JOB}", sk, **newer)
    before = rows(client)
    due = {each.sk: each for each in store.due(by=NOW)}
    left = {sk} | (set(due) if sk == "JOB" else set())  # a job of newer code takes all of it with it
    for each in due.values():
        if each.sk in left:
            with pytest.raises(NewerRow):
                store.row(each, by=NOW)
        else:
            assert store.row(each, by=NOW) is not None
    assert store.count_unit_failure(JOB, sk, 900) == 0
    assert rows(client) == before


def an_intent(batch: Batch) -> Intent:
    return Intent(
        job=JOB,
        batch=batch.id,
        token=batch.token,
        provider="openai",
        requests=5,
        started_at=NOW,
        create_by=NOW + 60,
        expires_at=NOW + 9_999,
    )


def fill_with_the_others(store: Store) -> None:
    """One row of each kind that is no unit's."""
    batch = a_batch(state=BatchState.SUBMITTING, intended_at=NOW)
    store.add(batch, also=[add_intent(an_intent(batch)), own_batch_id(batch, "batch_1", NOW)])
    store.move(batch, BatchState.IN_FLIGHT, also=[watch_intent(batch), count_in_hour("openai", NOW, room=9)])
    store.providers.learn_limit("openai/gpt-4o", 9, NOW + 60)
    store.providers.set_pause("openai", "no credit", NOW + 60)
    store.providers.count_completion(batch, day="20270115", size=1, number=7, expires_at=NOW)
    store.add(a_job(), also=[put_version_pointer(a_job(), "digest", NOW)])


OTHERS: dict[tuple[str, str], Callable[[Store], object]] = {
    (f"JOB#{JOB}", f"INTENT#00000-0-0000#{NOW}"): lambda store: store.providers.watched("openai"),
    ("PROVIDER#openai", "BATCH#batch_1"): lambda store: store.providers.owner("openai", "batch_1"),
    ("PROVIDER#openai", "LEDGER#openai/gpt-4o"): lambda store: store.providers.ledgers("openai"),
    ("PROVIDER#openai", "PAUSE"): lambda store: store.providers.get_pause("openai"),
    ("PROVIDER#openai", f"HOUR#{NOW - NOW % 300}"): lambda store: store.providers.admitted_between(
        "openai", NOW - 300, NOW + 300
    ),
    ("PROVIDER#openai", "TIMES#20270115#1#gpt-4o"): lambda store: [*store.providers.completions("openai")],
    ("VERSION#digest", "VERSION"): lambda store: store.job_of("digest"),
}


@pytest.mark.parametrize("key", OTHERS, ids=lambda key: key[1].partition("#")[0])
def test_other_rows_of_newer_code_are_read_past_what_they_added_or_left_alone(
    store: Store, client: Any, key: tuple[str, str]
) -> None:
    fill_with_the_others(store)
    before = OTHERS[key](store)
    assert before
    put(client, *key, **UNKNOWN)
    assert OTHERS[key](store) == before
    put(client, *key, version=ROW_VERSION + 1)
    if "INTENT" in key[1]:
        assert OTHERS[key](store) == []
    else:
        with pytest.raises(NewerRow):
            OTHERS[key](store)


def test_a_lease_of_newer_code_is_taken_when_it_is_over(store: Store, client: Any) -> None:
    lease = store.leases.take("sweep", 60)
    assert lease is not None
    store.leases.end(lease)
    put(client, "LEASE#sweep", "LEASE", **UNKNOWN)
    assert store.leases.take("sweep", 60) is not None


def test_each_row_says_its_version(store: Store, client: Any) -> None:
    fill(store)
    assert [row["version"] for row in rows(client)] == [{"N": "1"}] * 3


def test_a_field_that_was_renamed_keeps_its_first_name_in_the_table(store: Store, client: Any) -> None:
    store.add(a_job(line_numbering_key="k"))
    store.add(a_batch(endpoint_misses=2, is_uncharged_attempt=True, loss_evidence="3 of 4", loss_evidence_at=NOW))
    store.add(a_batch(id="00000-0-0001", defer_reason="d"))
    batch, deferred, job = rows(client)
    assert deferred["put_off"] == {"S": "d"}
    assert job["opened_key"] == {"S": "k"}
    assert [next(iter(batch[name].values())) for name in ("astray", "in_vain", "seen", "seen_at")] == [
        "2",
        True,
        "3 of 4",
        str(NOW),
    ]
