"""What pytest collects: pytest-xdist stops where two of its workers, started seconds apart, collect different ids."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COLLECT = (sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider")


def collected_tomorrow(request: pytest.FixtureRequest) -> list[str]:
    """The ids that this run's options and paths have a day later, in a process with a hash seed of its own."""
    config = request.config
    options = ["-m", config.option.markexpr, "-k", config.option.keyword]
    done = subprocess.run(
        [*COLLECT, "-p", "faking.tomorrow", *options, *config.args],
        cwd=config.invocation_params.dir,
        env={**os.environ, "PYTHONHASHSEED": "2", "PYTHONPATH": str(ROOT / "tests"), "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-2_000:]
    return [line for line in done.stdout.splitlines() if "::" in line]


def test_no_id_of_a_test_depends_on_the_time_the_process_or_the_hash_seed(request: pytest.FixtureRequest) -> None:
    assert collected_tomorrow(request) == [item.nodeid for item in request.session.items]
