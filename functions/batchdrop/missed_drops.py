"""Missed drops: lists `input/` periodically and sends each version without a job to intake, as its event would.

An event is missing where the bucket is new (its events begin about five minutes after they are turned on:
https://docs.aws.amazon.com/AmazonS3/latest/userguide/enable-event-notifications-eventbridge.html), where somebody
deleted the rule, and where a cloud on one machine was killed. What is found goes to intake as S3's own event would, so
that an event that comes after all finds the same job.

Nothing that had a job is taken again: a version's own row lives for months (`ROWS_LIVE`), and stays when the job is
forgotten. Where such rows may be missing, nothing is taken: of what is older than the table, which may be a restored
one, than this deployment, or than `_LOOKBACK_SECONDS`.
"""

from collections.abc import Callable, Iterator
from itertools import batched

from aws_lambda_powertools import Logger

from batchdrop.aws import keys
from batchdrop.aws.bucket import Version
from batchdrop.aws.keys import is_job
from batchdrop.aws.leases import Listing
from batchdrop.services import Services

logger = Logger(child=True)

_ROUND_TICKS = 15  # between the beginnings of two rounds: a quarter of an hour, and seconds on one machine
_REST = 10  # a round that takes long, in a large bucket, is followed by a rest so many times as long
_LOOKBACK_SECONDS = 14 * 86_400  # seconds: as long as SQS keeps an event; a version's row lives for 90 days at least
_OVERLAP = 86_400  # seconds before the round before; an upload in parts bears the time at which it began
_DEPLOYING = 900  # seconds in which a stack was still being deployed when its first sweep ran
_YOUNG_TICKS = 2  # what was dropped since is left to its event
_RUN_SECONDS = 5  # of sweep's minute
_RUN_VERSIONS = 20_000  # twenty pages of S3's
_SENT_AT_ONCE = 10


def send_missed_drops(services: Services, has_time: Callable[[], bool] = lambda: True) -> int:
    """Begin a round, or go on with the one under way; how many versions were sent to intake.

    A run is bounded by time and number; the next one goes on behind the last key that this one looked at.
    """
    now = services.now()
    listing = services.store.leases.listing(services.settings.deployment)
    if listing.round_at is None:
        if listing.next_at > now:
            return 0
        listing = services.store.leases.save_listing(listing, **_beginning(listing, services))
    run = _Run(listing, services)
    sent = _send(run, services, has_time)
    services.store.leases.save_listing(listing, **run.left())
    return sent


def _send(run: "_Run", services: Services, has_time: Callable[[], bool]) -> int:
    until, sent = services.now() + _RUN_SECONDS, 0
    found = run.missed(lambda: has_time() and services.now() < until)
    for some in batched(found, _SENT_AT_ONCE, strict=False):
        services.queues.intake_all(some)
        sent += len(some)
    if sent:
        logger.warning("dropped files found that no event reported", files=sent)
    return sent


def list_once(name: str, oldest: int, services: Services, has_time: Callable[[], bool]) -> bool:
    """Go on with a single round over what was dropped since, in a table that may know none of it; whether it is over.

    Args:
        name: The round's own.
        oldest: What was dropped before (seconds since 1970) is left alone.
        services: The services.
        has_time: Whether this run may go on.
    """
    listing = services.store.leases.listing(name)
    if listing.last_at:
        return True
    if listing.round_at is None:
        listing = services.store.leases.save_listing(listing, round_at=services.now(), oldest=oldest, after="")
    run = _Run(listing, services, takes_repetitions=True)
    _send(run, services, has_time)
    return bool(services.store.leases.save_listing(listing, **run.left()).last_at)


def oldest_taken(listing: Listing, *, table_at: int, now: int) -> int:
    """Return the oldest time of a drop to take: an older one may have had a job that is not known here. Pure."""
    return max(table_at, listing.begun_at - _DEPLOYING, listing.last_at - _OVERLAP, now - _LOOKBACK_SECONDS)


def _beginning(listing: Listing, services: Services) -> dict[str, int | str]:
    now = services.now()
    begun_at = listing.begun_at or now
    first = Listing(name=listing.name, begun_at=begun_at, last_at=listing.last_at)
    oldest = oldest_taken(first, table_at=services.store.table_created_at(), now=now)
    return {"begun_at": begun_at, "round_at": now, "oldest": oldest, "after": ""}


class _Run:
    """One run over the versions behind a key: which have no job, and where the next run goes on."""

    def __init__(self, listing: Listing, services: Services, *, takes_repetitions: bool = False) -> None:
        self._listing, self._services, self._takes_repetitions = listing, services, takes_repetitions
        self._newest = services.now() - _YOUNG_TICKS * services.settings.tick_seconds
        self._after = listing.after
        self._is_whole = False

    def missed(self, has_time: Callable[[], bool]) -> Iterator[Version]:
        """The versions that no job was made of; the rest of a key that takes a whole run alone is passed over."""
        newer: Version | None = None
        for number, version in enumerate(self._services.files.versions(keys.INPUT, after=self._listing.after)):
            if newer is not None and newer.key != version.key:
                self._after = newer.key
            if number >= _RUN_VERSIONS or not has_time():
                if self._after == self._listing.after and newer is not None:
                    self._after = newer.key
                return
            if self._is_missed(version, newer):
                yield version
            newer = version
        self._is_whole = True

    def _is_missed(self, version: Version, newer: Version | None) -> bool:
        is_old_or_young = not self._listing.oldest <= version.last_modified <= self._newest
        if version.is_deleted or is_old_or_young or not is_job(version.key):
            return False
        if self._takes_repetitions:
            return not self._is_known(version)
        if newer is not None and (newer.key, newer.etag, newer.bytes) == (version.key, version.etag, version.bytes):
            return False  # dropped once more, perhaps because nothing happened
        return not self._is_known(version)

    def _is_known(self, version: Version) -> bool:
        digest = keys.version_digest(self._services.files.bucket, version.key, version.version_id)
        return self._services.store.is_known_version(digest)

    def left(self) -> dict[str, int | str | None]:
        """Return the notes for the next run."""
        if not self._is_whole:
            return {"after": self._after}
        began, now = self._listing.round_at or 0, self._services.now()
        rest = max(began + _ROUND_TICKS * self._services.settings.tick_seconds, now + _REST * (now - began))
        return {"round_at": None, "last_at": began, "next_at": rest, "after": ""}
