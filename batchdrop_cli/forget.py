"""All that is kept of a job, deleted; and said, what could not be reached."""

from collections.abc import Iterator

from aws_lambda_powertools.utilities.parameters import SecretsProvider
from batchdrop.aws.keys import beside_key, output_prefix, work_prefix
from batchdrop.errors import AccountRefused, BatchdropError, ConfigError, Gone, Missing
from batchdrop.providers.clients import Apis
from batchdrop.providers.config import Providers, load_providers
from batchdrop.providers.interface import BatchApi, ProviderBatch
from batchdrop.providers.keys import Keys
from batchdrop.records import Batch, Job
from batchdrop.states import TERMINAL_JOBS, BatchState
from botocore.exceptions import ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.settings_names import belongs_to_one, named_by
from batchdrop_cli.user_errors import UserError

_UNREAD = "it is damaged, or from a newer version of batchdrop"


class _NotDeleted(BatchdropError):  # noqa: N818 - it is an outcome
    """A provider's batch is not deleted; the message says why."""


def forget(cloud: Cloud, job: Job, providers: Apis) -> list[str]:
    """Delete a job's file version, outputs, work files, rows and the providers' copies.

    Its row goes last, and only when nothing that it names is left: `forget` can be repeated until then. Who is left
    out of it: rows of ids alone, which keep a late event from becoming a job; they expire by themselves.

    Returns:
        What could not be reached, a sentence each.

    Raises:
        UserError: The job is not over.
    """
    if job.state not in TERMINAL_JOBS:
        cancel = cloud.command(f"cancel {job.id}")
        raise UserError(f"Job {job.id} is {job.state}: it can be forgotten when it is over. To stop it: {cancel}")
    left = [*_delete_from_providers(cloud, job, providers), *_delete_objects(cloud, job)]
    if not left:
        cloud.store.delete_job(job)
    return left


def apis_of(cloud: Cloud) -> Apis:
    """The providers as they are configured, with the keys that this user may read."""
    try:
        providers = load_providers(cloud.providers_file)
    except (ConfigError, OSError):
        providers = Providers({})
    return Apis(providers, Keys(SecretsProvider(boto3_client=cloud.secrets)))


def _delete_from_providers(cloud: Cloud, job: Job, providers: Apis) -> Iterator[str]:
    for batch_id, batch in cloud.store.found_batches(job.id):
        if batch is None:
            yield f"the row of batch {batch_id}, which alone says what its provider keeps, cannot be read ({_UNREAD})"
            continue
        try:
            _delete(batch, providers)
        except _NotDeleted as error:
            yield f"{batch.provider} keeps {_copies(batch)}: {error}"
        except AccountRefused as error:
            yield f"{batch.provider} keeps {_copies(batch)}: {error}"
        except BatchdropError as error:
            yield f"{batch.provider} keeps {_copies(batch)}: it did not accept the deletion ({type(error).__name__})"


def _copies(batch: Batch) -> str:
    return f"batch {batch.batch_id}" if batch.batch_id else f"the file {batch.input_file_id}"


def _delete(batch: Batch, providers: Apis) -> None:
    if batch.batch_id is not None and batch.state is BatchState.FAILED:
        _delete_given_up(batch, batch.batch_id, providers[batch.provider])
    elif batch.batch_id is not None:
        providers[batch.provider].delete(
            ProviderBatch(
                id=batch.batch_id,
                ended_as=batch.ended_as,
                input_file_id=batch.input_file_id,
                output_file_id=batch.output_file_id,
                error_file_id=batch.error_file_id,
            )
        )
    elif batch.input_file_id is not None:
        providers[batch.provider].delete_upload(batch.input_file_id)


def _delete_given_up(batch: Batch, batch_id: str, api: BatchApi) -> None:
    """Delete what a batch became after it was given up."""
    if batch.adopted:  # its number of requests alone said that it is the job's
        raise _NotDeleted("it may belong to somebody else: its results were never read")
    try:
        found = api.retrieve(batch_id)
    except Missing:
        return
    if found.ended_as is None:
        raise _NotDeleted("it has not ended there")
    api.delete(found)


def _delete_objects(cloud: Cloud, job: Job) -> Iterator[str]:
    prefixes = [work_prefix(job.id), output_prefix(job), f"output/{job.id}/", *_own_settings(cloud, job)]
    left = list(filter(None, (_delete_all(cloud, prefix) for prefix in prefixes)))
    yield from left
    if left:  # the file goes last: its metadata name its settings
        return
    try:
        cloud.files.delete_version(job.key, job.version_id)
    except ClientError as error:
        yield f"s3://{cloud.bucket}/{job.key}, version {job.version_id}: {_code(error)}"


def _own_settings(cloud: Cloud, job: Job) -> list[str]:
    """The settings file that the command laid beside the job's file for it alone, where there is one."""
    try:
        name = named_by(cloud.files.head(job.key, job.version_id).metadata)
    except Gone:
        return []
    return [beside_key(job.key, name)] if name is not None and belongs_to_one(name) else []


def _delete_all(cloud: Cloud, prefix: str) -> str | None:
    """Delete what lies there; a sentence where that failed."""
    try:
        is_clean = cloud.files.delete_all(prefix)
    except ClientError as error:
        return f"s3://{cloud.bucket}/{prefix}: {_code(error)}"
    return None if is_clean else f"s3://{cloud.bucket}/{prefix}: some of its versions could not be deleted"


def _code(error: ClientError) -> str:
    return f"S3 answered {error.response.get('Error', {}).get('Code', 'an error')}"
