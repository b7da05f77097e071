"""When a provider was paused, and why in a word: the pauses of the past, in a row of their own.

The row of a pause notes its own times, in the writes that change it. They move here in one transaction when the pause
is over, so that each pause is here once. No words of a provider are kept, and no more than `MOST` pauses.
"""

from collections.abc import Iterator

import msgspec

from batchdrop.aws.provider_items import pause_key
from batchdrop.aws.table import read_raw_row, read_row
from batchdrop.aws.table_items import Item, Update, Write

MOST = 20


class PauseTimes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A pause, in times.

    Attributes:
        opened_at: When it began.
        reason_code: The last reason, of `PauseCode`.
        probes: How many batches tried the provider meanwhile.
        probed_at: When the last of them was admitted.
        ended_at: When it ended; 0 while it lasts.
    """

    opened_at: int = 0
    reason_code: str = ""
    probes: int = 0
    probed_at: int = 0
    ended_at: int = 0


class _Past(msgspec.Struct, frozen=True):
    pauses: list[PauseTimes] = []


def history_key(provider: str) -> tuple[str, str]:
    return f"PROVIDER#{provider}", "PAUSES"


def past_pauses(row: Item) -> list[PauseTimes] | None:
    """The oldest first, of the row as DynamoDB sends it; None where this code cannot read it."""
    past = read_raw_row(row, _Past) if row else _Past()
    return None if past is None else past.pauses


def own_times(pause: Item) -> PauseTimes | None:
    """The times that the row of a pause notes; None where it notes no beginning: an older version wrote it.

    While it lasts it has no end: one that stands there is the end of the pause before, which an older version left.
    """
    times = _times_of(pause)
    return msgspec.structs.replace(times, ended_at=0) if times is not None and pause.get("until") else times


def move_times(provider: str, pause: Item, past: list[PauseTimes] | None) -> Iterator[Write]:
    """Move an ended pause's times to the past; refused when they were moved, or are those of another pause.

    By updates alone: whoever pauses a provider may update rows, and need not be allowed more.
    """
    update = Update(*pause_key(provider))
    update.when("ended_at", "=", pause["ended_at"])
    for name in ("opened_at", "probes", "probed_at", "ended_at"):
        update.remove(name)
    yield lambda table: {"Update": update.request(table)}
    times = _times_of(pause)
    if times is not None and past is not None:
        kept = Update(*history_key(provider))
        kept.set("pauses", msgspec.to_builtins([*past, times][-MOST:]))
        yield lambda table: {"Update": kept.request(table)}


def _times_of(pause: Item) -> PauseTimes | None:
    times = read_row(pause, PauseTimes)
    return times if times is not None and times.opened_at else None
