"""The providers of a local cloud: those of a `providers.toml`, at other addresses, and their keys."""

import os
import re
from collections.abc import Mapping

from batchdrop.errors import ConfigError
from batchdrop.providers.config import parse_providers
from batchdrop.records import Protocol

PATHS = {Protocol.OPENAI: "openai/v1", Protocol.ANTHROPIC: "anthropic"}  # the simulator's
KEY_VARIABLES = {"openai": "OPENAI_API_KEY", "anthropic": "ANTHROPIC_API_KEY"}


def at(text: str, addresses: Mapping[str, str]) -> str:
    """Give a `providers.toml` in which the named providers are at these addresses, and cost what they cost.

    All else stays as written.

    Raises:
        ConfigError: An address is not written as a line under its provider's header: it would stay the real one.
    """
    section, lines, given = "", [], parse_providers(text)
    for line in text.splitlines():
        header = re.match(r"\s*\[providers\.([^\].]+)\]", line)
        section = header.group(1) if header else "" if line.lstrip().startswith("[") else section
        if section in addresses and re.match(r"\s*base_url\s*=", line):
            lines.append(f'base_url = "{addresses[section]}"')
            if given[section].price_address is None:
                lines.append(f'price_address = "{given[section].base_url}"')
        else:
            lines.append(line)
    changed = "\n".join(lines) + "\n"
    for name, provider in parse_providers(changed).items():
        if provider.base_url != addresses.get(name, provider.base_url).rstrip("/"):
            raise ConfigError(
                f'providers.{name}.base_url: write it as a line of its own under "[providers.{name}]", or the local '
                "cloud cannot put another address there"
            )
    return changed


def secrets(text: str) -> dict[str, str]:
    """The name of each provider's secret."""
    return {name: provider.secret for name, provider in parse_providers(text).items()}


def simulated(text: str, simulator_url: str) -> dict[str, str]:
    """Return where the simulator stands for each provider of a `providers.toml`."""
    return {name: f"{simulator_url}/{PATHS[each.protocol]}" for name, each in parse_providers(text).items()}


def real_keys(environment: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The keys that the environment holds, by provider."""
    return {name: environment[variable] for name, variable in KEY_VARIABLES.items() if environment.get(variable)}
