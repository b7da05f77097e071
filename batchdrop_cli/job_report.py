"""`show --report`: the page about a finished job, as it was published, or made of what is left of the job."""

from pathlib import Path

from batchdrop.aws.keys import is_job_id
from batchdrop.outputs.report import render_report
from batchdrop.records import Job

from batchdrop_cli import fetch, jobs
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.user_errors import UserError


def save_report(cloud: Cloud, job: Job, path: Path | None) -> Path:
    """Write the report of a finished job.

    Args:
        cloud: Where the job is.
        job: The job.
        path: Where to; None for the input file's name, in the current folder.

    Raises:
        UserError: The job is not over, or its report cannot be written there.
    """
    jobs.refuse_unfinished(cloud, job)
    path = path or Path(f"{fetch.name_of(job)}.report.html")
    if is_job_id(path.name) or path.name == jobs.LATEST:
        raise UserError(f"{path} is a job, not a file: name the job before --report.", code=WRONG_USE)
    page = _page(cloud, job)
    try:
        with path.open("xb") as out:
            out.write(page)
    except FileExistsError:
        raise UserError(f"{path} already exists and is not overwritten. Name another file.") from None
    except OSError as error:
        raise UserError(f"{path} cannot be written: {error.strerror}") from error
    return path


def _page(cloud: Cloud, job: Job) -> bytes:
    manifest = jobs.read_manifest(cloud, job)
    published = manifest.files.report
    if published is not None:
        return cloud.files.get(published.key, published.version_id)
    return render_report(manifest, job, cloud.store.readable_batches(job.id), jobs.full_quote_of(cloud, job))
