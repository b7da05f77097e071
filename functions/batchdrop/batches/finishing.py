"""Has what batches have not answered by the last safe moment called at real time, within the budgets."""

from collections.abc import Iterable, Sequence
from decimal import Decimal

from aws_lambda_powertools import Logger

from batchdrop.aws.optimistic import until_unchanged
from batchdrop.aws.provider_items import Release
from batchdrop.aws.row_versions import FINISHING
from batchdrop.aws.table_items import Write
from batchdrop.batches.job_quote import JobQuote, high_of_batch, may_hold, read_quote
from batchdrop.batches.restored_batches import take_sent
from batchdrop.batches.rows import LOST_TICKS
from batchdrop.batches.transitions import cancel_at_provider
from batchdrop.deadlines import next_deadline
from batchdrop.dollars import micros_of
from batchdrop.inputs.fallbacks import fallback_of
from batchdrop.inputs.quotes import resends_of
from batchdrop.limits.budgets import Budgets, has_budget, raise_reservation, why_over
from batchdrop.limits.drop_settings import budgets_now
from batchdrop.limits.last_safe_moment import left_of, may_be_called
from batchdrop.limits.restore_hold import is_held
from batchdrop.providers.price_list import never_failing, settled_prices
from batchdrop.rates import ModelPrices, PriceList, Rates
from batchdrop.records import Batch, Job
from batchdrop.row_changes import JobChanges
from batchdrop.services import Services
from batchdrop.states import BatchState, JobState

logger = Logger(child=True)


def begin_finishing(job: Job, batches: Sequence[Batch], services: Services) -> Job:
    """Have the rest of a running job called, if its budgets allow that; return the job as it is then.

    Raises:
        ClaimLost: Another moved it.
    """
    budgets = budgets_now(job, services) if has_budget(job) else Budgets()
    most = _most_with_calls(job, batches, services)

    def decide() -> Job:
        """Reserve in the same transaction: two jobs that both fit, but not together, never both get the last of it."""
        now = services.now()
        why = None if job.is_approved else _why_over(job, budgets, most, services)
        if why is not None:
            logger.warning("deadline not kept for a budget", most_micros=most)
            return services.store.release(job, next_deadline(job), late_reason=why)
        also, noted = _reservation(job, budgets, most, services)
        begun: JobChanges = {**noted, "version": FINISHING, "finishing_at": now, "due_at": now}
        return services.store.move(job, JobState.RUNNING, also=also, **begun)

    begun = until_unchanged(decide)
    if begun.finishing_at is not None:
        logger.info("job is finished at real time", batches=sum(map(may_be_called, batches)))
    return begun


def take_to_real_time(job: Job, batch: Batch, services: Services) -> list[Batch]:
    """Take a batch of a finishing job from its provider's queue; return it where its requests are to be called now.

    One that runs is cancelled where a further round calls what it leaves: not once a unit was given up.

    Raises:
        ClaimLost: Another moved it first: the next look tells.
    """
    if not may_be_called(batch) or batch.is_realtime or is_held(batch.provider, services):
        return []
    if batch.state in {BatchState.WAITING, BatchState.ADMITTED} and take_sent(batch, services):
        return []
    match batch.state:
        case BatchState.WAITING:
            return [_convert(batch, [], services)]
        case BatchState.ADMITTED if batch.claimed_until <= services.now():
            return [_convert(batch, [Release(batch.ledger, batch.cost)], services)]
        case BatchState.IN_FLIGHT if batch.cancel_asked_at is None and job.outcome is None:
            cancel_at_provider(batch, services)
    return []


def _convert(batch: Batch, also: list[Write], services: Services) -> Batch:
    """Make a batch that was never created real-time: an upload that it has is nobody's now, and is deleted as such."""
    due_at = services.now() + LOST_TICKS * services.settings.tick_seconds
    return services.store.move(
        batch, BatchState.ADMITTED, also=also, is_realtime=True, cost=0, input_file_id=None, due_at=due_at, failures=0
    )


def _why_over(job: Job, budgets: Budgets, most: int | None, services: Services) -> str | None:
    ledger = None if budgets.monthly_usd is None else job.budget_ledger
    committed = 0 if ledger is None else services.store.budgets.ledger(ledger).committed
    why = why_over(most, budgets, ledger, committed - job.reserved_micros)
    return why and f"Nothing was called at real time: with its rest at real-time prices, {_lowered(why)}"


def _lowered(words: str) -> str:
    return words[0].lower() + words[1:]


def _reservation(job: Job, budgets: Budgets, most: int | None, services: Services) -> tuple[list[Write], JobChanges]:
    """Return the writes and the row changes that reserve money; none where the sum is not known."""
    if most is None:
        return [], {}
    taken, noted = raise_reservation(job, budgets, most, services)
    return taken, {**noted, "most_micros": most}


def _most_with_calls(job: Job, batches: Iterable[Batch], services: Services) -> int | None:
    """Return a budgeted job's highest cost with every remaining request called once, in millionths of a dollar.

    None where that is unknown; as often as their answers may not fit an output schema. A call whose reply is lost may
    be charged, and its request is called again: that is no part of it.
    """
    if job.most_micros is None:
        return None
    quote, prices = read_quote(job, services.files), never_failing(settled_prices(services.providers))
    extras = [_extra_of(each, job, quote, prices) for each in left_of(batches)]
    known = [each for each in extras if each is not None]
    return job.most_micros + micros_of(sum(known, Decimal(0))) if len(known) == len(extras) else None


def _extra_of(batch: Batch, job: Job, quote: JobQuote | None, prices: PriceList) -> Decimal | None:
    """US dollars that the requests of a batch cost more at most by calls of their own, at either model, than in it."""
    resends = resends_of(job.settings, has_schema=batch.has_schema, attempt=batch.attempt)
    high, fallback = high_of_batch(batch, quote, resends), fallback_of(job.settings)
    routes = [] if quote is None else [each for each in quote.routes if may_hold(batch, each)]
    others = [] if fallback is None else [(fallback.provider, fallback.model)]
    found = [prices(*each) for each in [*((route.provider, route.model) for route in routes), *others]]
    shares = [_uplift(each) for each in found if each is not None]
    return None if high is None or not shares or len(shares) < len(found) else high * max(shares)


def _uplift(prices: ModelPrices) -> Decimal:
    """Return the extra price of a call over the same request in a batch, as a share of that, at its dearest rate."""
    pairs = ((prices.batch, prices.realtime), (prices.long_batch, prices.long_realtime))
    shares = [_share(batch, realtime) for batch, realtime in pairs if batch is not None and realtime is not None]
    return max(shares, default=Decimal(0))  # where no batch price is known, the quote's is what real time costs


def _share(batch: Rates, realtime: Rates) -> Decimal:
    names = [name for name in Rates.__struct_fields__ if getattr(batch, name)]
    return max((getattr(realtime, name) / getattr(batch, name) - 1 for name in names), default=Decimal(0))
