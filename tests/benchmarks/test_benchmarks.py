"""Every benchmark still runs, in its smoke form: nothing else would say that one has rotted. No figure is looked at."""

import importlib
from collections.abc import Iterator
from pathlib import Path

import bench
import big_file
import latency
import memory
import pytest
from deployed import Deployed
from faking.scripts import run_script
from forms import Form
from goals import Goals

import local_cloud

BENCHMARKS = Path(bench.__file__).parent
OF_ANOTHER_ENVIRONMENT = {"peer"}  # batchwizard's own
SMOKE = (
    ("calls", "--smoke"),
    ("crash_test", "--point", "rejected: 3:DIES_BEFORE"),
    ("fault_matrix", "--only", "killed before the create", "--processes", "1"),
    ("files_at_once", "--files", "2"),
    ("parts", "--smoke"),
    ("plan_blocks", "--smoke"),
    ("quote", "--lines", "10"),
    ("templates", "100"),
)


@pytest.mark.parametrize("name", sorted({path.stem for path in BENCHMARKS.glob("*.py")} - OF_ANOTHER_ENVIRONMENT))
def test_what_a_benchmark_imports_is_there(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("S3_UPLOAD_PART_MIN_SIZE", "1")  # as `calls` sets it, for this test alone
    importlib.import_module(name)


@pytest.mark.parametrize("command", SMOKE, ids=[each[0] for each in SMOKE])
def test_a_benchmark_in_process_runs(command: tuple[str, ...], tmp_path: Path) -> None:
    name, *arguments = command
    done = run_script(BENCHMARKS / f"{name}.py", *arguments, folder=tmp_path)
    assert (done.code, done.err[-2000:]) == (0, "")
    assert done.out


@pytest.fixture(scope="module")
def own_cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[local_cloud.LocalCloud]:
    """One that nothing was dropped into: the bill is compared, and in the end nothing starts its functions."""
    folder = tmp_path_factory.mktemp("benchmarks")
    try:
        yield local_cloud.up(folder)
    finally:
        local_cloud.down(folder)


@pytest.mark.e2e
def test_benchmarks_of_the_deployed_stack_run(own_cloud: local_cloud.LocalCloud, tmp_path: Path) -> None:
    big_file.run(own_cloud, 40, 500, seconds=600)
    latency.measure(own_cloud, Form.SMOKE)
    stand, goals = Deployed(own_cloud, tmp_path), Goals()
    bench.measure_tables(stand, goals, Form.SMOKE)
    (small,) = (case for case in memory.CASES if case.name == "smoke")
    memory.measure(stand, small, tmp_path / "memory.jsonl")
    missing = {each.name: each.reason for each in goals.found if each.figure is None}
    assert missing == {"CPU for 10 lines at openai, against batchwizard": "the smoke form installs nothing"}
