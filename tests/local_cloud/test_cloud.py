"""The whole of it: AWS and the providers on this machine, with the deployed stack."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from batchdrop.aws.store import Store
from batchdrop.states import JobState

import local_cloud
from local_cloud import LocalCloud, emulator, processes
from local_cloud.aws import client
from local_cloud.state import Folder, Process, Saved

pytestmark = pytest.mark.e2e

LINE = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}\n'


@pytest.fixture
def state_dir(cloud_dir: Path) -> Path:
    """The cloud that all tests share, up."""
    local_cloud.up(cloud_dir)
    return cloud_dir


def running(state_dir: Path) -> LocalCloud:
    cloud = local_cloud.current(state_dir)
    assert cloud is not None
    return cloud


def aws(cloud: LocalCloud, service: str) -> Any:
    return client(service, cloud)


def wait_until(true: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def test_up_again_leaves_alone_what_runs(state_dir: Path) -> None:
    before = running(state_dir)
    steps: list[str] = []
    assert local_cloud.up(state_dir, on_step=steps.append) == before
    assert steps == []


def test_the_deployed_functions_are_the_stacks_and_speak_to_the_simulator(state_dir: Path) -> None:
    cloud = running(state_dir)
    found = aws(cloud, "lambda").list_functions()["Functions"]
    variables = [one["Environment"]["Variables"] for one in found if one["Handler"].startswith("handlers.")]
    assert {one["BATCHDROP_BUCKET"] for one in variables} == {cloud.bucket}
    assert {one["BATCHDROP_TICK_SECONDS"] for one in variables} == {"2"}
    assert f'base_url = "{cloud.simulator_url}/anthropic"' in (state_dir / "providers.toml").read_text()
    kept = aws(cloud, "secretsmanager").get_secret_value(SecretId="batchdrop/openai")["SecretString"]
    assert kept == cloud.simulator_key


def test_a_range_of_a_version_is_that_range(state_dir: Path) -> None:
    cloud = running(state_dir)
    s3 = aws(cloud, "s3")
    old = s3.put_object(Bucket=cloud.bucket, Key="work/ranges", Body=b"0123456789")["VersionId"]
    s3.put_object(Bucket=cloud.bucket, Key="work/ranges", Body=b"new")
    of_old = {"Bucket": cloud.bucket, "Key": "work/ranges", "VersionId": old}
    assert s3.get_object(**of_old, Range="bytes=2-4")["Body"].read() == b"234"
    assert s3.get_object(**of_old, Range="bytes=8-")["Body"].read() == b"89"
    assert s3.get_object(**of_old)["Body"].read() == b"0123456789"
    with pytest.raises(s3.exceptions.ClientError, match="InvalidRange"):
        s3.get_object(**of_old, Range="bytes=10-12")


def test_every_version_of_a_key_becomes_a_job_of_its_own(state_dir: Path) -> None:
    cloud = running(state_dir)
    s3, store = aws(cloud, "s3"), Store(aws(cloud, "dynamodb"), cloud.table, now=lambda: int(time.time()))
    wrote = [
        s3.put_object(Bucket=cloud.bucket, Key="input/versions.jsonl", Body=LINE * number)["VersionId"]
        for number in range(1, 6)
    ]

    def completed() -> list[str | None]:
        days = [(datetime.now(UTC) - timedelta(days=back)).strftime("%Y%m%d") for back in range(2)]
        jobs = [job for job in store.recent_jobs(days) if job.key == "input/versions.jsonl"]
        return [job.version_id for job in jobs if job.state is JobState.COMPLETED]

    assert wait_until(lambda: sorted(map(str, completed())) == sorted(wrote), seconds=900), completed()


def test_two_clouds_do_not_see_each_other(tmp_path: Path) -> None:
    started: list[Process] = []
    try:
        clouds = [Saved.new(), Saved.new()]
        for number, saved in enumerate(clouds):
            started.append(emulator.start(Folder(tmp_path / str(number)), saved))
            s3 = client("s3", saved)
            s3.create_bucket(Bucket="same-name")
            s3.put_object(Bucket="same-name", Key="number", Body=str(number).encode())
        found = [client("s3", saved).get_object(Bucket="same-name", Key="number")["Body"].read() for saved in clouds]
        assert found == [b"0", b"1"]
    finally:
        for process in started:
            processes.stop(process)
