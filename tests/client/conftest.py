"""A client on a whole batchdrop in this process: everything happens while it waits, and no second passes."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import boto3
import pytest
from batchdrop.aws.keys import is_job
from batchdrop.states import JobState
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, REGION, TABLE, Cloud
from faking.stacks import a_stack

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_client import Client, Gather
from batchdrop_client.waits import Clock


@dataclass
class World:
    """What goes on outside of the client."""

    cloud: Cloud
    told: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=set)
    seconds: float = 0.0
    stands_still: bool = False
    """Nothing happens but that time passes."""

    def client(self, gather: Gather | None = None) -> Client:
        """A client that knows nothing of any other."""
        session = boto3.Session(region_name=REGION)
        users = UsersCloud(
            title="test", is_local=True, bucket=BUCKET, table=TABLE, session=session, notify=self.told.append
        )
        clock = Clock(now=lambda: self.seconds, sleep=self.go_on, rest=self.rest)
        return Client.on(users, clock=clock, gather=gather)

    def go_on(self, seconds: float = 0.0) -> None:
        """Time passes: drops become jobs, and these end, or wait for a person."""
        self.seconds += seconds
        if self.stands_still:
            return
        self.take_drops()
        self.cloud.deliver_all()
        if not all(job.state is JobState.HELD and job.is_approved is None for job in self.cloud.unfinished()):
            self.cloud.settle()

    async def rest(self, seconds: float) -> None:
        self.go_on(seconds)

    def take_drops(self) -> None:
        """Intake of every object that was dropped, as its event would have it."""
        for version in self.drops():
            if version["VersionId"] in self.taken:
                continue
            self.taken.add(version["VersionId"])
            take_object(self.cloud.dropped(version["Key"], b"", version["VersionId"]), self.cloud.services)

    def drops(self) -> list[dict[str, str]]:
        versions = self.cloud.s3.list_object_versions(Bucket=BUCKET, Prefix="input/").get("Versions", [])
        return [each for each in versions if is_job(each["Key"])]


@pytest.fixture
def world(cloud: Cloud) -> World:
    return World(cloud)


@pytest.fixture
def client(world: World) -> Client:
    return world.client()


@pytest.fixture
def deployed(world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stack "batchdrop", whose functions run beside the test, in a folder without a local cloud."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    over = Event()
    errors: list[Exception] = []

    def run() -> None:
        while not over.wait(0.1):
            try:
                world.go_on()
            except Exception as error:  # noqa: BLE001 - told below
                errors.append(error)
                return

    with a_stack(bucket=BUCKET, table=TABLE) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        functions = Thread(target=run)
        functions.start()
        yield
        over.set()
        functions.join()
    assert errors == []
