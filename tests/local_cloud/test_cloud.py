"""The whole of it: AWS and the providers on this machine, with the deployed stack."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import local_cloud
from local_cloud import LocalCloud, emulator, processes
from local_cloud.aws import client
from local_cloud.state import Folder, Process, Saved

pytestmark = pytest.mark.e2e

LINE = b'{"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hello"}]}\n'


@pytest.fixture(scope="module")
def state_dir(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    directory = tmp_path_factory.mktemp("cloud")
    local_cloud.up(directory)
    yield directory
    local_cloud.down(directory)


def running(state_dir: Path) -> LocalCloud:
    cloud = local_cloud.current(state_dir)
    assert cloud is not None
    return cloud


def aws(cloud: LocalCloud, service: str) -> Any:
    return client(service, endpoint=cloud.endpoint, account=cloud.access_key_id)


def wait_until(true: Callable[[], bool], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not true() and time.monotonic() < deadline:
        time.sleep(0.05)
    return true()


def drop(cloud: LocalCloud, key: str) -> None:
    aws(cloud, "s3").put_object(Bucket=cloud.bucket, Key=key, Body=LINE)


def is_published(cloud: LocalCloud, name: str) -> bool:
    found = aws(cloud, "s3").list_objects_v2(Bucket=cloud.bucket, Prefix=f"output/{name}/").get("Contents", [])
    return any(one["Key"].endswith("/manifest.json") for one in found)


def is_left(cloud: LocalCloud, prefix: str) -> bool:
    found = aws(cloud, "s3").list_object_versions(Bucket=cloud.bucket, Prefix=prefix)
    return bool(found.get("Versions") or found.get("DeleteMarkers"))


def test_a_dropped_file_goes_the_whole_way(state_dir: Path) -> None:
    cloud = running(state_dir)
    drop(cloud, "input/first.jsonl")
    assert wait_until(lambda: is_published(cloud, "first"), seconds=60)
    logs = {path.stem for path in Path(cloud.logs, "functions").iterdir()}
    assert {"intake", "plan", "submit", "poll", "collect", "assemble", "publish"} <= logs


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
    assert aws(cloud, "secretsmanager").get_secret_value(SecretId="batchdrop/openai")["SecretString"] == "sk-simulated"


@pytest.mark.parametrize("end", ["killed", "stopped"])
def test_a_cloud_comes_back_with_what_it_had(state_dir: Path, end: str) -> None:
    before = running(state_dir)
    row = {"pk": {"S": f"TEST#{end}"}, "sk": {"S": "row"}, "n": {"N": "1"}}
    aws(before, "dynamodb").put_item(TableName=before.table, Item=row)
    aws(before, "dynamodb").put_item(TableName=before.table, Item=row | {"sk": {"S": "gone"}})
    aws(before, "dynamodb").delete_item(TableName=before.table, Key={"pk": row["pk"], "sk": {"S": "gone"}})
    aws(before, "s3").put_object(Bucket=before.bucket, Key=f"work/{end}", Body=b"kept")
    if end == "killed":
        os.kill(before.pids["emulator"], signal.SIGKILL)
    else:
        assert local_cloud.down(state_dir)
    assert wait_until(lambda: local_cloud.current(state_dir) is None, seconds=10)

    after = local_cloud.up(state_dir)

    assert (after.endpoint, after.bucket, after.table) == (before.endpoint, before.bucket, before.table)
    rows = aws(after, "dynamodb").query(
        TableName=after.table, KeyConditionExpression="pk = :pk", ExpressionAttributeValues={":pk": row["pk"]}
    )
    assert rows["Items"] == [row]
    assert aws(after, "s3").get_object(Bucket=after.bucket, Key=f"work/{end}")["Body"].read() == b"kept"
    drop(after, f"input/{end}.jsonl")
    assert wait_until(lambda: is_published(after, end), seconds=60)


def test_a_file_dropped_before_the_end_is_answered_after_it(state_dir: Path) -> None:
    cloud = running(state_dir)
    drop(cloud, "input/between.jsonl")
    local_cloud.down(state_dir)
    cloud = local_cloud.up(state_dir)
    assert wait_until(lambda: is_published(cloud, "between"), seconds=120)


def test_down_ends_all_that_was_started(state_dir: Path) -> None:
    pids = running(state_dir).pids
    assert set(pids) == {"emulator", "simulator", "ticker"}
    assert local_cloud.down(state_dir)
    assert local_cloud.current(state_dir) is None
    assert not any(Path("/proc", str(pid)).exists() for pid in pids.values())
    assert not local_cloud.down(state_dir)
    local_cloud.up(state_dir)


def test_every_step_gets_along_with_what_its_role_allows(state_dir: Path) -> None:
    cloud = local_cloud.up(state_dir, enforces_grants=True)
    drop(cloud, "input/guarded.jsonl")
    assert wait_until(lambda: is_published(cloud, "guarded"), seconds=120)
    assert wait_until(lambda: not is_left(cloud, "work/2"), seconds=30)
    logs = [path.read_text() for path in (*Path(cloud.logs).glob("*.log"), *Path(cloud.logs, "functions").iterdir())]
    assert [line for log in logs for line in log.splitlines() if "AccessDenied" in line or "(403)" in line] == []


def test_two_clouds_do_not_see_each_other(tmp_path: Path) -> None:
    started: list[Process] = []
    try:
        clouds = [Saved.new(), Saved.new()]
        for number, saved in enumerate(clouds):
            started.append(emulator.start(Folder(tmp_path / str(number)), saved))
            s3 = client("s3", endpoint=saved.endpoint, account=saved.account)
            s3.create_bucket(Bucket="same-name")
            s3.put_object(Bucket="same-name", Key="number", Body=str(number).encode())
        found = [
            client("s3", endpoint=saved.endpoint, account=saved.account)
            .get_object(Bucket="same-name", Key="number")["Body"]
            .read()
            for saved in clouds
        ]
        assert found == [b"0", b"1"]
    finally:
        for process in started:
            processes.stop(process)
