"""The providers of a local cloud: the project's own, at other addresses, and their keys."""

import os
import re
import tomllib
from collections.abc import Mapping

SIMULATED_KEY = "sk-simulated"
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


def at(text: str, addresses: Mapping[str, str]) -> str:
    """Give a `providers.toml` in which the named providers are at these addresses; all else stays as written."""
    section, lines = "", []
    for line in text.splitlines():
        header = re.match(r"\s*\[providers\.([^\].]+)\]", line)
        section = header.group(1) if header else "" if line.lstrip().startswith("[") else section
        if section in addresses and re.match(r"\s*base_url\s*=", line):
            lines.append(f'base_url = "{addresses[section]}"')
        else:
            lines.append(line)
    return "\n".join(lines) + "\n"


def secrets(text: str) -> dict[str, str]:
    """The name of each provider's secret."""
    return {name: str(provider["secret"]) for name, provider in tomllib.loads(text)["providers"].items()}


def simulated(simulator_url: str) -> dict[str, str]:
    return {"openai": f"{simulator_url}/openai/v1", "anthropic": f"{simulator_url}/anthropic"}


def real_keys(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The keys that the environment holds, by provider."""
    return {name: environment[variable] for name, variable in KEY_VARIABLES.items() if environment.get(variable)}
