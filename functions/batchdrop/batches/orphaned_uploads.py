"""Orphaned uploads: request files that no batch knows, because their worker died before it could record them."""

from collections.abc import Callable
from itertools import takewhile
from operator import attrgetter

from aws_lambda_powertools import Logger

from batchdrop.aws.guards import guard
from batchdrop.correlation import name_job
from batchdrop.errors import AccountRefused, Missing, Refused, Transient
from batchdrop.limits.restore_hold import restored_at
from batchdrop.providers.interface import BatchApi, ProviderFile
from batchdrop.services import Services
from batchdrop.states import TERMINAL_JOBS, BatchState

logger = Logger(child=True)

_CHECK_SECONDS = 3_600
_NAME = "batchdrop"


def upload_name(deployment: str, job: str, batch: str, epoch: int) -> str:
    """Tells whose a request file is; none of the parts holds a `_`."""
    return f"{_NAME}_{deployment}_{job}_{batch}_{epoch}.jsonl"


def delete_orphans(provider: str, services: Services, *, has_time: Callable[[], bool]) -> None:
    """Delete this deployment's request files that no row names, once an hour, as long as there is time.

    The oldest first: most of the others belong to batches that are under way, and go with them within a day or two.
    """
    if not has_time() or not services.store.leases.take(f"orphans#{provider}", _CHECK_SECONDS):
        return
    try:
        api = services.apis[provider]
        uploads = sorted(api.uploads(), key=attrgetter("created_at"))
        for upload in takewhile(lambda _: has_time(), uploads):
            with guard("orphans", stops=AccountRefused, unit=upload.id):
                _delete_if_orphaned(upload, api, services)
    except (AccountRefused, Transient, Missing, Refused) as error:
        logger.warning("request files not looked at", provider=provider, reason=type(error).__name__)


def _delete_if_orphaned(upload: ProviderFile, api: BatchApi, services: Services) -> None:
    whose = _read(upload.name, services.settings.deployment)
    # A worker records its upload well within its lease, or never.
    if whose is None or upload.created_at > services.now() - 2 * services.settings.lease_seconds:
        return
    name_job(whose[0])
    job = services.store.job(whose[0])  # where it is left to newer code, so are its files
    is_over = job is not None and job.state in TERMINAL_JOBS
    if not is_over and upload.created_at <= restored_at(services) + services.settings.lease_seconds:
        return  # a batch that the restored table does not know yet may be made of it
    batch = services.store.batch(*whose)
    if batch is None or batch.state is BatchState.FAILED or batch.input_file_id != upload.id:
        api.delete_upload(upload.id)
        logger.info("orphaned request file deleted", batch=whose[1], file_id=upload.id)


def _read(name: str, deployment: str) -> tuple[str, str] | None:
    """The job and batch of a request file of ours; None for any other file."""
    match name.removesuffix(".jsonl").split("_"):
        case [first, ours, job, batch, _] if first == _NAME and ours == deployment:
            return job, batch
        case _:
            return None
