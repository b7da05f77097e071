"""AWS and the providers on this machine: `up` brings them up, `down` ends them, `current` says what is running.

The command looks for a local cloud wherever it is installed; what brings one up is the extra `local`.
"""

from typing import TYPE_CHECKING, Any

from local_cloud.errors import LocalCloudError
from local_cloud.extras import how_to_install
from local_cloud.running import PROVIDERS_FILE, current, exists, own_providers
from local_cloud.state import LocalCloud

if TYPE_CHECKING:
    from local_cloud.cloud import down, up

__all__ = ["PROVIDERS_FILE", "LocalCloud", "LocalCloudError", "current", "down", "exists", "own_providers", "up"]


def __getattr__(name: str) -> Any:  # noqa: ANN401 - as Python has it
    if name not in {"down", "up"}:
        raise AttributeError(name)
    try:
        from local_cloud import cloud  # noqa: PLC0415 - the CDK's Node, and more that the extra brings
    except ModuleNotFoundError as error:
        raise LocalCloudError(
            f'The local cloud needs the extra "local", which is not installed ({error.name} is missing): '
            f"{how_to_install('local')}"
        ) from error
    return getattr(cloud, name)
