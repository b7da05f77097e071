"""What pytest collects: pytest-xdist stops where two of its workers, started seconds apart, collect different ids."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
COLLECT = (sys.executable, "-m", "pytest", "--collect-only", "--quiet", "-p", "no:cacheprovider")


def collecting(*arguments: str, hash_seed: str) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT / "tests")}
    return subprocess.Popen(
        [*COLLECT, *arguments], cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def ids(process: subprocess.Popen[str]) -> list[str]:
    output, _ = process.communicate()
    assert process.returncode == 0, output[-2_000:]
    return [line for line in output.splitlines() if "::" in line]


def test_no_id_of_a_test_depends_on_the_time_the_process_or_the_hash_seed() -> None:
    today, tomorrow = collecting(hash_seed="1"), collecting("-p", "faking.tomorrow", hash_seed="2")
    first, second = ids(today), ids(tomorrow)
    assert len(first) > 2_000
    assert first == second
