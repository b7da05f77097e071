"""The console on a whole batchdrop in this process, and a client that sends what its browser would."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field

import boto3
import pytest
from faking.cloud import BUCKET, REGION, TABLE, Cloud
from starlette.testclient import TestClient

from batchdrop_cli.cloud import Cloud as UsersCloud
from batchdrop_console.access import Access
from batchdrop_console.app import make_app
from batchdrop_console.pages import Console, notify

PORT, TOKEN = 8321, "a-token"
ADDRESS = f"http://127.0.0.1:{PORT}"


@dataclass
class World:
    """A cloud with its jobs, and what the console logged."""

    cloud: Cloud
    log: list[str] = field(default_factory=list)
    access: Access = field(default_factory=lambda: Access(PORT, token=TOKEN))

    def console(self, *, may_write: bool = False) -> Console:
        session = boto3.Session(region_name=REGION)
        users = UsersCloud(title="test", is_local=True, bucket=BUCKET, table=TABLE, session=session, notify=notify)
        _ = users.s3, users.store, users.events
        return Console(cloud=users, may_write=may_write, log=self.log.append, now=self.cloud.clock.seconds)

    @contextmanager
    def outside(self, console: Console) -> Iterator[TestClient]:
        """A client that has no cookie yet."""
        with TestClient(make_app(console, self.access), base_url=ADDRESS, follow_redirects=False) as client:
            yield client

    @contextmanager
    def browser_of(self, console: Console) -> Iterator[TestClient]:
        """A client that has opened the address which the command printed; its posts come from the console's pages."""
        with self.outside(console) as client:
            client.get("/enter", params={"token": TOKEN})
            client.headers["origin"] = ADDRESS
            yield client

    def browser(self) -> AbstractContextManager[TestClient]:
        """The same of a console that only reads."""
        return self.browser_of(self.console())


@pytest.fixture
def world(cloud: Cloud) -> World:
    return World(cloud)


@pytest.fixture
def browser(world: World) -> Iterator[TestClient]:
    with world.browser() as client:
        yield client


@pytest.fixture
def writer(world: World) -> Iterator[TestClient]:
    with world.browser_of(world.console(may_write=True)) as client:
        yield client
