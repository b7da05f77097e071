"""What figures depend on, in a line; and how much memory a process took."""

import os
import platform
import resource
import sys
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("openai", "anthropic", "boto3", "msgspec")
STATUS = Path("/proc/self/status")


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = platform.python_version()
    return f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {python}, {packages}"


def resident_mb() -> float:
    """The most that was resident so far. `ru_maxrss` would count the parent, too, as it was before exec."""
    if STATUS.exists():
        (line,) = [line for line in STATUS.read_text().splitlines() if line.startswith("VmHWM")]
        return int(line.split()[1]) * 1024 / 1e6
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6
