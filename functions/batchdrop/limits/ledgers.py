"""Ledgers: estimates a batch's cost against its provider's limit, and the limit itself. Pure.

OpenAI counts the prompt tokens of unfinished batches, for each model; Anthropic counts requests, over all models.
"""

import math

from batchdrop.providers.config import ProviderConfig, endpoints_of
from batchdrop.providers.interface import ProviderBatch
from batchdrop.records import Batch, Ledger, Protocol

LEARNED_SECONDS = 86_400  # how long a limit that a refusal stated is believed
_PRIOR = 1_000_000  # tokens: how much must have come back before it outweighs the estimate
_MOST = 4  # times: a correction is never greater, nor less than its inverse
_LEAST_HALF = 500_000  # bytes: where a smaller batch is refused for its size, it is another matter
_HALVINGS = 5  # down to a thirty-second


def estimate_of(protocol: Protocol, *, requests: int, tokens: int) -> int:
    """Return a batch's estimated tokens, before their real count is known."""
    return requests if protocol is Protocol.ANTHROPIC else tokens


def cost_of(estimate: int, ledger: Ledger) -> int:
    """The estimate, corrected by how the provider counted what came back."""
    used, estimated = _correction(ledger)
    return -(-estimate * used // estimated)


def max_estimate_within(limit: int, ledger: Ledger) -> int:
    """The greatest estimate whose cost is within the limit."""
    used, estimated = _correction(ledger)
    return limit * estimated // used


def share_of(limit: int, waits: int) -> int:
    """Return the share of a limit for one batch: halved for each uncharged attempt, as it may be too high."""
    return max(limit >> min(waits, _HALVINGS), 1)


def _correction(ledger: Ledger) -> tuple[int, int]:
    """So many tokens for so many estimated ones."""
    used, estimated = ledger.used + _PRIOR, ledger.estimated + _PRIOR
    return min(max(used, -(-estimated // _MOST)), estimated * _MOST), estimated


def token_sample(batch: Batch, found: ProviderBatch) -> tuple[int, int]:
    """An ended batch's tokens, as estimated and as used; 0 where the provider does not say, or not of all of it."""
    return (batch.tokens, found.input_tokens) if found.input_tokens else (0, 0)


def limit_of(provider: ProviderConfig, ledger: Ledger, now: int) -> int:
    """The whole of a ledger: what is configured, or less, where a recent refusal said so."""
    limits = provider.limits
    configured = limits.queued_requests if provider.protocol is Protocol.ANTHROPIC else limits.enqueued_tokens
    if ledger.learned is None or ledger.learned_until <= now:
        return configured
    return min(configured, ledger.learned)


def batch_allowance(batch: Batch, provider: ProviderConfig, ledger: Ledger, now: int) -> int:
    """Return the largest share of a ledger for a batch; a larger batch is replaced by smaller ones."""
    limit = limit_of(provider, ledger, now)
    return limit if provider.protocol is Protocol.ANTHROPIC else share_of(limit, batch.waits)


def is_too_large(batch: Batch, provider: ProviderConfig, ledger: Ledger, now: int) -> bool:
    """Return whether a batch is replaced by smaller ones; a single request may go alone, whatever its size."""
    most_requests, most_bytes = sizes_of(ledger, now)
    return batch.requests > 1 and (
        cost_of(batch.cost, ledger) > batch_allowance(batch, provider, ledger, now)
        or batch.requests > most_requests
        or batch.bytes > most_bytes
    )


def is_refused(batch: Batch, provider: ProviderConfig, ledger: Ledger, now: int) -> bool:
    """Return whether the provider said lately that it does not take the batch's model in batches.

    What `endpoints` in `providers.toml` says of the model is believed instead.
    """
    return (
        ledger.refused_until > now
        and ledger.refused_at_endpoint == batch.endpoint
        and batch.endpoint not in endpoints_of(batch.model or "", provider)
    )


def is_never_admitted(batch: Batch, provider: ProviderConfig, ledger: Ledger, now: int) -> bool:
    """Return whether a batch is ended, or replaced by smaller ones, instead of being admitted."""
    return is_refused(batch, provider, ledger, now) or is_too_large(batch, provider, ledger, now)


def sizes_of(ledger: Ledger, now: int) -> tuple[float, float]:
    """The requests and the bytes that one batch may hold, as far as recent refusals said; infinite otherwise."""
    if ledger.sizes_until <= now:
        return math.inf, math.inf
    return ledger.most_requests or math.inf, ledger.most_bytes or math.inf


def learned_sizes(batch: Batch, limit: int | None) -> dict[str, int]:
    """Return the limits that a refusal for size teaches: the number that it stated, or half of its bytes.

    Args:
        batch: It was refused.
        limit: How many requests a batch may hold, if the refusal said so.
    """
    if limit is not None and limit < batch.requests:
        return {"most_requests": limit}
    half = -(-batch.bytes // 2)
    return {"most_bytes": half} if limit is None and half >= _LEAST_HALF else {}
