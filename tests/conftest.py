"""Fixtures for all tests: no credentials of this machine, no network but this machine's."""

import gc
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

gc.disable()  # until all is collected: what is made until then stays
# The same examples in every run; the first text that is drawn loads Unicode's tables, which takes a second.
settings.register_profile(
    "same", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("same")
for _name in [name for name in os.environ if name.startswith("AWS_") or name in {"COLUMNS", "LINES"}]:  # xdist's, too
    del os.environ[_name]
os.environ |= {
    "AWS_ACCESS_KEY_ID": "testing",
    "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1",
    "POWERTOOLS_LOG_LEVEL": "CRITICAL",
    "XDG_STATE_HOME": tempfile.mkdtemp(prefix="batchdrop-tests-"),  # where the last local cloud is remembered
    "POWERTOOLS_METRICS_NAMESPACE": "batchdrop",
    "POWERTOOLS_SERVICE_NAME": "test",
}

from batchdrop.correlation import name_job  # noqa: E402 - the environment comes first
from faking.cloud import Cloud  # noqa: E402 - the environment comes first
from faking.cloud import cloud as _cloud  # noqa: E402 - the same

import local_cloud  # noqa: E402 - the same


def pytest_collection_finish() -> None:
    """Keep what was collected out of the garbage collector's rounds: it stays until the end. And make few rounds."""
    gc.freeze()
    gc.set_threshold(20_000)
    gc.enable()


@pytest.fixture(autouse=True)
def _no_job() -> None:
    """No log line names a job that an earlier test worked on: deployed, each message ends with that."""
    name_job(None)


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    """A whole batchdrop in this process."""
    with _cloud() as made:
        yield made


@pytest.fixture(scope="session")
def cloud_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The state of a local cloud with the deployed stack, shared by all tests that need one.

    `local_cloud.up` on it brings it up again as it was, if a test has ended it.
    """
    directory = tmp_path_factory.mktemp("cloud")
    try:
        local_cloud.up(directory)
        yield directory
    finally:
        local_cloud.down(directory)
