"""The providers' bill, and the requests that were paid twice. Counted when asked, from the indexes."""

from array import array
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import chain, compress, pairwise
from typing import NamedTuple

from provider_simulator import lifecycle
from provider_simulator.answers import body_name
from provider_simulator.engine import Engine, Seen
from provider_simulator.facts import Batch, Json, ProviderName, RealtimeCharge
from provider_simulator.scan import FIELDS, Index

PROVIDERS: tuple[ProviderName, ...] = ("openai", "anthropic")
BODY, REQUEST = 2, 3  # which number of an index entry tells requests apart by body, by body and custom_id
MOST_NAMED = 100  # requests that are named; all are counted


class _Twice(NamedTuple):
    requests: int
    most: int
    keys: set[int]


def charges(engine: Engine) -> Json:
    """Per provider, over all keys.

    `requests`: answered in batches, each a charge; `realtime`: those answered at once, charged at the standard rate.
    `max_charged_per_request` and `charged_more_than_once` tell requests of batches apart by body and `custom_id`;
    `max_charged_per_body` and `bodies_charged_more_than_once` tell all requests apart by body alone, so that they also
    see a request that was sent again under another `custom_id`, or at real time. `live_duplicates` are the `custom_id`s
    that are in two live batches now, `ever_live_duplicates` those (with the same body) whose batches were live at the
    same time once.
    """
    calls = engine.store.calls()
    files = sum(file.exists(engine.now()) for file in engine.store.files())
    every = _every_batch(engine)
    return {
        provider: {
            **_charged(engine, provider, [batch for batch in every if batch.provider == provider]),
            "files": files if provider == "openai" else 0,
            "calls": {name.partition(".")[2]: n for name, n in calls.items() if name.startswith(provider)},
        }
        for provider in PROVIDERS
    }


def charges_by_body(engine: Engine) -> Json:
    """Per provider and body, by its name, how often it was charged in batches and at real time."""
    shown: Json = {}
    for provider in PROVIDERS:
        batches = [batch for batch in _every_batch(engine) if batch.provider == provider]
        in_batches = Counter(_answered_keys(engine, batches, field=BODY))
        at_once = Counter(each.body_key for each in engine.store.realtime(provider))
        shown[provider] = {
            body_name(key): {"batch": in_batches[key], "realtime": at_once[key]}
            for key in sorted(in_batches.keys() | at_once.keys())
        }
    return shown


def _every_batch(engine: Engine) -> list[Batch]:
    return [engine.look(batch.id).batch for batch in engine.store.batches() if batch.created_at <= engine.now()]


def _charged(engine: Engine, provider: ProviderName, batches: list[Batch]) -> Json:
    now = engine.now()
    live = [batch for batch in batches if lifecycle.is_live(batch, now)]
    by_request = _twice(_answered_keys(engine, batches, field=REQUEST))
    at_once = engine.store.realtime(provider)
    by_body = _twice(chain(_answered_keys(engine, batches, field=BODY), (each.body_key for each in at_once)))
    return {
        "requests": sum(batch.outcome.succeeded for batch in batches if batch.outcome),
        "input_tokens": sum(batch.outcome.input_tokens for batch in batches if batch.outcome),
        "output_tokens": sum(batch.outcome.output_tokens for batch in batches if batch.outcome),
        "realtime": _charged_at_once(at_once),
        "batches": len(batches),
        "live_batches": len(live),
        "batches_stored": sum(batch.deleted_at is None for batch in batches),
        "max_charged_per_request": by_request.most,
        "requests_charged_more_than_once": by_request.requests,
        "charged_more_than_once": _names(engine, batches, by_request.keys),
        "max_charged_per_body": by_body.most,
        "bodies_charged_more_than_once": by_body.requests,
        "live_duplicates": _names_in_two(engine, live),
        "ever_live_duplicates": _names(engine, batches, _overlapping(engine, batches)),
    }


def _charged_at_once(charged: list[RealtimeCharge]) -> Json:
    return {
        "requests": len(charged),
        "input_tokens": sum(each.input_tokens for each in charged),
        "output_tokens": sum(each.output_tokens for each in charged),
    }


def _twice(keys: Iterable[int]) -> _Twice:
    """Return how often keys repeat; sorting keeps a million of them small."""
    ordered = sorted(keys)
    repeated = {key for key, following in pairwise(ordered) if key == following}
    times = Counter(key for key in ordered if key in repeated) if repeated else Counter(ordered[:1])
    return _Twice(len(repeated), max(times.values(), default=0), repeated)


def _keys(engine: Engine, batch: Batch, field: int) -> "array[int]":
    return Index.read(engine.store.batch_folder(batch.id)).numbers[field::FIELDS]


def _answered_keys(engine: Engine, batches: list[Batch], field: int) -> "array[int]":
    keys = array("Q")
    for batch in batches:
        if batch.outcome:
            answered = (engine.store.batch_folder(batch.id) / "answered").read_bytes()
            keys.extend(compress(_keys(engine, batch, field), answered))
    return keys


def _overlapping(engine: Engine, batches: list[Batch]) -> set[int]:
    """Requests in two batches of which one began before the other ended."""
    valid = [batch for batch in batches if batch.scan and not batch.scan.errors]
    repeated = _twice(chain.from_iterable(_keys(engine, batch, REQUEST) for batch in valid)).keys
    if not repeated:
        return set()
    lives: dict[int, list[tuple[float, float]]] = {}
    for batch in valid:
        for key in repeated.intersection(_keys(engine, batch, REQUEST)):
            lives.setdefault(key, []).append((batch.created_at, lifecycle.ends_at(batch)))
    return {key for key, spans in lives.items() if _overlap(sorted(spans))}


def _overlap(spans: list[tuple[float, float]]) -> bool:
    return any(later[0] < earlier[1] for earlier, later in pairwise(spans))


def _custom_ids(engine: Engine, batch: Batch) -> list[str]:
    path = engine.store.batch_folder(batch.id) / "custom_ids"
    return [line[1:-1] for line in path.read_text().splitlines()] if path.exists() else []


def _names(engine: Engine, batches: list[Batch], keys: set[int]) -> list[str]:
    """The `custom_id`s of these requests."""
    return sorted(set(_named(engine, batches, keys)))[:MOST_NAMED] if keys else []


def _named(engine: Engine, batches: list[Batch], keys: set[int]) -> Iterator[str]:
    for batch in batches:
        for key, name in zip(_keys(engine, batch, REQUEST), _custom_ids(engine, batch), strict=True):
            if key in keys:
                yield name


def _names_in_two(engine: Engine, live: list[Batch]) -> list[str]:
    seen: set[str] = set()
    twice: set[str] = set()
    for batch in live:
        names = set(_custom_ids(engine, batch))
        twice |= seen & names
        seen |= names
    return sorted(twice)[:MOST_NAMED]


def batches(engine: Engine) -> list[Json]:
    now = engine.now()
    shown = []
    for known in engine.store.batches():
        arrived = known.created_at <= now
        seen = engine.look(known.id) if arrived else Seen(known, now)
        batch = seen.batch
        shown.append(
            {
                "id": batch.id,
                "provider": batch.provider,
                "organization": batch.org,
                "endpoint": batch.endpoint,
                "status": seen.phase.value if arrived else "arriving",
                "created_at": batch.created_at,
                "requests": batch.total,
                "answered": batch.outcome.succeeded if batch.outcome else 0,
                "errors": [error.code for error in batch.scan.errors] if batch.scan else [],
                "deleted": batch.deleted_at is not None,
                "metadata": batch.metadata,
            }
        )
    return shown
