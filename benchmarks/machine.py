"""What figures depend on, in a line."""

import os
import platform
from importlib.metadata import version

PACKAGES = ("openai", "anthropic", "boto3", "msgspec")


def machine() -> str:
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    python = platform.python_version()
    return f"{os.cpu_count()} CPUs, {platform.system()} {platform.machine()}, Python {python}, {packages}"
