"""Reads the settings of a dropped file: when it is taken, and again while its job is held for its budget."""

from collections.abc import Mapping

from batchdrop.aws import keys
from batchdrop.aws.row_versions import BUDGETED
from batchdrop.deadlines import moment_after, why_too_soon
from batchdrop.errors import Gone, Locked, Transient, Unprocessable
from batchdrop.inputs.job_settings import find_budget_folder, resolve
from batchdrop.limits.budgets import has_budget
from batchdrop.providers.folder_rules import rules_for
from batchdrop.records import Job
from batchdrop.services import Services

_SETTINGS_BYTES = 64 * 1024


def with_settings(job: Job, metadata: Mapping[str, str], services: Services) -> Job:
    """The job as the settings of its folders and its object's metadata say now.

    Raises:
        Unprocessable: A setting has no sense, is not allowed, or cannot be read.
        Transient: It may be read in a moment.
    """
    files = _settings_files(job, services)
    settings = resolve(files, metadata, rules_for(services.providers.folders, job.key))
    job = job.with_(settings=settings, budget_folder=find_budget_folder(files))
    return job.with_(version=BUDGETED if has_budget(job) else job.version)


def with_deadline(job: Job, services: Services) -> Job:
    """The job with the time that its deadline means.

    Raises:
        Unprocessable: That time is over, or no job is done so soon.
    """
    wanted = job.settings.deadline
    if wanted is None:
        return job
    at = moment_after(job.dropped_at, wanted)
    why = why_too_soon(wanted, at, now=services.now(), tick=services.settings.tick_seconds)
    if why is not None:
        raise Unprocessable(why)
    return job.with_(deadline_at=at)


def _settings_files(job: Job, services: Services) -> list[tuple[str, str]]:
    found = []
    for each in keys.settings_keys(job.key):
        if each not in services.files.keys(each):  # a listing misses nothing, and most folders have none
            continue
        try:
            text = b"".join(services.files.stream(each, end=_SETTINGS_BYTES + 1))
            if len(text) > _SETTINGS_BYTES:
                raise Unprocessable(f"{each} is longer than {_SETTINGS_BYTES:,} bytes.")
            found.append((each, text.decode()))
        except Gone as error:
            _refuse_hidden(each, error, job, services)
        except UnicodeDecodeError:
            raise Unprocessable(f"{each} is not UTF-8.") from None
    return found


def _refuse_hidden(key: str, error: Gone, job: Job, services: Services) -> None:
    """No settings file is fine, but one that is there is not left out.

    Raises:
        Transient: It may be read in a moment.
        Unprocessable: It cannot be read.
    """
    digest = keys.version_digest(job.bucket, job.key, job.version_id)
    if isinstance(error, Locked):
        if may_pass(error, job.dropped_at, digest, services):
            raise Transient(f"{key} cannot be read yet")
        raise Unprocessable(f"{key} cannot be read. {error.reason}") from error
    if not error.is_certain:  # a new bucket's 404, which no listing has
        raise Transient(f"{key} is there, and not seen yet")


def may_pass(error: Gone, dropped_at: int, digest: str, services: Services) -> bool:
    waits = isinstance(error, Locked) and not error.is_certain
    refused_at = services.store.first_refused_at(digest) if waits else 0
    return error.may_pass(written_at=dropped_at, refused_at=refused_at, now=services.now())
