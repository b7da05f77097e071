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
OTHER_CLOUDS = ("with_own", "elsewhere", "told", "enforcing", "kept_key", "clone", "proxy")
# `make test` has four processes, of which so many have a cloud; these give it up when no file is left that needs one.
CLOUDS = 2
# Files of the same other cloud, and of one that is ended: what the first leaves is what the next begins with.
TOGETHER = {"test_notify": "enforcing", "test_deployed": "enforcing", "test_policies": "enforcing"}
TOGETHER |= {"test_strangers": "ended", "test_readme": "ended"}
APART = {"test_benchmarks", "test_bundling"}  # no cloud, or one of their own
EXPLORATION = "tests/faults/"
PATIENCE = 300  # seconds for an answer; milliseconds are enough on a machine that does nothing else
GIVEN = ("endpoint", "region", "access_key_id", "secret_access_key", "bucket", "table", "simulator_url")


Held = tuple[dict[str, Any], str]  # a row, and its value that says until when


def scope_of(nodeid: str) -> str:
    """What stays together on one process."""
    path = nodeid.partition("::")[0]
    return nodeid if path.startswith(EXPLORATION) else TOGETHER.get(Path(path).stem, Path(path).stem)


def needs_cloud(scope: str) -> bool:
    return scope not in APART and not scope.startswith(EXPLORATION)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    def place(item: pytest.Item) -> int:
        fixtures = getattr(item, "fixturenames", ())
        return next((at for at, name in enumerate(OTHER_CLOUDS, start=1) if name in fixtures), 0)

    places: dict[str, int] = {}
    for item in items:
        scope = scope_of(item.nodeid)
        places[scope] = max(places.get(scope, 0), place(item))
    items.sort(key=lambda item: (item.nodeid.startswith(EXPLORATION), places[scope_of(item.nodeid)], place(item)))


class ByCloud(LoadScopeScheduling):
    """Gives each file that needs a cloud to a process that has one, as soon as it has time; all else, to any process.

    What is collected first is given out first: exploration, collected last, fills the time in which the clouds wait.
    xdist's groups would keep files together, but it does not find them with pytest 9.2.
    """

    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False

    def _split_scope(self, nodeid: str) -> str:
        return scope_of(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        given = [scope for scope in self.workqueue if self._may_have(node, scope)]
        if given:
            self.workqueue.move_to_end(given[0], last=False)
            super()._assign_work_unit(node)
        else:
            node.shutdown()

    def _may_have(self, node: Any, scope: str) -> bool:
        with_cloud = [each for each, had in self.assigned_work.items() if any(map(needs_cloud, had))]
        return not needs_cloud(scope) or node in with_cloud or len(with_cloud) < CLOUDS


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
def events(behind: Behind) -> Iterator[Callable[..., list[dict[str, Any]]]]:
    """A rule of somebody else's that sends batchdrop's events to a queue; those of files, once each file has one."""
    sqs, bus = behind.aws("sqs"), behind.aws("events")
    url = sqs.create_queue(QueueName="somebodys-queue")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    bus.put_rule(Name="somebodys-rule", EventPattern=json.dumps({"source": ["batchdrop"]}))
    bus.put_targets(Rule="somebodys-rule", Targets=[{"Id": "queue", "Arn": arn}])

    def come(*names: str) -> list[dict[str, Any]]:
        keys, found = {f"input/{name}.jsonl" for name in names}, list[dict[str, Any]]()
        deadline = time.monotonic() + PATIENCE
        while keys != {event["detail"]["input"]["key"] for event in found} and time.monotonic() < deadline:
            messages = sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=5).get("Messages", [])
            bodies = [json.loads(message["Body"]) for message in messages]
            found += [event for event in bodies if event["detail"]["input"]["key"] in keys]
        return found

    yield come
    bus.remove_targets(Rule="somebodys-rule", Ids=["queue"])
    bus.delete_rule(Name="somebodys-rule")
    sqs.delete_queue(QueueUrl=url)
