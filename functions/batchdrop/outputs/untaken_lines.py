"""Says of a failed line why the fallback did not take it."""

from array import array

import msgspec
from msgspec.structs import replace

from batchdrop.batches.retry_rounds import read_round
from batchdrop.errors import Gone
from batchdrop.inputs.fallbacks import fallback_of
from batchdrop.records import Job, Split
from batchdrop.result_line import ResultError
from batchdrop.services import Services


class UntakenLines:
    """The lines of a split that its rounds found that the fallback cannot take; memory holds two bytes a line.

    Args:
        job: Its job.
        split: The split.
        services: The services.
        lines: How many lines it has, blank ones aside.
    """

    def __init__(self, job: Job, split: Split, services: Services, lines: int) -> None:
        self._fallback = fallback_of(job.settings)
        self._reasons: list[str] = [""]
        self._reason_of = array("H", bytes(2 * lines if self._fallback else 0))
        for number in range(1, split.round + 2 if self._fallback else 1):  # the last may have left no batch
            self._read(split, number, services)

    def _read(self, split: Split, number: int, services: Services) -> None:
        try:
            untaken = read_round(split, number, services).untaken
        except (Gone, msgspec.DecodeError):
            return
        for why, places in untaken.items():
            self._reasons.append(why)
            for place in places:
                self._reason_of[place] = len(self._reasons) - 1

    def with_reason(self, error: ResultError, place: int) -> ResultError:
        """The error of a line, and why the fallback did not take it, if that is so."""
        why = self._reasons[self._reason_of[place]] if self._fallback else ""
        if not why or self._fallback is None:
            return error
        return replace(error, message=f"{error.message} The fallback {self._fallback.name} cannot take it: {why}.")
