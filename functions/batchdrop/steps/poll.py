"""Poll: which of a provider's batches have ended? One round at a time, in as few calls as can be."""

from collections.abc import Iterator, Sequence

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.aws.leases import Lease
from batchdrop.aws.metrics import Measure, measure
from batchdrop.aws.provider_items import Release
from batchdrop.aws.table import Due
from batchdrop.batches.completion_times import count_completion
from batchdrop.batches.poll_schedule import PollPlan, age_of, page_before, plan_poll, singly_after, usual_after
from batchdrop.batches.transitions import cancel_at_provider, give_up
from batchdrop.correlation import working_on
from batchdrop.errors import AccountRefused, ClaimLost, Missing, Refused, Transient
from batchdrop.limits.admission import admit_batches
from batchdrop.limits.circuit_breaker import calls_refused
from batchdrop.limits.ledgers import token_sample
from batchdrop.limits.restore_hold import is_held
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.records import Batch
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.worker import Careful, Minute, failure_of

logger = Logger(child=True)

MOST_CALLS = 200  # of the provider in a round; the next round goes on from there
OVERDUE_SECONDS = 2 * 3_600  # after the provider's window a batch is overdue
STUCK_SECONDS = 2 * 3_600  # a cancel takes ten minutes at most (OpenAI's documentation)
_CANCEL_SECONDS = 3 * 86_400  # how long a provider that takes no cancel is asked for one
_LEASE_SECONDS = 120  # longer than the function's time limit
_SEVERAL = 5  # batches that are refused, and no other answer: the account is, and no more are asked for
_CALL_ERRORS = (AccountRefused, Missing, Refused, Transient)  # what a call may be answered with
_VISIBLE_SECONDS = 900  # after its create a batch may not be known for a while


def poll_provider(provider: str, services: Services) -> None:
    """Ask a provider for its batches, unless another run is at it, and let waiting ones follow those that ended."""
    lease = services.store.leases.take(f"poll#{provider}", _LEASE_SECONDS)
    if lease is None:
        return
    minute = Minute(services)
    try:
        left = _poll(provider, lease, minute, services)
    except Exception:
        services.store.leases.end(lease)
        raise
    services.store.leases.end(lease, **left)
    admit_batches(provider, services, minute.has_time)


def _poll(provider: str, lease: Lease, minute: Minute, services: Services) -> dict[str, int | None]:
    """A round; what it leaves for the next one."""
    now, careful = services.now(), Careful(lease, services)
    with guard("poll", job=lease.at_job, unit=lease.at_sk):
        careful.count_death()
    in_flight = list(services.store.providers.in_flight(provider))
    measure(Measure.BATCHES_IN_FLIGHT, provider, len(in_flight))
    overdue_after = services.providers[provider].window_hours * 3_600 + OVERDUE_SECONDS
    plan = plan_poll(in_flight, lease, overdue_after=overdue_after, now=now)
    this = _Round(plan, careful, services, usual=lease.usual)
    try:
        cut_at = this.run(services.apis[provider], minute) if plan.asked else None
    except AccountRefused as error:
        calls_refused(provider, error, services)
        return {"cut_at": this.rest()}  # what lies behind those that were refused is asked for next
    except Transient as error:
        logger.warning("provider not asked for now", provider=provider, reason=str(error))
        return {}
    return {"last": now if cut_at is None else lease.last, "cut_at": cut_at, "usual": this.usual}


class _Round:
    """One look at the batches that are asked for; `usual` is what batches usually take, with those that ended."""

    def __init__(self, plan: PollPlan, careful: Careful, services: Services, *, usual: int) -> None:
        self._plan, self._careful, self._services, self.usual = plan, careful, services, usual
        self._asked = set(plan.asked)  # still
        self._listed_ids: set[str] = set()
        self._unseen = {each.batch_id or "": each for each in plan.turn}
        self._refusals: list[tuple[Due, AccountRefused]] = []
        self._unknown = 0
        self._knows_ours = False  # of any of ours

    def run(self, api: BatchApi, minute: Minute) -> int | None:
        """Ask for all; where to go on (when a batch was submitted) if that takes too many calls or too long.

        Raises:
            AccountRefused: Every batch that was asked for was refused, or several that should be known are not.
        """
        cut_at = self._ask(api, minute)
        if self._refusals and not self._knows_ours:
            raise self._refusals[0][1]
        if self._unknown >= _SEVERAL and not self._knows_ours:
            raise AccountRefused("it knows none of our batches (404): is it another workspace's key, or base_url?")
        for due, _ in self._refusals:  # the account is not, so that these are watched as all are
            with working_on(due.job):
                _live(due, self._plan.overdue_after, self._services)
        return cut_at

    def _ask(self, api: BatchApi, minute: Minute) -> int | None:
        for calls, answers in enumerate(self._calls(api), start=1):
            for due, found in answers:
                self._careful.begin(due)
                with guard("poll", failed=failure_of(due, self._services), job=due.job, unit=due.sk):
                    self._see(due, found)
                if not minute.has_time():
                    return self.rest()
            is_refused = not self._knows_ours and len(self._refusals) + self._unknown >= _SEVERAL
            if is_refused or calls >= MOST_CALLS or not minute.has_time():
                return self.rest()
        return None

    def _calls(self, api: BatchApi) -> Iterator[Sequence[tuple[Due, ProviderBatch | None]]]:
        """Yield each call's answer: a page of the list while pages are worth it, or one batch; None for an unknown."""
        lean = singly = 0
        for place, due in enumerate(self._plan.turn):
            is_listed = due.batch_id in self._listed_ids
            if due.batch_id in self._asked and not is_listed and not singly and len(self._asked) > 1:
                listed = [*self._listed(_page(api, page_before(self._plan.turn, place)))]
                lean = singly = singly_after(len(listed), lean)
                self._knows_ours = self._knows_ours or bool(listed)
                yield listed
            if due.batch_id in self._asked:
                singly = max(singly - 1, 0)
                with working_on(due.job):
                    answers = self._retrieved(api, due)
                yield answers

    def _retrieved(self, api: BatchApi, due: Due) -> list[tuple[Due, ProviderBatch | None]]:
        found: ProviderBatch | None = None
        self._careful.begin(due)
        try:
            with guard("poll", failed=failure_of(due, self._services), stops=_CALL_ERRORS, job=due.job, unit=due.sk):
                found = api.retrieve(due.batch_id or "")
            if found is None:  # it raised what nobody expected, and that is counted
                self._asked.discard(due.batch_id or "")
                return []
        except AccountRefused as error:
            _warn(error, due.batch_id)
            self._refusals.append((due, error))
            self._asked.discard(due.batch_id or "")
            return []
        except Missing as error:
            _warn(error, due.batch_id)
            self._unknown += age_of(due, self._services.now()) > _VISIBLE_SECONDS
        except Refused as error:
            _warn(error, due.batch_id)
        except Transient as error:  # nothing is known of it: it is not overdue for that
            _warn(error, due.batch_id)
            self._asked.discard(due.batch_id or "")
            return []
        self._knows_ours = self._knows_ours or found is not None
        return [(due, found)]

    def _listed(self, page: list[ProviderBatch]) -> Iterator[tuple[Due, ProviderBatch]]:
        """Yield the batches of a page that are asked for, and those of ours that have ended."""
        for each in page:
            due = self._unseen.get(each.id)
            if due is None:
                continue
            self._listed_ids.add(each.id)
            is_believed = each.id in self._asked and each.id not in self._plan.confirmed
            if is_believed or each.ended_as is not None:
                yield due, each

    def _see(self, due: Due, found: ProviderBatch | None) -> None:
        self._asked.discard(due.batch_id or "")
        self._unseen.pop(due.batch_id or "", None)
        if found is None or found.ended_as is None:
            _live(due, self._plan.overdue_after, self._services)
        else:
            _ended(due, found, self._services)
            self.usual = usual_after(self.usual, age_of(due, self._services.now()))

    def rest(self) -> int | None:
        """Return when the first was submitted that is still to be asked for; None when none is."""
        return next((each.submitted_at for each in self._plan.turn if each.batch_id in self._asked), None)


def _page(api: BatchApi, after: str | None) -> list[ProviderBatch]:
    """A page of the list; none where there is no list, or not now: each batch can be asked for itself."""
    try:
        with guard("poll", stops=_CALL_ERRORS, unit=after):
            return api.page(after)
    except _CALL_ERRORS as error:
        _warn(error, after)
    return []


def _warn(error: Exception, asked: str | None) -> None:
    logger.warning("provider did not answer", asked=asked, reason=type(error).__name__)


def _batch(due: Due, services: Services) -> Batch | None:
    """The batch of a due row as it is now.

    Raises:
        NewerRow: It, or its job, is left to newer code.
    """
    services.store.job(due.job)
    return services.store.batch(due.job, due.batch)


def _live(due: Due, overdue_after: int, services: Services) -> None:
    """Watch a batch that has not ended: past the provider's window it is cancelled, and given up at last."""
    overdue = age_of(due, services.now()) - overdue_after
    if overdue < 0:
        return
    batch = _batch(due, services)
    if batch is None or batch.state is not BatchState.IN_FLIGHT or is_held(batch.provider, services):
        return
    if batch.cancel_asked_at is None and overdue < _CANCEL_SECONDS:
        logger.error("batch overdue", batch=batch.id, batch_id=batch.batch_id)
        cancel_at_provider(batch, services)
    elif batch.cancel_asked_at is None or services.now() - batch.cancel_asked_at > STUCK_SECONDS:
        logger.error("batch stuck", batch=batch.id, batch_id=batch.batch_id)
        give_up(batch, services)


def _ended(due: Due, found: ProviderBatch, services: Services) -> None:
    batch = _batch(due, services)
    if batch is None or batch.state is not BatchState.IN_FLIGHT:
        return
    now = services.now()
    try:
        ended = services.store.move(
            batch,
            BatchState.ENDED,
            also=[Release(batch.ledger, batch.cost, *token_sample(batch, found))],
            cost=0,
            ended_as=found.ended_as,
            ended_at=now,
            output_file_id=found.output_file_id,
            error_file_id=found.error_file_id,
            failure_code=found.failures[0].code if found.failures else None,
            counted=found.rows or 0,
            due_at=now + services.settings.lease_seconds,
        )
    except ClaimLost:
        return
    logger.info("batch ended", batch=batch.id, batch_id=found.id, ended_as=found.ended_as)
    services.queues.collect(batch.job, batch.id)
    with guard("completion times", unit=batch.id):  # it says when others will end, and holds nothing up
        count_completion(ended, services.store.providers)
