"""A user outside the project, and what may be looked at behind the user's back."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest
from xdist.scheduler import LoadScopeScheduling

import local_cloud
from local_cloud.aws import client
from local_cloud.emulator import PYTHON
from local_cloud.state import LocalCloud

COMMAND = Path(sys.executable).with_name("batchdrop")
OUTSIDE = Path(__file__).with_name("outside.py")
# Fixtures that end the cloud, or bring it up as another one. Their tests come last, by fixture: each change of the
# cloud takes as long as several jobs.
OTHER_CLOUDS = ("kept_key", "clone", "told", "enforcing", "proxy", "with_own", "elsewhere")
# `make test` has four processes. Two have a cloud of their own: these files take half of the time, and all others share
# the first cloud. The rest needs no cloud, or brings up its own, and goes where there is time.
SECOND_CLOUD = {"test_deadline", "test_deployed", "test_notify", "test_policies", "test_restarts", "test_own_providers"}
APART = {"test_benchmarks", "test_bundling"}
EXPLORATION = "tests/faults/"
PATIENCE = 300  # seconds for an answer; milliseconds are enough on a machine that does nothing else
GIVEN = ("endpoint", "region", "access_key_id", "secret_access_key", "bucket", "table", "simulator_url")


Held = tuple[dict[str, Any], str]  # a row, and its value that says until when


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ())
        return next((at for at, name in enumerate(OTHER_CLOUDS, start=1) if name in fixtures), 0)

    items.sort(key=place)


class ByCloud(LoadScopeScheduling):
    """Keeps together what shares a cloud. xdist's groups would, but it does not find them with pytest 9.2.

    What has most tests is given out first, so the clouds are; exploration, collected last, fills the time in which they
    wait.
    """

    def _split_scope(self, nodeid: str) -> str:
        path = nodeid.partition("::")[0]
        file = Path(path).stem
        if path.startswith(EXPLORATION):
            return nodeid  # for whichever process has nothing to do
        if file in APART:
            return file
        return "second cloud" if file in SECOND_CLOUD else "first cloud"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> ByCloud | None:
    return ByCloud(config, log) if config.getvalue("dist") == "loadscope" else None


@dataclass(frozen=True, kw_only=True)
class Answered:
    """What came back, as a user finds it."""

    manifest: dict[str, Any]
    results: bytes
    errors: bytes
    failed: bytes


class User:
    """Drops files and fetches answers with boto3 alone, in another Python that has nothing of this project."""

    def __init__(self, cloud: dict[str, Any], folder: Path) -> None:
        self._cloud = {name: cloud[name] for name in GIVEN}
        self._folder = folder

    def run(self, name: str, body: bytes) -> Answered:
        self.put(name, body)
        return self.fetch(name)

    def put(self, name: str, body: bytes) -> None:
        path = self._folder / f"{name}.jsonl"
        path.write_bytes(body)
        self._do("put", name, path)

    def fetch(self, name: str) -> Answered:
        """Wait for the answers of a file."""
        folder = self._folder / name
        folder.mkdir()
        self._do("fetch", name, folder)
        return Answered(
            manifest=json.loads((folder / "manifest.json").read_bytes()),
            results=(folder / "results.jsonl").read_bytes(),
            errors=(folder / "errors.jsonl").read_bytes(),
            failed=(folder / "failed.jsonl").read_bytes(),
        )

    def _do(self, what: str, name: str, path: Path) -> None:
        subprocess.run(
            [str(PYTHON), "-I", str(OUTSIDE), what, name, str(path)],
            input=json.dumps(self._cloud),
            text=True,
            check=True,
            cwd=self._folder,
            env={},
        )


class Behind:
    """The table, the queues, the logs and the simulator's controls of the cloud that a user drops into."""

    def __init__(self, state_dir: Path) -> None:
        self.state_dir = state_dir

    def up(self, **how: Any) -> LocalCloud:
        return local_cloud.up(self.state_dir, **how)

    @property
    def cloud(self) -> LocalCloud:
        cloud = local_cloud.current(self.state_dir)
        assert cloud is not None
        return cloud

    def aws(self, service: str) -> Any:
        return client(service, self.cloud, read_timeout=PATIENCE)

    def rows(self) -> list[dict[str, Any]]:
        return list(self.aws("dynamodb").scan(TableName=self.cloud.table, ConsistentRead=True)["Items"])

    def control(self, method: str, what: str, **values: Any) -> Any:
        url = f"{self.cloud.simulator_url}/control/{what}"
        answer = httpx2.request(method, url, json=values, headers=self.cloud.simulator_headers, timeout=PATIENCE)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def logs(self) -> dict[str, str]:
        """What each function has logged."""
        return {path.stem: path.read_text() for path in Path(self.cloud.logs, "functions").iterdir()}

    def held(self) -> list[Held]:
        """What workers hold at this moment."""
        until = [(row, name) for row in self.rows() for name in ("claimed_until", "until") if name in row]
        return [(row, name) for row, name in until if int(row[name]["N"]) > time.time()]

    def kill(self) -> list[Held]:
        """End the emulator in the middle of its work; what the workers held that died with it."""
        held = self.held()
        os.kill(self.cloud.pids["emulator"], signal.SIGKILL)
        self.wait(lambda: local_cloud.current(self.state_dir) is None)
        return held

    def free(self, held: list[Held]) -> None:
        """Let this end, as if two minutes had gone by; what was taken again since then is left alone."""
        rows, past = self.aws("dynamodb"), {"N": str(int(time.time()) - 1)}
        for row, name in held:
            due = ", due_at = :past" if "due_at" in row else ""
            with suppress(rows.exceptions.ConditionalCheckFailedException):
                rows.update_item(
                    TableName=self.cloud.table,
                    Key={key: row[key] for key in ("pk", "sk")},
                    UpdateExpression=f"SET #held = :past{due}",
                    ConditionExpression="#held = :held",
                    ExpressionAttributeNames={"#held": name},
                    ExpressionAttributeValues={":past": past, ":held": row[name]},
                )

    def wait(self, until: Callable[[], bool], *, seconds: float = 900) -> None:
        deadline = time.monotonic() + seconds
        while not until():
            assert time.monotonic() < deadline, "it did not happen in time"
            time.sleep(0.05)


@pytest.fixture(scope="session")
def behind(cloud_dir: Path) -> Behind:
    return Behind(cloud_dir)


@pytest.fixture(scope="session")
def said(behind: Behind) -> dict[str, Any]:
    """What the command says of the cloud; it stays so, however the cloud is brought up again."""
    command = [str(COMMAND), "local", "up", "--json", "--state-dir", str(behind.state_dir)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    return dict(json.loads(printed))


@pytest.fixture
def user(behind: Behind, said: dict[str, Any], tmp_path: Path) -> User:
    """Knows what the command says, and no more."""
    behind.up()
    return User(said, tmp_path)


@pytest.fixture
def enforcing(behind: Behind) -> Behind:
    """A cloud that allows what its policies and its functions' roles allow, and nothing else."""
    behind.up(enforces_grants=True)
    return behind


@pytest.fixture
def events(behind: Behind) -> Iterator[Callable[[], list[dict[str, Any]]]]:
    """A rule of somebody else's that sends batchdrop's events to a queue; what has come since."""
    sqs, bus = behind.aws("sqs"), behind.aws("events")
    url = sqs.create_queue(QueueName="somebodys-queue")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name="somebodys-rule", EventPattern=json.dumps({"source": ["batchdrop"]}))
    bus.put_targets(Rule="somebodys-rule", Targets=[{"Id": "queue", "Arn": arn}])

    def come() -> list[dict[str, Any]]:
        messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5).get("Messages", [])
        return [json.loads(message["Body"]) for message in messages]

    yield come
    bus.remove_targets(Rule="somebodys-rule", Ids=["queue"])
    bus.delete_rule(Name="somebodys-rule")
    sqs.delete_queue(QueueUrl=url)
