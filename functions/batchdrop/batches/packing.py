"""Packs requests into batches, by group and within the provider's limits. Pure."""

import math
from collections.abc import Iterator, Mapping

import msgspec

from batchdrop.inputs.request_lines import Request
from batchdrop.limits.ledgers import share_of
from batchdrop.protocols import anthropic
from batchdrop.protocols.openai import EDITS, IMAGES, MAX_EMBEDDING_INPUTS
from batchdrop.protocols.token_estimates import NO_MEDIA, Media, tokens_of, tokens_of_each
from batchdrop.providers.config import ProviderConfig, Providers
from batchdrop.providers.limits import Limits
from batchdrop.records import Batch, JobSettings, Protocol

MAX_ROUTES = 100  # of a split: each is an open batch, a file, while it is planned, and a line of the manifest
_DISTINCT = 100  # different sizes of full batches
_WIRE_BYTES = 120  # our custom_id and the envelope around a body
_MOST_FOR_PICTURES = 1_000  # requests: with ten pictures of 6 MB each their results are 60 GB, a run of collect


class Group(msgspec.Struct, frozen=True, kw_only=True, cache_hash=True):
    """The key by which requests share a batch: OpenAI wants one model and one endpoint, Anthropic mixes models.

    `attempt` counts how often its requests are sent with it, `waits` how often they were sent uncharged through no
    fault of theirs (limits, incidents). The API version and the betas are Anthropic's: one header for a whole batch.
    `is_fallback` and `stays` are as `Batch` has them.
    `has_schema` says that they ask for the job's output schema, which their answers are held against.
    """

    provider: str
    endpoint: str
    model: str | None
    attempt: int = 1
    waits: int = 0
    api_version: str | None = None
    betas: tuple[str, ...] = ()
    is_fallback: bool = False
    stays: bool = False
    has_schema: bool = False


class Bin(msgspec.Struct, kw_only=True):
    """A batch that is being filled. `number` counts the batches of a plan from 0."""

    number: int
    group: Group
    requests: int = 0
    bytes: int = 0
    tokens: int = 0
    inputs: int = 0


class Load(msgspec.Struct, frozen=True, kw_only=True):
    """The share of a batch that several requests take."""

    requests: int
    bytes: int
    tokens: int
    inputs: int


class Room(msgspec.Struct, frozen=True, kw_only=True):
    """The room left in a batch; infinite where that is not limited."""

    requests: int
    bytes: float
    tokens: float


class TooManyGroups(Exception):  # noqa: N818 - a finding about a line
    """The file asks for more models and endpoints in one split than are kept apart."""


class Routes:
    """The models (as written) and endpoints of a job's split, numbered as they come, and the group of each."""

    def __init__(self, providers: Providers, settings: JobSettings) -> None:
        self._providers = providers
        self._settings = settings
        self._found: dict[tuple[str, str, str], tuple[int, Group]] = {}
        self._with_schema: dict[Group, Group] = {}

    def of(self, request: Request) -> tuple[int, Group]:
        """The number and the group of a request.

        Raises:
            TooManyGroups: It would be one route too many.
        """
        key = (request.provider, request.model, request.endpoint)
        found = self._found.get(key)
        if found is None:
            if len(self._found) == MAX_ROUTES:
                raise TooManyGroups
            group = group_of(request, self._providers[request.provider], self._settings)
            found = self._found[key] = (len(self._found), group)
            self._with_schema[group] = msgspec.structs.replace(group, has_schema=True)
        return (found[0], self._with_schema[found[1]]) if request.has_schema else found

    def __len__(self) -> int:
        return len(self._found)

    def __iter__(self) -> Iterator[tuple[str, str, str]]:
        """Provider, model and endpoint of each, in the order of their numbers."""
        return iter(self._found)


def group_of(request: Request, provider: ProviderConfig, settings: JobSettings) -> Group:
    """Whatever endpoint a line asks for, Anthropic's batches hold Messages requests."""
    if provider.protocol is not Protocol.ANTHROPIC:
        return Group(provider=request.provider, endpoint=request.endpoint, model=request.wire_model)
    return Group(
        provider=request.provider,
        endpoint=anthropic.ENDPOINT,
        model=None,
        api_version=settings.anthropic_version or provider.api_version or anthropic.DEFAULT_VERSION,
        betas=settings.betas or provider.betas,
    )


def group_again(batch: Batch, *, attempts: int = 0, waits: int = 0, stays: bool = False) -> Group:
    """The group of a batch's requests in another batch, with so many attempts and waits more.

    What the configuration says by now changes nothing for them.
    """
    return Group(
        provider=batch.provider,
        endpoint=batch.endpoint,
        model=batch.model,
        attempt=batch.attempt + attempts,
        waits=batch.waits + waits,
        api_version=batch.api_version,
        betas=batch.betas,
        is_fallback=batch.is_fallback,
        stays=batch.stays or stays,
        has_schema=batch.has_schema,
    )


def ledger_of(group: Group) -> str:
    """The ledger that a batch draws on: OpenAI counts tokens by model, Anthropic requests over all models."""
    return group.provider if group.model is None else f"{group.provider}/{group.model}"


class Packer:
    """Puts each request into the open batch of its group, and opens a new one where it does not fit.

    Args:
        providers: Whose limits a batch keeps.
        split: Whose lines they are.
        room: What a batch may hold, instead of these limits.
    """

    def __init__(self, providers: Providers, *, split: int = 0, room: Room | None = None) -> None:
        self._providers = providers
        self._split = split
        self._room = room
        self._open: dict[Group, tuple[Bin, Room]] = {}
        self.count = 0

    def fit(self, group: Group, body_bytes: int, inputs: int, media: Media = NO_MEDIA) -> tuple[Bin, Bin | None]:
        """The batch for a request, already counting it, and the one that was closed for it, if any."""
        size = body_bytes + _WIRE_BYTES
        tokens = tokens_of(size - media.bytes) + media.tokens
        filled, room = self._open.get(group) or self._begin(group)
        closed = None
        if filled.requests and not (
            filled.requests < room.requests
            and filled.bytes + size <= room.bytes
            and filled.tokens + tokens <= room.tokens
            and filled.inputs + inputs <= MAX_EMBEDDING_INPUTS
        ):
            closed, (filled, _) = filled, self._begin(group)
        filled.requests += 1
        filled.bytes += size
        filled.tokens += tokens
        filled.inputs += inputs
        return filled, closed

    def fit_all(self, loads: Mapping[Group, Load]) -> dict[Group, Bin] | None:
        """The open batch of each group, already counting all its load: as if its requests were fitted one by one.

        None where one of the groups has no open batch with room for its whole load; nothing is counted then.
        """
        found = {}
        for group, load in loads.items():
            filled, room = self._open.get(group, (None, None))
            if filled is None or room is None or not _has_room(filled, room, load):
                return None
            found[group] = filled
        for group, filled in found.items():
            load = loads[group]
            filled.requests += load.requests
            filled.bytes += load.bytes
            filled.tokens += load.tokens
            filled.inputs += load.inputs
        return found

    def rest(self) -> list[Bin]:
        """The batches that are still open, in the order of their numbers."""
        return sorted((filled for filled, _ in self._open.values()), key=lambda each: each.number)

    def _begin(self, group: Group) -> tuple[Bin, Room]:
        begun = self._open[group] = Bin(number=self.count, group=group), self._room or self._room_of(group)
        self.count += 1
        return begun

    def _room_of(self, group: Group) -> Room:
        limits: Limits = self._providers[group.provider].limits
        requests, tokens = limits.requests_per_batch, float(_tokens(limits, group))
        if self._providers[group.provider].protocol is Protocol.ANTHROPIC:
            requests = _distinct(min(requests, limits.queued_requests), self._split, self.count)
            tokens = math.inf
        if group.endpoint in {IMAGES, EDITS}:
            requests = min(requests, _MOST_FOR_PICTURES)
        return Room(requests=requests, bytes=limits.bytes_per_batch, tokens=tokens)


def load_of(sizes: list[int], inputs: int) -> Load:
    """The load of requests without media, by the bytes of their bodies; each embeds so many inputs."""
    count = len(sizes)
    return Load(
        requests=count,
        bytes=sum(sizes) + count * _WIRE_BYTES,
        tokens=sum(tokens_of_each([size + _WIRE_BYTES for size in sizes])),
        inputs=count * inputs,
    )


def _has_room(filled: Bin, room: Room, load: Load) -> bool:
    return bool(filled.requests) and (
        filled.requests + load.requests <= room.requests
        and filled.bytes + load.bytes <= room.bytes
        and filled.tokens + load.tokens <= room.tokens
        and filled.inputs + load.inputs <= MAX_EMBEDDING_INPUTS
    )


def _tokens(limits: Limits, group: Group) -> int:
    """The tokens of a batch: fewer for those that were refused before, since the real limit may be smaller."""
    return share_of(limits.enqueued_tokens, group.waits)


def _distinct(most: int, split: int, number: int) -> int:
    """A batch's greatest number of requests: neighbours differ, so that a batch in doubt is found by it."""
    return most - (split * 17 + number) % _DISTINCT if most > _DISTINCT * 10 else most
