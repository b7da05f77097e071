"""batchdrop from Python: `from batchdrop import Client`.

The package stands above the command, whose decisions it shares: finding a cloud, dropping a file, waiting for its job,
merging retries. It prints nothing but the progress that is asked for, and imports neither a vendor's SDK nor the CDK.
docs/python.md is its page.
"""

from batchdrop.errors import BatchdropError
from batchdrop.manifest import Manifest, Usage
from batchdrop.money import Quote
from batchdrop.result_line import ResultError
from batchdrop.states import JobState

from batchdrop_cli.user_errors import AlreadyRunning, NoSuchJob, NotOver, TooExpensive
from batchdrop_client.client import Client
from batchdrop_client.errors import CloudFailed, JobFailed, JobHeld, NotJson, RequestFailed, WaitTimeout
from batchdrop_client.gatherer import Gather
from batchdrop_client.job import Job
from batchdrop_client.results import Result

__all__ = (
    "AlreadyRunning",
    "BatchdropError",
    "Client",
    "CloudFailed",
    "Gather",
    "Job",
    "JobFailed",
    "JobHeld",
    "JobState",
    "Manifest",
    "NoSuchJob",
    "NotJson",
    "NotOver",
    "Quote",
    "RequestFailed",
    "Result",
    "ResultError",
    "TooExpensive",
    "Usage",
    "WaitTimeout",
)
