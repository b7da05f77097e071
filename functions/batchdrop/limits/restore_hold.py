"""The hold: while it is not known what was sent since a table was written, nothing is sent, and nothing given up."""

from datetime import datetime
from typing import Any

import msgspec

from batchdrop.aws import bucket
from batchdrop.aws.bucket import MANIFEST, Gone
from batchdrop.manifest import Manifest
from batchdrop.records import Job
from batchdrop.services import Services
from batchdrop.states import JobState


def is_held(provider: str, services: Services) -> bool:
    """Whether nothing may be sent to a provider: it may have batches of this table that the table does not know."""
    return services.store.restores.current(services.settings.deployment).holds(provider)


def restored_at(services: Services) -> int:
    """Since when this deployment has the table, where that was another's, or is a copy of one; 0 for its own."""
    return services.store.restores.current(services.settings.deployment).held_at


def published_as(job: Job, services: Services) -> dict[str, Any] | None:
    """What a job becomes that is published already, as its manifest says; None where there is none.

    Publishing then finds the manifest, which stays, and the job ends as that says.
    """
    try:
        manifest = msgspec.json.decode(services.files.get(f"{bucket.output_prefix(job)}{MANIFEST}"), type=Manifest)
    except (Gone, msgspec.DecodeError):
        return None
    return {
        "state": JobState.PUBLISHING,
        "outcome": manifest.status,
        "reason": manifest.reason,
        "published_at": int(datetime.fromisoformat(manifest.times.published_at).timestamp()),
        "is_given_up": True,  # its parts are gone: there is nothing to be put together once more
    }
