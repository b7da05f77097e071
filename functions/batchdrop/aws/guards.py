"""The guard of every loop: a unit that fails is logged and counted, and does not stop the loop over the others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

from aws_lambda_powertools import Logger

from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.tracing import traced
from batchdrop.correlation import working_on
from batchdrop.errors import AccountRefused, NotMyTurn, Refused, Transient
from batchdrop.providers.clients import Missing

if TYPE_CHECKING:
    from batchdrop.aws.store import Due, Lease
    from batchdrop.services import Services

logger = Logger(child=True)


def _do_nothing() -> None:
    """There is no row to count a failure on."""


@contextmanager
def guard(
    work: str,
    *,
    failed: Callable[[], object] = _do_nothing,
    stops: type[Exception] | tuple[type[Exception], ...] = (),
    job: str | None = None,
    unit: str | None = None,
) -> Iterator[None]:
    """Do one unit's part of a loop.

    Args:
        work: What is done, for the log.
        failed: Called after an exception that nobody expected, to count it on the unit's row.
        stops: What is everybody's matter, and ends the loop.
        job: Whose unit it is: each log line names it meanwhile.
        unit: Names the unit, for the log.
    """
    with working_on(job), traced(work):
        try:
            yield
        except stops:
            raise
        except NotMyTurn:
            return
        except Transient as error:
            logger.warning("unit put off", work=work, reason=str(error), unit=unit)
        except (AccountRefused, Missing, Refused) as error:  # their words may be the provider's
            logger.warning("unit put off", work=work, reason=type(error).__name__, unit=unit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this unit's
            log_exception(logger, "unit failed", error, work=work, unit=unit)
            count(Alert.UNIT_FAILED)
            with _counting(work, unit):
                failed()


def failure_of(due: "Due", services: "Services") -> Callable[[], object]:
    """Counts a failure on a unit's row."""
    return partial(services.store.count_unit_failure, due.job, due.sk, services.settings.lease_seconds)


class Careful:
    """What a run of many units does after one that died: it notes each unit before it works on it.

    So that a unit that kills its worker each time is known, at no cost while none does: a failure of it is counted,
    which puts it off, and the others have their turn.
    """

    def __init__(self, lease: "Lease", services: "Services") -> None:
        self._lease, self._store = lease, services.store
        self._seconds = services.settings.lease_seconds

    def count_death(self) -> int:
        """Count what the run before died of, if that is known; how many failures in a row that makes.

        First it is forgotten: a run that dies before it notes a unit says nothing of the one that was noted before.
        """
        if not self._lease.at_sk:
            return 0
        job, sk = self._lease.at_job, self._lease.at_sk
        self._store.forget_noted_work(self._lease)
        logger.error("unit failed", work=f"{self._lease.name}: the run before ended at it", unit=sk)
        count(Alert.UNIT_FAILED)
        return self._store.count_unit_failure(job, sk, self._seconds)

    def begin(self, due: "Due") -> None:
        """Call before a unit is worked on."""
        if self._lease.has_died:
            self._store.note_work(self._lease, due.job, due.sk)


@contextmanager
def _counting(work: str, unit: str | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the loop goes on
        log_exception(logger, "failure not counted", error, work=work, unit=unit)
