"""AWS and the providers on this machine: `up` brings them up, `down` ends them, `current` says what is running."""

from local_cloud.cloud import current, down, exists, up
from local_cloud.errors import LocalCloudError
from local_cloud.state import LocalCloud

__all__ = ["LocalCloud", "LocalCloudError", "current", "down", "exists", "up"]
