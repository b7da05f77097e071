"""Which providers.toml tells what a cloud's providers charge."""

from pathlib import Path

import pytest

from batchdrop_cli.cloud import Target, _local
from local_cloud import LocalCloud


def running(written: Path, deployed: Path) -> LocalCloud:
    words = dict.fromkeys(("access_key_id", "secret_access_key", "bucket", "table", "deployment", "simulator_key"), "x")
    return LocalCloud(
        **words,
        endpoint="http://127.0.0.1:1",
        region="us-east-1",
        simulator_url=None,
        stack_name="s",
        poll_function="p",
        sweep_function="s",
        providers=("openai",),
        providers_file=str(deployed),
        providers_from=str(written),
        state_dir="d",
        logs="l",
        pids={},
    )


@pytest.mark.parametrize("is_kept", [True, False])
def test_a_local_clouds_prices_are_those_of_the_providers_that_the_simulator_stands_for(
    tmp_path: Path, *, is_kept: bool
) -> None:
    written, deployed = tmp_path / "mine.toml", tmp_path / "deployed.toml"
    deployed.touch()
    if is_kept:
        written.touch()
    cloud = _local(running(written, deployed), Target())
    assert (cloud.prices_file, cloud.providers_file) == (written if is_kept else deployed, deployed)
