"""Poll: which of a provider's batches have ended? One round at a time, in as few calls as can be."""

from collections.abc import Callable, Iterator, Sequence

from aws_lambda_powertools import Logger

from batchdrop.admit import admit_batches
from batchdrop.cancel import cancel_at_provider, give_up
from batchdrop.errors import AccountRefused, NotMyTurn, Refused, Transient
from batchdrop.ledgers import came_back
from batchdrop.pauses import account_refused
from batchdrop.polling import in_turn, is_asked, page_before, singly_after, usual_after
from batchdrop.providers.api import BatchApi, Missing, ProviderBatch
from batchdrop.services import Services
from batchdrop.states import BatchState
from batchdrop.store import Due, Lease
from batchdrop.turns import Minute
from batchdrop.writes import Release

logger = Logger(child=True)

MOST_CALLS = 200  # of the provider in a round; the next round goes on from there
OVERDUE_SECONDS = 26 * 3_600  # both providers end a batch within 24 hours, and two more are patience
STUCK_SECONDS = 2 * 3_600  # a cancel takes ten minutes at most (OpenAI's documentation)
_CANCEL_SECONDS = 3 * 86_400  # how long a provider that takes no cancel is asked for one
_LEASE_SECONDS = 120  # longer than the function's time limit


def poll_provider(provider: str, services: Services) -> None:
    """Ask a provider for its batches, unless another run is at it, and let waiting ones follow those that ended."""
    lease = services.store.lease(f"poll#{provider}", _LEASE_SECONDS)
    if lease is None:
        return
    minute = Minute(services)
    left: dict[str, int | None] = {}
    try:
        left = _poll(provider, lease, minute, services)
    finally:
        services.store.end_lease(lease, **left)
    admit_batches(provider, services, minute.has_time)


def _poll(provider: str, lease: Lease, minute: Minute, services: Services) -> dict[str, int | None]:
    """A round; what it leaves for the next one."""
    now = services.now()
    turn = in_turn(list(services.store.in_flight(provider)), lease.cut_at)
    asked = {
        each.batch_id for each in turn if each.batch_id and is_asked(_age(each, now), now, lease.last, lease.usual)
    }
    this = _Round(turn, asked, lease.usual, services)
    try:
        cut_at = this.run(services.apis[provider], minute) if asked else None
    except AccountRefused as error:
        account_refused(provider, error, services)
        return {}
    except Transient as error:
        logger.warning("provider not asked for now", provider=provider, reason=str(error))
        return {}
    return {"last": now if cut_at is None else lease.last, "cut_at": cut_at, "usual": this.usual}


def _age(due: Due, now: int) -> int:
    return now - (due.submitted_at or now)


class _Round:
    """One look at the batches that are asked for. `usual` is what batches usually take, with those that ended."""

    def __init__(self, turn: list[Due], asked: set[str], usual: int, services: Services) -> None:
        self._turn, self._asked, self.usual, self._services = turn, asked, usual, services
        self._unseen = {each.batch_id or "": each for each in turn}

    def run(self, api: BatchApi, minute: Minute) -> int | None:
        """Ask for all; where to go on (when a batch was submitted) if that takes too many calls or too long."""
        for calls, told in enumerate(self._calls(api), start=1):
            for due, found in told:
                self._see(due, found)
                if not minute.has_time():
                    return self._rest()
            if calls >= MOST_CALLS:
                return self._rest()
        return None

    def _calls(self, api: BatchApi) -> Iterator[Sequence[tuple[Due, ProviderBatch | None]]]:
        """What each call told: a page of the list while pages are worth it, or one batch; None for one not told."""
        lean = singly = 0
        for place, due in enumerate(self._turn):
            if due.batch_id in self._asked and not singly and len(self._asked) > 1:
                listed = [*self._listed(_told(api.page, page_before(self._turn, place)) or [])]
                lean = singly = singly_after(len(listed), lean)
                yield listed
            if due.batch_id in self._asked:
                singly = max(singly - 1, 0)
                yield [(due, _told(api.retrieve, due.batch_id))]

    def _listed(self, page: list[ProviderBatch]) -> Iterator[tuple[Due, ProviderBatch]]:
        """Those of a page that are asked for, and those of ours that turn out to have ended."""
        for each in page:
            due = self._unseen.get(each.id)
            if due is not None and (each.id in self._asked or each.ended_as is not None):
                yield due, each

    def _see(self, due: Due, found: ProviderBatch | None) -> None:
        self._asked.discard(due.batch_id or "")
        self._unseen.pop(due.batch_id or "", None)
        if found is None or found.ended_as is None:
            _live(due, self._services)
        else:
            _ended(due, found, self._services)
            self.usual = usual_after(self.usual, _age(due, self._services.now()))

    def _rest(self) -> int | None:
        return next((each.submitted_at for each in self._turn if each.batch_id in self._asked), None)


def _told[P, T](call: Callable[[P], T], asked: P) -> T | None:
    """What a call told; None when the provider does not tell now."""
    try:
        return call(asked)
    except (Missing, Refused, Transient) as error:
        logger.warning("provider did not tell", call=call.__name__, asked=asked, reason=type(error).__name__)
        return None


def _live(due: Due, services: Services) -> None:
    """Watch a batch that has not ended: past the provider's window it is cancelled, and given up at last."""
    overdue = services.now() - (due.submitted_at or services.now()) - OVERDUE_SECONDS
    if overdue < 0:
        return
    batch = services.store.batch(due.job, due.batch)
    if batch is None or batch.state is not BatchState.IN_FLIGHT:
        return
    if batch.cancel_asked_at is None and overdue < _CANCEL_SECONDS:
        logger.error("batch overdue", job=batch.job, batch=batch.id, batch_id=batch.batch_id)
        cancel_at_provider(batch, services)
    elif batch.cancel_asked_at is None or services.now() - batch.cancel_asked_at > STUCK_SECONDS:
        logger.error("batch stuck", job=batch.job, batch=batch.id, batch_id=batch.batch_id)
        give_up(batch, services)


def _ended(due: Due, found: ProviderBatch, services: Services) -> None:
    batch = services.store.batch(due.job, due.batch)
    if batch is None or batch.state is not BatchState.IN_FLIGHT:
        return
    now = services.now()
    try:
        services.store.move(
            batch,
            BatchState.ENDED,
            also=[Release(batch.ledger, batch.cost, **came_back(batch, found))],
            cost=0,
            ended_as=found.ended_as,
            ended_at=now,
            output_file_id=found.output_file_id,
            error_file_id=found.error_file_id,
            failure_code=found.failures[0].code if found.failures else None,
            due_at=now + services.settings.lease_seconds,
        )
    except NotMyTurn:
        return
    logger.info("batch ended", job=batch.job, batch=batch.id, batch_id=found.id, ended_as=found.ended_as)
    services.queues.collect(batch.job, batch.id)
