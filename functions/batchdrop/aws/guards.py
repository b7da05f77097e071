"""The guard of every loop: a unit that fails is logged and counted, and does not stop the loop over the others."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from aws_lambda_powertools import Logger

from batchdrop.aws.exception_log import log_exception
from batchdrop.aws.metrics import Alert, count
from batchdrop.aws.tracing import traced
from batchdrop.correlation import working_on
from batchdrop.errors import AccountRefused, ClaimLost, Missing, Refused, Transient

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
        except ClaimLost:
            return
        except Transient as error:
            logger.warning("unit deferred", work=work, reason=str(error), unit=unit)
        except (AccountRefused, Missing, Refused) as error:  # their words may be the provider's
            logger.warning("unit deferred", work=work, reason=type(error).__name__, unit=unit)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is this unit's
            log_exception(logger, "unit failed", error, work=work, unit=unit)
            count(Alert.UNIT_FAILED)
            with _counting(work, unit):
                failed()


@contextmanager
def _counting(work: str, unit: str | None) -> Iterator[None]:
    try:
        yield
    except Exception as error:  # noqa: BLE001 - the loop goes on
        log_exception(logger, "failure not counted", error, work=work, unit=unit)
