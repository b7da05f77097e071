"""Many batches, few calls: poll reads a provider's list by pages, and admission passes a full ledger by."""

from dataclasses import replace
from datetime import UTC, datetime

import boto3
import pytest
from batchdrop.aws.provider_items import reserve
from batchdrop.aws.provider_store import Pause
from batchdrop.aws.store import Store
from batchdrop.batches.completion_times import bin_of
from batchdrop.errors import AccountRefused, Missing, Refused, Transient
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.circuit_breaker import announce_pause_changes
from batchdrop.providers.config import parse_providers
from batchdrop.providers.interface import ProviderBatch
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState
from batchdrop.steps.poll import MOST_CALLS, poll_provider
from faking.cloud import REGION, TABLE, TOML, Cloud
from faking.rows import JOB, a_batch, a_job, a_split

PAGE = 20


class Account:
    """A provider's list of batches, the newest first, of which some have ended. It notes which ids it was asked for."""

    def __init__(self, listed: list[str], ended: set[str] | None = None) -> None:
        self.listed, self.ended = listed, ended or set()
        self.pages = 0
        self.singly: list[str] = []
        self.told: set[str] = set()

    @property
    def calls(self) -> int:
        return self.pages + len(self.singly)

    def page(self, after: str | None) -> list[ProviderBatch]:
        self.pages += 1
        start = self.listed.index(after) + 1 if after else 0
        return [self._tell(each) for each in self.listed[start : start + PAGE]]

    def retrieve(self, batch_id: str) -> ProviderBatch:
        self.singly.append(batch_id)
        return self._tell(batch_id)

    def _tell(self, batch_id: str) -> ProviderBatch:
        self.told.add(batch_id)
        ended = "completed" if batch_id in self.ended else None
        return ProviderBatch(id=batch_id, ended_as=ended)


def in_flight(cloud: Cloud, count: int) -> list[str]:
    """Batches of ours, the newest first, submitted a second apart, long enough ago to be asked for in any round."""
    now = cloud.services.now()
    cloud.dynamodb.transact_write_items(TransactItems=[reserve(a_batch().ledger, 10**6, limit=10**6)(TABLE)])
    for number in range(count):
        row = a_batch(number, BatchState.IN_FLIGHT, batch_id=f"ours-{number}", submitted_at=now - number, due_at=now)
        assert cloud.services.store.add(row)
    return [f"ours-{number}" for number in range(count)]


def among(ours: list[str], others: int) -> list[str]:
    """A list with so many batches of others before each of ours."""
    return [each for number, mine in enumerate(ours) for each in (*(f"{number}-{n}" for n in range(others)), mine)]


def with_account(cloud: Cloud, account: object) -> Services:
    return replace(cloud.services, apis={"openai": account})  # type: ignore[arg-type]  # it stands in by its methods


def states(cloud: Cloud) -> dict[str, BatchState]:
    return {each.batch_id or "": each.state for each in cloud.services.store.batches(JOB)}


def test_a_page_tells_of_as_many_batches_as_it_holds(cloud: Cloud) -> None:
    ours = in_flight(cloud, 10 * PAGE)
    account = Account(ours)
    poll_provider("openai", with_account(cloud, account))
    assert (account.pages, account.singly, account.told) == (10, [], set(ours))


def test_newer_batches_of_others_cost_two_calls(cloud: Cloud) -> None:
    ours = in_flight(cloud, 5 * PAGE)
    account = Account([*(f"theirs-{number}" for number in range(1_000)), *ours])
    poll_provider("openai", with_account(cloud, account))
    assert account.told >= set(ours)
    assert account.calls <= 5 + 2


def test_where_others_fill_the_pages_batches_are_asked_for_one_by_one(cloud: Cloud) -> None:
    ours = in_flight(cloud, 100)
    account = Account(among(ours, 2 * PAGE))
    poll_provider("openai", with_account(cloud, account))
    assert account.told >= set(ours)
    assert (len(account.singly), account.pages <= 7) == (100, True)


def test_one_batch_is_asked_for_itself(cloud: Cloud) -> None:
    account = Account(in_flight(cloud, 1))
    poll_provider("openai", with_account(cloud, account))
    assert (account.pages, account.singly) == (0, ["ours-0"])


def test_a_round_makes_so_many_calls_at_most_and_the_next_goes_on(cloud: Cloud) -> None:
    ours = in_flight(cloud, 2 * MOST_CALLS + 50)
    account = Account(among(ours, 2 * PAGE))
    told = []
    for _ in range(3):
        poll_provider("openai", with_account(cloud, account))
        told.append(len(account.told & set(ours)))
        assert account.calls <= MOST_CALLS * len(told)
        cloud.clock.now += 60
    assert told[0] < told[1] < told[2] == len(ours)


def test_a_round_ends_in_time_and_the_next_goes_on(cloud: Cloud) -> None:
    ours = in_flight(cloud, 5 * PAGE)

    class Slow(Account):
        def page(self, after: str | None) -> list[ProviderBatch]:
            cloud.clock.now += 15
            return super().page(after)

    account = Slow(ours)
    poll_provider("openai", with_account(cloud, account))
    assert account.pages == 3
    cloud.clock.now += 60
    poll_provider("openai", with_account(cloud, account))
    assert account.told == set(ours)


def test_what_ended_is_found_and_what_is_usual_is_remembered(cloud: Cloud) -> None:
    ours = in_flight(cloud, 5)
    cloud.clock.now += 1_000
    poll_provider("openai", with_account(cloud, Account(ours, ended={ours[1], ours[3]})))
    assert [state.value for state in states(cloud).values()] == [
        "IN_FLIGHT",
        "ENDED",
        "IN_FLIGHT",
        "ENDED",
        "IN_FLIGHT",
    ]
    lease = cloud.services.store.leases.take("poll#openai", 60)
    assert lease is not None
    assert (lease.last, lease.cut_at, 1_000 < lease.usual < 1_004) == (cloud.services.now(), None, True)


def test_a_page_tells_also_of_an_end_that_was_not_asked_for(cloud: Cloud) -> None:
    cloud.clock.now += -cloud.clock.now % 600  # the old one is asked for once in each ten minutes
    in_flight(cloud, 2)
    now = cloud.services.now()
    old = a_batch(2, BatchState.IN_FLIGHT, batch_id="old", submitted_at=now - 40_000, due_at=now)
    cloud.services.store.add(old)
    poll_provider("openai", with_account(cloud, Account(["ours-0", "ours-1", "old"])))
    cloud.clock.now += (
        1 + (-cloud.services.now() - 2) % 600
    )  # within ten minutes of the round before, whenever that was
    account = Account(["ours-0", "ours-1", "old"], ended={"old"})
    poll_provider("openai", with_account(cloud, account))
    assert (states(cloud)["old"], account.singly) == (BatchState.ENDED, [])


@pytest.mark.parametrize("broken", [Transient("503"), AccountRefused("401")])
def test_a_round_that_told_nothing_loses_nothing(cloud: Cloud, broken: Exception) -> None:
    ours = in_flight(cloud, 5)

    class Broken(Account):
        def page(self, after: str | None) -> list[ProviderBatch]:
            del after
            raise broken

        retrieve = page  # type: ignore[assignment]  # both fail

    class Accounts(dict[str, Account]):
        def renew(self, provider: str) -> bool:
            return provider in self

    services = replace(cloud.services, apis=Accounts(openai=Broken(ours)))  # type: ignore[arg-type]  # a stand-in by shape
    poll_provider("openai", services)
    cloud.clock.now += 60
    account = Account(ours, ended=set(ours))
    poll_provider("openai", with_account(cloud, account))
    assert set(states(cloud).values()) == {BatchState.ENDED}


class Counting:
    """A DynamoDB client that counts its calls."""

    def __init__(self, client: object) -> None:
        self._client = client
        self.calls: list[str] = []

    def __getattr__(self, name: str) -> object:
        if not name.endswith("_item") and name != "transact_write_items":
            return getattr(self._client, name)
        self.calls.append(name)
        return getattr(self._client, name)


@pytest.fixture
def counted(cloud: Cloud) -> tuple[Services, Counting]:
    client = Counting(boto3.client("dynamodb", region_name=REGION))
    store = Store(client, TABLE, now=cloud.services.now)  # type: ignore[arg-type]  # a stand-in by its methods
    return replace(cloud.services, store=store), client


def waiting(cloud: Cloud, count: int, cost: int) -> None:
    cloud.services.store.add(a_job(state=JobState.RUNNING, due_at=None))
    cloud.services.store.add(a_split(0, due_at=None))
    for number in range(count):
        cloud.services.store.add(a_batch(number, cost=cost, due_at=cloud.services.now() - 1))


def test_batches_behind_a_full_ledger_cost_no_call(cloud: Cloud, counted: tuple[Services, Counting]) -> None:
    services, client = counted
    services.store.restores.current("test")  # whose the table is, is asked once a minute
    client.calls.clear()
    waiting(cloud, 30, cost=800_000)
    assert admit_batches("openai", services) == 2
    assert sorted(client.calls) == ["get_item"] * 5 + ["transact_write_items"] * 2
    client.calls.clear()
    assert admit_batches("openai", services) == 0
    assert client.calls == ["get_item"] * 3  # the pause, the job, the split


def test_a_batch_that_must_wait_for_its_job_does_not_hold_up_another(cloud: Cloud) -> None:
    waiting(cloud, 1, cost=300)
    unplanned = f"{JOB[:-1]}0"
    cloud.services.store.add(a_job(job=unplanned))
    cloud.services.store.add(a_batch(0, job=unplanned, cost=2_000_000, due_at=0))
    assert admit_batches("openai", cloud.services) == 1


class Refusing(Account):
    """An account that refuses some of its batches, with a list or without one."""

    def __init__(self, listed: list[str], refused: dict[str, Exception], list_error: Exception | None = None) -> None:
        super().__init__(listed, ended=set(listed) - set(refused))
        self._refused, self._list_error = refused, list_error

    def page(self, after: str | None) -> list[ProviderBatch]:
        if self._list_error is not None:
            raise self._list_error
        return super().page(after) if after is None or after in self.listed else []

    def retrieve(self, batch_id: str) -> ProviderBatch:
        if batch_id in self._refused:
            self.singly.append(batch_id)
            raise self._refused[batch_id]
        return super().retrieve(batch_id)


class Accounts(dict[str, Account]):
    """Clients whose keys are the same when they are read again."""

    def renew(self, provider: str) -> bool:
        return provider not in self


def round_with(cloud: Cloud, account: Account) -> Pause | None:
    """What is known against the provider after a round."""
    poll_provider("openai", replace(cloud.services, apis=Accounts(openai=account)))  # type: ignore[arg-type]  # by shape
    return cloud.services.store.providers.get_pause("openai")


FORBIDDEN, UNKNOWN = AccountRefused("the key was refused (403)"), Missing("404")


@pytest.mark.parametrize("error", [FORBIDDEN, Missing("404"), Refused(status=405, code=None)])
def test_where_the_list_is_refused_batches_are_asked_for_one_by_one(cloud: Cloud, error: Exception) -> None:
    ours = in_flight(cloud, 7)
    account = Refusing(ours, {}, error)
    assert round_with(cloud, account) is None
    assert account.singly == ours
    assert set(states(cloud).values()) == {BatchState.ENDED}


@pytest.mark.parametrize("error", [FORBIDDEN, UNKNOWN])
def test_a_batch_that_is_refused_stops_no_other(cloud: Cloud, error: Exception) -> None:
    ours = in_flight(cloud, 7)
    account = Refusing([each for each in ours if each != ours[0]], {ours[0]: error})
    cloud.clock.now += 1_000
    assert round_with(cloud, account) is None
    assert [each for each, state in states(cloud).items() if state is BatchState.IN_FLIGHT] == [ours[0]]


def test_a_batch_that_alone_is_refused_is_given_up_past_its_window(cloud: Cloud) -> None:
    ours = in_flight(cloud, 2)
    cloud.services.store.add(a_job(state=JobState.RUNNING, due_at=None))
    cloud.services.store.add(a_split(0, open=2, due_at=None))
    cloud.clock.now += 5 * 86_400
    account = Refusing([ours[1]], {ours[0]: FORBIDDEN})
    account.ended = set()
    assert round_with(cloud, account) is None
    assert states(cloud)[ours[0]] is BatchState.FAILED


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (FORBIDDEN, "the key was refused (403)"),
        (UNKNOWN, "it knows none of our batches (404): is it another workspace's key, or base_url?"),
    ],
)
def test_when_all_are_refused_the_provider_is_paused_after_a_few_calls(
    cloud: Cloud, error: Exception, reason: str
) -> None:
    ours = in_flight(cloud, 100)
    cloud.clock.now += 5 * 86_400
    account = Refusing([], dict.fromkeys(ours, error))
    account.listed = ["theirs"]
    pause = round_with(cloud, account)
    assert pause is not None
    assert (pause.reason, pause.until) == (reason, cloud.services.now() + 300)
    assert len(account.singly) == 5


def test_what_lies_behind_batches_that_are_refused_is_asked_for_in_the_next_round(cloud: Cloud) -> None:
    ours = in_flight(cloud, 20)
    account = Refusing(ours, dict.fromkeys(ours[:6], FORBIDDEN), FORBIDDEN)
    assert round_with(cloud, account) is not None
    assert account.singly == ours[:5]
    round_with(cloud, account)
    in_flight_still = [each for each, state in states(cloud).items() if state is BatchState.IN_FLIGHT]
    assert sorted(in_flight_still) == sorted(ours[:6])


def test_the_newest_batch_shows_that_the_key_is_the_right_one(cloud: Cloud) -> None:
    """Old batches are unknown to a new workspace's key, and asked for in a round in which new ones are not."""
    cloud.clock.now += 1_800 - cloud.services.now() % 1_800 + 540
    old = [f"old-{number}" for number in range(6)]
    for number, batch_id in enumerate([*old, "new-0", "new-1"]):
        age = 20_000 + number if batch_id in old else 3_540 + number
        submitted_at = cloud.services.now() - age
        row = a_batch(number, BatchState.IN_FLIGHT, batch_id=batch_id, submitted_at=submitted_at, due_at=submitted_at)
        assert cloud.services.store.add(row)
    account = Refusing(["new-0", "new-1"], dict.fromkeys(old, UNKNOWN))
    account.ended = set()
    assert round_with(cloud, account) is None
    account.told.clear()
    cloud.clock.now += 60
    assert round_with(cloud, account) is None
    assert account.singly[-6:] == old


def test_batches_that_were_just_created_may_be_unknown(cloud: Cloud) -> None:
    ours = in_flight(cloud, 7)
    assert round_with(cloud, Refusing([], dict.fromkeys(ours, UNKNOWN), UNKNOWN)) is None


def test_a_pause_for_what_is_in_flight_lets_one_batch_try_and_is_told_once(cloud: Cloud) -> None:
    ours = in_flight(cloud, 2)
    waiting(cloud, 3, cost=1)
    account = Refusing([], dict.fromkeys(ours, FORBIDDEN))
    began = round_with(cloud, account)
    assert began is not None
    for _ in range(4):
        cloud.clock.now += 60
        pause = round_with(cloud, account)
        assert pause is not None
        assert (pause.until, pause.probe) == (began.until, "")
    cloud.clock.now += 60
    pause = round_with(cloud, account)
    assert pause is not None
    assert pause.probe != ""
    cloud.services.store.providers.end_pause("openai")  # that one was taken
    for _ in range(20):
        cloud.clock.now += 60
        pause = round_with(cloud, account)
        announce_pause_changes("openai", cloud.services)
    assert (pause is not None, pause and pause.until) == (True, 0)
    told = [event["detail-type"] for event in cloud.events() if event["detail-type"].startswith("Provider")]
    assert told == ["Provider Paused"]


class Stale(Account):
    """A list that calls every batch unfinished; a batch that is asked for by its id has ended."""

    def page(self, after: str | None) -> list[ProviderBatch]:
        return [ProviderBatch(id=each.id, ended_as=None) for each in super().page(after)]


def aged(cloud: Cloud, count: int, seconds: int) -> list[str]:
    """Batches in flight that were submitted so long ago."""
    ours = in_flight(cloud, count)
    cloud.clock.now += seconds
    return ours


def test_a_batch_that_the_list_calls_unfinished_for_too_long_is_asked_for_by_its_id(cloud: Cloud) -> None:
    ours = aged(cloud, 3, 0)
    account = Stale(ours, set(ours))
    for _ in range(30):
        poll_provider("openai", with_account(cloud, account))
        cloud.clock.now += 60
    assert set(states(cloud).values()) == {BatchState.ENDED}


def test_a_batch_that_its_provider_does_not_know_has_not_ended(cloud: Cloud) -> None:
    class Forgetful(Account):
        def retrieve(self, batch_id: str) -> ProviderBatch:
            raise Missing(f"404 for {batch_id}")

    poll_provider("openai", with_account(cloud, Forgetful(aged(cloud, 1, 12 * 3_600))))
    assert set(states(cloud).values()) == {BatchState.IN_FLIGHT}


def test_a_list_is_asked_once_for_the_batches_that_it_is_not_believed_about(cloud: Cloud) -> None:
    ours = aged(cloud, 10, 26 * 3_600)
    account = Stale(ours, set(ours))
    poll_provider("openai", with_account(cloud, account))
    assert (account.pages, len(account.singly)) == (1, 10)


@pytest.mark.parametrize("hours", [24, 48])
def test_a_batch_is_asked_for_by_its_id_before_it_is_overdue(cloud: Cloud, hours: int) -> None:
    text = TOML.read_text(encoding="utf-8").replace("[providers.openai]", f"[providers.openai]\nwindow_hours = {hours}")
    cloud.configure(parse_providers(text))
    cancelled: list[str] = []

    class EndsLate(Stale):
        def cancel(self, batch_id: str) -> None:
            cancelled.append(batch_id)

    ours = aged(cloud, 2, (hours + 1) * 3_600)
    account = EndsLate(ours)
    for minute in range(180):
        account.ended = set(ours) if minute >= 60 else set()  # within the window and two hours, but for seconds
        poll_provider("openai", with_account(cloud, account))
        cloud.clock.now += 60
    assert (set(states(cloud).values()), cancelled) == ({BatchState.ENDED}, [])


@pytest.mark.parametrize(("hours", "cancelled"), [(24, True), (26, False), (168, False)])
def test_a_batch_is_overdue_two_hours_after_its_providers_window(cloud: Cloud, hours: int, *, cancelled: bool) -> None:
    text = TOML.read_text(encoding="utf-8").replace("[providers.openai]", f"[providers.openai]\nwindow_hours = {hours}")
    cloud.configure(parse_providers(text))
    asked: list[str] = []

    class Live(Account):
        def cancel(self, batch_id: str) -> None:
            asked.append(batch_id)

    ours = aged(cloud, 1, 27 * 3_600)
    poll_provider("openai", with_account(cloud, Live(ours)))
    assert bool(asked) == cancelled


def test_a_batch_that_nobody_could_ask_about_is_not_overdue(cloud: Cloud) -> None:
    class Down(Account):
        def page(self, after: str | None) -> list[ProviderBatch]:
            raise Transient(f"503 behind {after}")

        def retrieve(self, batch_id: str) -> ProviderBatch:
            raise Transient(f"503 for {batch_id}")

    ours = aged(cloud, 2, 200 * 3_600)
    poll_provider("openai", with_account(cloud, Down(ours)))
    assert set(states(cloud).values()) == {BatchState.IN_FLIGHT}
    assert [each.cancel_asked_at for each in cloud.services.store.batches(JOB)] == [None, None]


def completions(cloud: Cloud) -> list[tuple[str, int, str, dict[int, int]]]:
    return [*cloud.services.store.providers.completions("openai")]


class EndedAs(Account):
    """A provider whose only batch ended in a given way."""

    def __init__(self, ended_as: str) -> None:
        super().__init__(["ours-0"])
        self.ended_as = ended_as

    def _tell(self, batch_id: str) -> ProviderBatch:
        return ProviderBatch(id=batch_id, ended_as=self.ended_as)


@pytest.mark.parametrize("ended_as", ["completed", "expired", "failed", "cancelled"])
def test_how_long_a_batch_took_is_counted_once_and_only_where_it_was_worked_on_to_the_end(
    cloud: Cloud, ended_as: str
) -> None:
    in_flight(cloud, 1)
    cloud.clock.now += 3_600
    for _ in range(2):
        poll_provider("openai", with_account(cloud, EndedAs(ended_as)))
    today = datetime.fromtimestamp(cloud.services.now(), UTC).strftime("%Y%m%d")
    is_counted = ended_as in {"completed", "expired"}
    assert completions(cloud) == ([(today, 1, "gpt-4o", {bin_of(3_600): 1})] if is_counted else [])


def test_batches_of_a_day_a_model_and_a_size_share_a_row_that_expires(cloud: Cloud) -> None:
    ids = in_flight(cloud, 3)
    cloud.clock.now += 7_200
    poll_provider("openai", with_account(cloud, Account(ids, ended=set(ids))))
    [(_, _, _, bins)] = completions(cloud)
    assert bins == {bin_of(7_200): 3}
    rows = cloud.dynamodb.scan(TableName=TABLE)["Items"]
    [row] = [each for each in rows if each["sk"]["S"].startswith("TIMES#")]
    assert int(row["expires_at"]["N"]) == cloud.services.now() + 28 * 86_400
