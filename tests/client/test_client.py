"""Which cloud a client takes, and what it says where there is none; waits that outlast a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from batchdrop import BatchdropError, Client, CloudFailed
from batchdrop.records import Job
from botocore.exceptions import ConnectTimeoutError
from faking import rows
from faking.cloud import BUCKET, REGION, TABLE, Cloud
from faking.lines import mixed
from faking.stacks import a_stack

from batchdrop_client.waits import Looks
from local_cloud.state import Folder, Saved

if TYPE_CHECKING:
    from conftest import World

MINUTE = 60.0


@pytest.fixture
def _stack(cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stack "batchdrop" on AWS, and no local cloud here."""
    assert cloud.jobs() == []
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    with a_stack(bucket=BUCKET, table=TABLE) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        yield


@pytest.mark.usefixtures("_stack")
@pytest.mark.parametrize("options", [{}, {"stack": "batchdrop"}, {"region": REGION}])
def test_the_stack_on_aws_is_found(options: dict[str, str], world: "World") -> None:
    job = Client(**options).put(mixed(1))
    assert [(each["Key"], each["Size"]) for each in world.drops()] == [
        ("input/requests.jsonl", len(world.cloud.read("input/requests.jsonl")))
    ]
    assert world.client().job(job.id).wait().is_over


@pytest.mark.usefixtures("_stack")
@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"local": "mine"}, "The local cloud of mine is not up. Start it with: batchdrop local up --state-dir mine"),
        ({"local": True}, "The local cloud of .local is not up. Start it with: batchdrop local up"),
        ({"local": Path("mine")}, "The local cloud of mine is not up."),
        ({"stack": "other"}, f'There is no stack "other" in {REGION}.'),
        ({"profile": "nobody"}, "AWS could not be used: The config profile (nobody) could not be found."),
    ],
)
def test_a_cloud_that_is_not_there_is_told_as_the_command_tells_it(options: dict[str, Any], said: str) -> None:
    client = Client(**options)  # nothing is looked for yet
    with pytest.raises(BatchdropError) as raised:
        client.jobs()
    assert str(raised.value).startswith(said)


@pytest.mark.usefixtures("_stack")
def test_a_local_cloud_that_came_with_the_folder_is_not_taken() -> None:
    foreign = Folder(Path(".local"))
    foreign.make()
    foreign.write(Saved.new())
    with pytest.raises(BatchdropError, match=r"^The local cloud in \.local was brought up by somebody else"):
        Client(local=True).jobs()


def test_a_local_cloud_and_aws_exclude_each_other() -> None:
    with pytest.raises(ValueError, match=r"^local excludes stack, region and profile\.$"):
        Client(local=True, stack="mine")


def looks_at(found: list[Job | Exception | None], seconds: list[float]) -> Looks:
    def look() -> Job | None:
        each = found.pop(0)
        if isinstance(each, Exception):
            raise each
        return each

    return Looks(look, lambda: seconds[0])


SILENCE = ConnectTimeoutError(endpoint_url="http://nowhere")


def test_a_network_that_is_away_for_a_while_does_not_end_a_wait(caplog: pytest.LogCaptureFixture) -> None:
    job, seconds = rows.a_job(), [0.0]
    looks = looks_at([None, SILENCE, SILENCE, job], seconds)
    assert looks.look() is None
    for now in (MINUTE, 5 * MINUTE):
        seconds[0] = now
        assert looks.look() is None
    assert looks.look() is job
    assert caplog.text.count("The job continues, and is looked at again.") == 2


def test_one_that_stays_away_or_never_was_there_does() -> None:
    seconds = [0.0]
    with pytest.raises(CloudFailed, match=r"^AWS could not be used: Connect timeout"):
        looks_at([SILENCE], seconds).look()
    looks = looks_at([None, SILENCE], seconds)
    assert looks.look() is None
    seconds[0] = 5 * MINUTE + 1
    with pytest.raises(CloudFailed):
        looks.look()
