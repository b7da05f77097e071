"""batchdrop: JSONL files of LLM requests in, ordered answers out, through the providers' batch APIs.

Each step is a plain function on one unit (an object, a split, a batch, a job) and does not know what started it. The
modules stand in rooms, and a module imports only what stands in its own room or further down:

    steps → outputs → batches → limits → {jobs, missed_drops} → worker → services → inputs → {aws, providers}
    → protocols → language

    steps       what a function calls: intake plan submit poll collect assemble publish cancel deadline finish sweep
                reconcile notify
    outputs     from results to published files
    batches     the life of a batch
    limits      what may be sent now
    jobs        a job's own moves; missed_drops finds files whose event was lost
    worker      one run: its claim, its time, what it does after one that died
    services    clients and configuration, made once
    inputs      from dropped bytes to requests; nothing is sent
    aws         the only code that calls AWS for state and bytes
    providers   who is called, with which key; the only code with a vendor's SDK
    protocols   what the two APIs ask and answer; pure, no SDK
    language    the other modules beside this file: errors, states, rows, result lines, the manifest, settings

`tests/docs/test_rooms.py` reads this order here and holds every import to it.

`from batchdrop import Client` is the way in from Python: a door to the package `batchdrop_client`, which stands above
all of this, is loaded by its first use, and is not deployed.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchdrop_client import AlreadyRunning as AlreadyRunning
    from batchdrop_client import BatchdropError as BatchdropError
    from batchdrop_client import Client as Client
    from batchdrop_client import CloudFailed as CloudFailed
    from batchdrop_client import Gather as Gather
    from batchdrop_client import Job as Job
    from batchdrop_client import JobFailed as JobFailed
    from batchdrop_client import JobHeld as JobHeld
    from batchdrop_client import JobState as JobState
    from batchdrop_client import Manifest as Manifest
    from batchdrop_client import NoSuchJob as NoSuchJob
    from batchdrop_client import NotJson as NotJson
    from batchdrop_client import NotOver as NotOver
    from batchdrop_client import Quote as Quote
    from batchdrop_client import RequestFailed as RequestFailed
    from batchdrop_client import Result as Result
    from batchdrop_client import ResultError as ResultError
    from batchdrop_client import TooExpensive as TooExpensive
    from batchdrop_client import Usage as Usage
    from batchdrop_client import WaitTimeout as WaitTimeout

__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    """The client's public names, all of them classes."""
    if not name[:1].isupper():
        raise AttributeError(f"module 'batchdrop' has no attribute {name!r}")
    import batchdrop_client  # noqa: PLC0415 - `import batchdrop` loads nothing

    return getattr(batchdrop_client, name)
