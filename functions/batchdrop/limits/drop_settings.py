"""Reads the settings of a dropped file: when it is taken, and again while its job is held for its budget."""

import codecs
import hashlib
import re
from collections.abc import Mapping, Sequence

import msgspec

from batchdrop.aws import keys
from batchdrop.aws.row_versions import BUDGETED, DEDUPED, FALLING, STRUCTURED, TEMPLATED
from batchdrop.deadlines import last_moment, moment_after, why_too_soon
from batchdrop.errors import Gone, Locked, Transient, Unprocessable
from batchdrop.inputs.fallbacks import find_fallback
from batchdrop.inputs.job_settings import (
    OWN_SETTINGS,
    find_budget_folder,
    find_output_schema,
    find_template,
    own_metadata,
    resolve,
)
from batchdrop.inputs.templates import Rendering
from batchdrop.limits.budgets import Budgets, budgets_of, has_budget
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.providers.folder_rules import rules_for
from batchdrop.records import Job
from batchdrop.services import Services

SETTINGS_BYTES = 64 * 1024
_OWN_NAME = re.compile(rf"[A-Za-z0-9._-]{{1,100}}{re.escape(keys.SETTINGS_ENDING)}", re.ASCII)
_NO_TEMPLATE = (
    "A table (.csv, .tsv) needs a template, which defines the request of each row: add [template] to a batchdrop.toml "
    "of its folder, or drop it with batchdrop run FILE --model MODEL --prompt TEXT."
)


def with_settings(job: Job, files: Sequence[tuple[str, str]], metadata: Mapping[str, str], services: Services) -> Job:
    """The job as the settings of its folders and its object's metadata say now.

    Args:
        job: The job.
        files: What `settings_files` found.
        metadata: The object's own.
        services: The services.

    Raises:
        Unprocessable: A setting has no sense, or is not allowed.
    """
    settings = resolve(files, metadata, rules_for(services.providers.folders, job.key))
    job = job.with_(settings=settings, budget_folder=find_budget_folder(files))
    job = job.with_(version=BUDGETED if has_budget(job) else job.version)
    return job.with_(version=DEDUPED) if settings.dedupe else job


def with_fallback(job: Job, services: Services) -> Job:
    """The job with its fallback by its provider's name and its own, whatever patterns say later.

    Raises:
        Unprocessable: There is no such model, or the folder may not use it.
    """
    if job.settings.fallback is None:
        return job
    allowed = rules_for(services.providers.folders, job.key).allowed_providers
    found = find_fallback(job.settings.fallback, services.providers, allowed)
    return job.with_(settings=msgspec.structs.replace(job.settings, fallback=found.name), version=FALLING)


def budgets_now(job: Job, services: Services) -> Budgets:
    """A job's budgets as they are set now; as they were when it was dropped, where that cannot be read."""
    try:
        head = services.files.head(job.key, job.version_id)
        files = settings_files(job, head.metadata, services)
        return budgets_of(with_settings(job, files, head.metadata, services))
    except (Gone, Unprocessable):
        return budgets_of(job)


def with_template(job: Job, files: Sequence[tuple[str, str]], services: Services) -> Job:
    """The job with the template that its settings have, which is kept as it is now: the bytes first, then the row.

    Raises:
        Unprocessable: It has no sense, or there is none and the file is a table.
    """
    template = find_template(files)
    if template is None:
        if keys.is_table(job.key):
            raise Unprocessable(_NO_TEMPLATE)
        return job
    Rendering(template, services.providers)
    text = msgspec.json.encode(template)
    key = keys.template_key(job.id, _digest(text))
    _keep(job, key, text, services)
    return job.with_(template_key=key, version=TEMPLATED)


def with_output_schema(
    job: Job, files: Sequence[tuple[str, str]], metadata: Mapping[str, str], services: Services
) -> Job:
    """The job with the output schema that its settings have, which is kept as it is now, as a template is.

    Raises:
        Unprocessable: It has no sense, or is not there.
        Transient: It may be read in a moment.
    """
    found = find_output_schema(files, metadata, job.key)
    if found is None:
        return job
    text = found.text
    if text is None:
        text = _read(found.key or "", job, services)
    if text is None:
        raise Unprocessable(f"{found.key}, which output_schema names, is not there: upload it first.")
    schema = OutputSchema(text)
    key = keys.schema_key(job.id, _digest(schema.text))
    _keep(job, key, schema.text, services)
    return job.with_(schema_key=key, version=STRUCTURED)


def _digest(text: bytes) -> str:
    return hashlib.sha256(text).hexdigest()[:16]


def _keep(job: Job, key: str, text: bytes, services: Services) -> None:
    if not services.store.is_known_version(keys.version_digest(job.bucket, job.key, job.version_id)):
        services.files.put(key, text, content_type="application/json")  # a late event's would outlive its job's work


def with_deadline(job: Job, services: Services) -> Job:
    """The job with the time that its deadline means.

    Raises:
        Unprocessable: That time is over, no job is done so soon, or the job ends before it.
    """
    wanted = job.settings.deadline
    if wanted is None:
        return job
    at = moment_after(job.dropped_at, wanted)
    why = why_too_soon(wanted, at, now=services.now(), tick=services.settings.tick_seconds)
    if why is None and at > last_moment(job):
        why = f"deadline = {wanted!r}: that is after the job ends, done or not (max_age = {job.settings.max_age!r})."
    if why is not None:
        raise Unprocessable(why)
    return job.with_(deadline_at=at)


def settings_files(job: Job, metadata: Mapping[str, str], services: Services) -> list[tuple[str, str]]:
    """Key and text of each settings file of a job: those of its folders, and last the one that its object names.

    Raises:
        Unprocessable: One of them cannot be read.
        Transient: It may be read in a moment.
    """
    found = []
    own = _own_settings(job, metadata, services)
    for each in [*keys.settings_keys(job.key), *own]:
        text = _read(each, job, services)
        if text is not None:
            found.append((each, text.decode()))
    return found


def _read(key: str, job: Job, services: Services) -> bytes | None:
    """A settings file, or what one names; None where it is not there.

    Raises:
        Unprocessable: It cannot be read.
        Transient: It may be read in a moment.
    """
    if key not in services.files.keys(key):  # a listing misses nothing, and most folders have none
        return None
    try:
        text = b"".join(services.files.stream(key, end=SETTINGS_BYTES + 1))
        text.decode()
    except Gone as error:
        _refuse_hidden(key, error, job, services)
        return None
    except UnicodeDecodeError:
        raise Unprocessable(f"{key} is not UTF-8.") from None
    if len(text) > SETTINGS_BYTES:
        raise Unprocessable(f"{key} is longer than {SETTINGS_BYTES:,} bytes.")
    return text.removeprefix(codecs.BOM_UTF8)  # as editors on Windows write it


def _own_settings(job: Job, metadata: Mapping[str, str], services: Services) -> list[str]:
    """The key of the settings that an object's metadata name; none where they name none.

    They lie beside the object: whoever may write to one folder must not have what lies in another read for them.
    """
    name = own_metadata(metadata).get(OWN_SETTINGS)
    if name is None:
        return []
    if not _OWN_NAME.fullmatch(name):
        raise Unprocessable(
            f"batchdrop-settings = {name!r:.100}: it must be the name of a file beside the dropped one, which ends in "
            f"{keys.SETTINGS_ENDING}."
        )
    key = keys.beside_key(job.key, name)
    if key not in services.files.keys(key):
        raise Unprocessable(f"{key}, which the file's metadata name as its settings, is not there: upload it first.")
    return [key]


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
