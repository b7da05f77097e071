"""How requests are put together into batches: by group, and within the provider's limits. Pure."""

import math

import msgspec

from batchdrop.lines import Request
from batchdrop.protocols import anthropic
from batchdrop.protocols.openai import MAX_EMBEDDING_INPUTS
from batchdrop.providers.config import Limits, Protocol, ProviderConfig, Providers

BYTES_PER_TOKEN = 3.5  # an estimate on the safe side for prompts of text; usage that comes back corrects nothing yet
MAX_GROUPS = 100  # open batches, each a file, while a split is planned
_HALVINGS = 5  # down to a thirty-second
_DISTINCT = 100  # different sizes of full batches
_WIRE_BYTES = 120  # our custom_id and the envelope around a body


class Group(msgspec.Struct, frozen=True, kw_only=True):
    """What may share a batch: OpenAI wants one model and one endpoint, Anthropic mixes models.

    `attempt` says how often its requests are sent with this batch, `waits` how often they were sent in vain through no
    fault of theirs (limits, incidents).
    """

    provider: str
    endpoint: str
    model: str | None
    attempt: int = 1
    waits: int = 0


class Bin(msgspec.Struct, kw_only=True):
    """A batch that is being filled. `number` counts the batches of a plan from 0."""

    number: int
    group: Group
    requests: int = 0
    bytes: int = 0
    tokens: int = 0
    inputs: int = 0


class TooManyGroups(Exception):  # noqa: N818 - a finding about a line
    """The file asks for more models and endpoints at once than a plan keeps open."""


def group_of(request: Request, provider: ProviderConfig) -> Group:
    """Whatever endpoint a line asks for, Anthropic's batches hold Messages requests."""
    if provider.protocol is Protocol.ANTHROPIC:
        return Group(provider=request.provider, endpoint=anthropic.ENDPOINT, model=None)
    return Group(provider=request.provider, endpoint=request.endpoint, model=request.wire_model)


def tokens_of(size: int) -> int:
    """The estimated prompt tokens of a body of this many bytes."""
    return math.ceil(size / BYTES_PER_TOKEN)


def ledger_of(group: Group) -> str:
    """The ledger that a batch draws on: OpenAI counts tokens by model, Anthropic requests over all models."""
    return group.provider if group.model is None else f"{group.provider}/{group.model}"


def cost_of(filled: Bin, provider: ProviderConfig) -> int:
    """What a batch takes of its ledger; never more than the whole, so that the largest can still go alone."""
    if provider.protocol is Protocol.ANTHROPIC:
        return min(filled.requests, provider.limits.queued_requests)
    return min(filled.tokens, provider.limits.enqueued_tokens)


def capacity_of(provider: ProviderConfig) -> int:
    """The whole of a ledger, in the units of `cost_of`."""
    is_anthropic = provider.protocol is Protocol.ANTHROPIC
    return provider.limits.queued_requests if is_anthropic else provider.limits.enqueued_tokens


class Packer:
    """Puts each request into the open batch of its group, and opens a new one where it does not fit."""

    def __init__(self, providers: Providers, *, split: int = 0, max_groups: int = MAX_GROUPS) -> None:
        self._providers = providers
        self._max_groups = max_groups
        self._split = split
        self._open: dict[Group, Bin] = {}
        self.count = 0

    def place(self, request: Request) -> tuple[Bin, Bin | None]:
        """The batch for a request, already counting it, and the one that was closed for it, if any.

        Raises:
            TooManyGroups: The request would open one group too many.
        """
        group = group_of(request, self._providers[request.provider])
        return self.fit(group, len(bytes(request.body)), request.inputs)

    def fit(self, group: Group, body_bytes: int, inputs: int) -> tuple[Bin, Bin | None]:
        """The same for a body whose group is known."""
        provider = self._providers[group.provider]
        found = self._open.get(group)
        size = body_bytes + _WIRE_BYTES
        closed = None
        if found is None or not self._fits(found, size, inputs, provider):
            if found is None and len(self._open) >= self._max_groups:
                raise TooManyGroups
            closed, found = found, Bin(number=self.count, group=group)
            self._open[group] = found
            self.count += 1
        found.requests += 1
        found.bytes += size
        found.tokens += tokens_of(size)
        found.inputs += inputs
        return found, closed

    def rest(self) -> list[Bin]:
        """The batches that are still open, in the order of their numbers."""
        return sorted(self._open.values(), key=lambda each: each.number)

    def _fits(self, filled: Bin, size: int, inputs: int, provider: ProviderConfig) -> bool:
        limits: Limits = provider.limits
        is_anthropic = provider.protocol is Protocol.ANTHROPIC
        most = limits.requests_per_batch
        if is_anthropic:
            most = _distinct(min(most, limits.queued_requests), self._split, filled.number)
        return (
            filled.requests < most
            and filled.bytes + size <= limits.bytes_per_batch
            and filled.inputs + inputs <= MAX_EMBEDDING_INPUTS
            and (is_anthropic or filled.tokens + tokens_of(size) <= _tokens(limits, filled.group))
        )


def _tokens(limits: Limits, group: Group) -> int:
    """The tokens of a batch: fewer for those that were refused before, since the real limit may be smaller."""
    return limits.enqueued_tokens >> min(group.waits, _HALVINGS)


def _distinct(most: int, split: int, number: int) -> int:
    """A batch's greatest number of requests: neighbours differ, for a batch in doubt is told from others by it."""
    return most - (split * 17 + number) % _DISTINCT if most > _DISTINCT * 10 else most
