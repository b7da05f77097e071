from pathlib import Path

import pytest
from batchdrop.providers.config import Providers, load_providers


@pytest.fixture(scope="session")
def providers() -> Providers:
    """The project's own configuration."""
    return load_providers(Path(__file__).parents[2] / "providers.toml")
