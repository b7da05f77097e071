"""Each function is allowed what it does, and nothing else, but for what is explained here.

Whatever is not allowed is denied in every test of this folder, with a fault at any call. Here, whole jobs show that
what is allowed is used: if a test fails since a grant is left over, take it away.
"""

from collections.abc import Callable, Iterator
from fnmatch import fnmatch

import pytest
from batchdrop.aws.pause_history import PauseTimes
from botocore.exceptions import ClientError

from faults.aws import Message
from faults.granted import Grant, grants
from faults.outside import Outside
from faults.points import undisturbed
from faults.scenarios import HURRIED, MAIN, PAUSED, REJECTED, TOO_LARGE
from faults.world import World, new_world

EXPLAINED = {
    # What AWS itself does, or asks for
    "* logs:* its log group": "Lambda writes the logs",
    "* sqs:ReceiveMessage queue *": "Lambda receives the messages",
    "* sqs:DeleteMessage queue *": "the same",
    "* sqs:GetQueueAttributes queue *": "the same",
    "* s3:ListBucket bucket": "S3 answers 404 then for what is not there, and not 403",
    "* s3:DeleteObject bucket, work/": "S3 asks for it where versions are deleted",
    # What has another stand-in in these tests
    "* secretsmanager:GetSecretValue secret *": "keys are read: tests/unit/test_provider_keys.py",
    "sweep sqs:* dead letters of *": "they are sent again: tests/steps/test_dead_letters.py",
    # What happens seldom
    "intake dynamodb:GetItem table": "an event comes twice",
    "intake dynamodb:UpdateItem table": "a file fails at intake, and is counted",
    "intake sqs:SendMessage queue publish": "a file is refused by its name, its size or its settings",
    "* dynamodb:DescribeTable table": "how old the table is, once a minute in a process: all share one here",
    "intake s3:GetObject bucket, input/": "a folder has settings, or a bucket of another keeps no versions",
    "publish s3:GetObject bucket, output/": "what an earlier run published is there, and is looked at",
    "intake s3:PutObject bucket, work/": "a file has a template: tests/steps/test_templates.py",
    "intake s3:GetObject bucket, output/": "a table was restored: tests/steps/test_restored_table.py",
    "plan s3:GetObject bucket, input/": "a bucket that was made elsewhere may keep no versions",
    "assemble s3:GetObject bucket, input/": "the same",
    "plan sqs:SendMessage queue plan": "a compressed file gets its splits",
    "plan sqs:SendMessage queue assemble": "a split has no request",
    "poll events:PutEvents default event bus, as batchdrop": "a provider refuses the account when it is asked",
    "submit sqs:SendMessage queue assemble": "a batch that ends there is the last of its round: nothing is left",
    "poll sqs:SendMessage queue assemble": "the same",
    "submit sqs:SendMessage queue finish": "the same, of a job whose deadline is near: the next round is called",
    "poll sqs:SendMessage queue finish": "the same",
    "sweep sqs:SendMessage queue finish": "the same, or a batch that was never sent: tests/steps/test_deadline.py",
    "finish sqs:SendMessage queue finish": "a run's time is over: tests/steps/test_finish.py",
    "finish events:PutEvents default event bus, as batchdrop": "a provider refuses the account when it is called",
    "poll dynamodb:PutItem table": "a batch ends there that is the last of its round, and the next round has batches",
    "poll s3:GetObject bucket, work/": "the same",
    "poll s3:PutObject bucket, work/": "the same",
    "sweep dynamodb:PutItem table": "the same",
    "sweep s3:GetObject bucket, work/": "the same",
    "sweep s3:PutObject bucket, work/": "the same",
    "sweep s3:GetObject* bucket, input/": "a job is held, whose budget may have been raised: tests/steps/test_held.py",
    "sweep s3:GetObject bucket, output/": "a job is ended that has a manifest",
    "sweep s3:ListBucketMultipartUploads bucket": "a clean-up goes on",
    "sweep s3:DeleteObjectVersion bucket, work/": "the same",
    "* s3:AbortMultipartUpload bucket, *": "an upload in parts fails, or a dead worker left it",
    "publish s3:ListMultipartUploadParts bucket, output/": "a join goes on that another run began",
}


@pytest.fixture(scope="module")
def used() -> Iterator[set[Grant]]:
    """What the steps call in whole jobs, among them one in which the first message of each step is lost."""
    with new_world() as world:
        for scenario in (PAUSED, TOO_LARGE, REJECTED, HURRIED):
            undisturbed(world, scenario)
        run_with_lost_messages(world)
        yield world.aws.used


def run_with_lost_messages(world: World) -> None:
    world.begin(Outside(), MAIN)
    lost: set[str] = set()

    def arrives(step: str, _message: Message) -> float | None:
        if step in lost:
            return 0
        lost.add(step)
        return None

    world.arrives = arrives
    world.run()


def test_what_a_step_is_not_allowed_is_denied() -> None:
    with new_world() as world:
        world.begin(Outside())
        world.aws.step = "assemble"
        calls: list[Callable[[], object]] = [
            lambda: world.services.files.delete_all("work/"),
            lambda: world.services.files.put("output/x", b""),
            lambda: list(world.services.store.due(by=0)),
            lambda: world.services.queues.plan("job", 0),
        ]
        for call in calls:
            with pytest.raises(ClientError, match="AccessDenied"):
                call()


@pytest.mark.parametrize("step", sorted(each.step for each in grants() if each.action == "dynamodb:UpdateItem"))
def test_whoever_may_update_a_row_may_pause_a_provider_and_keeps_the_pause_before(step: str) -> None:
    with new_world() as world:
        world.begin(Outside())
        world.aws.step, known = step, world.services.store.providers
        began = world.clock.seconds()
        known.set_pause("openai", "no key", began + 300)
        known.end_pause("openai")
        world.clock.sleep(60)
        known.set_pause("openai", "no credit", began + 360)
        kept = [PauseTimes(opened_at=began + 60), PauseTimes(opened_at=began, ended_at=began)]
        assert known.pauses("openai") == kept


def test_whatever_is_allowed_is_used_or_explained(used: set[Grant]) -> None:
    unused = {" ".join(each) for each in grants() - used}
    assert sorted(each for each in unused if not any(fnmatch(each, pattern) for pattern in EXPLAINED)) == []


def test_whatever_is_explained_is_allowed() -> None:
    allowed = [" ".join(each) for each in grants()]
    assert [pattern for pattern in EXPLAINED if not any(fnmatch(each, pattern) for each in allowed)] == []
