"""The dropper of a file. The command writes it to the object's metadata, so anybody who may write could write another.

It serves to ask before somebody else's job is stopped, not to stop anybody.
"""

from collections.abc import Mapping
from urllib.parse import quote

from batchdrop.errors import Gone
from batchdrop.records import Job
from botocore.exceptions import ClientError

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.jobs import recent

# Not "batchdrop-…", which are settings: a stack that is older than the command would refuse it.
DROPPED_BY = "dropped-by"
_DAYS, _JOBS = 35, 30  # that are looked at for one's own last drop


def mark(cloud: Cloud) -> Mapping[str, str]:
    """The metadata that names who drops; none where nobody can tell."""
    return {} if cloud.user is None else {DROPPED_BY: quote(cloud.user, safe=":/@+=,._- ")}


def dropper(cloud: Cloud, job: Job) -> str | None:
    """Return the dropper of a job's file, as its metadata says; None where it does not, is gone, or may not be read."""
    try:
        return cloud.files.head(job.key, job.version_id).metadata.get(DROPPED_BY)
    except (Gone, ClientError):
        return None


def is_own_last(cloud: Cloud, job: Job, by: str | None) -> bool:
    """Return whether this is the newest job that was dropped by who asks."""
    own = mark(cloud).get(DROPPED_BY)
    if own is None or by != own:
        return False
    newest = next((each for each in recent(cloud, days=_DAYS, limit=_JOBS) if dropper(cloud, each) == own), None)
    return newest is not None and newest.id == job.id
