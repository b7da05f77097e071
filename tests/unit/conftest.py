from pathlib import Path

import pytest
from batchdrop.providers.config import Providers, load_providers
from hypothesis import HealthCheck, settings

# The same examples in every run; the first text that is drawn loads Unicode's tables, which takes a second.
settings.register_profile(
    "unit", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("unit")


@pytest.fixture(scope="session")
def providers() -> Providers:
    """The project's own configuration."""
    return load_providers(Path(__file__).parents[2] / "providers.toml")
