"""Fixtures for all tests: no credentials of this machine, no network but this machine's."""

import os
from collections.abc import Iterator

import pytest

for _name in [name for name in os.environ if name.startswith("AWS_")]:
    del os.environ[_name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "POWERTOOLS_METRICS_NAMESPACE": "batchdrop",
    "POWERTOOLS_SERVICE_NAME": "test",
}

from faking.cloud import Cloud  # noqa: E402 - the environment comes first
from faking.cloud import cloud as _cloud  # noqa: E402 - the same


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A whole batchdrop in this process."""
    with _cloud() as made:
        yield made
