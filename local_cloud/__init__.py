"""AWS and the providers on this machine: `up` brings them up, `down` ends them, `current` says what is running."""

from local_cloud.cloud import PROVIDERS_FILE, current, down, exists, own_providers, up
from local_cloud.errors import LocalCloudError
from local_cloud.state import LocalCloud

__all__ = ["PROVIDERS_FILE", "LocalCloud", "LocalCloudError", "current", "down", "exists", "own_providers", "up"]
