"""Dead letters: what failed too often is sent again, ever later, and nothing of it is lost."""

import json
from typing import Any

import boto3
from batchdrop.aws.queues import Queues
from faking.cloud import REGION, Cloud, jsonl
from faking.lines import mixed

EVENT = {"detail-type": "Object Created", "detail": {"object": {"key": "input/x.jsonl"}}}


class Refusing:
    """An SQS client whose calls of one kind fail, or are refused for some of their entries."""

    def __init__(self, dies_at: str = "", refuses: frozenset[str] = frozenset()) -> None:
        self._client = boto3.client("sqs", region_name=REGION)
        self._dies_at, self._refuses = dies_at, refuses

    def __getattr__(self, name: str) -> Any:
        if name == self._dies_at:
            raise ConnectionError(name)
        return getattr(self._client, name)

    def send_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803 - boto3's names
        taken = [each for each in Entries if each["Id"] not in self._refuses]
        answer = self._client.send_message_batch(QueueUrl=QueueUrl, Entries=taken) if taken else {}
        refused = [{"Id": each["Id"], "Code": "InternalError"} for each in Entries if each["Id"] in self._refuses]
        return {"Successful": answer.get("Successful", []), "Failed": refused}


def bury(cloud: Cloud, step: str, body: Any, **attributes: str) -> None:
    url = getattr(cloud.services.settings, f"{step}_dead_letters")
    named = {name: {"DataType": "Number", "StringValue": value} for name, value in attributes.items()}
    cloud.sqs.send_message(QueueUrl=url, MessageBody=json.dumps(body), MessageAttributes=named)


def lying(cloud: Cloud, url: str) -> dict[str, int]:
    """How many messages of a queue can be received, are held by a receiver, or are delayed."""
    found = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
    names = {"seen": "", "held": "NotVisible", "delayed": "Delayed"}
    return {name: int(found[f"ApproximateNumberOfMessages{each}"]) for name, each in names.items()}


def redriven(times: int | None, cloud: Cloud) -> tuple[int, int]:
    """The delay of a dead letter that was sent again so often before, and its new count."""
    sent: list[Any] = []

    class Noting(Refusing):
        def send_message_batch(self, *, QueueUrl: str, Entries: list[Any]) -> Any:  # noqa: N803 - boto3's names
            sent.extend(Entries)
            return super().send_message_batch(QueueUrl=QueueUrl, Entries=Entries)

    bury(cloud, "intake", EVENT, **({} if times is None else {"redriven": str(times)}))
    assert Queues(Noting(), cloud.services.settings).redrive() == 1  # type: ignore[arg-type]  # a stand-in by shape
    (entry,) = sent
    assert json.loads(entry["MessageBody"]) == EVENT
    return entry["DelaySeconds"], int(entry["MessageAttributes"]["redriven"]["StringValue"])


def test_a_dead_letter_of_every_step_goes_to_the_queue_it_came_from(cloud: Cloud) -> None:
    settings = cloud.services.settings
    for step in ("intake", "plan", "submit", "finish", "collect", "assemble", "publish"):
        bury(cloud, step, {"of": step})
    cloud.tick()
    for dead_letters, queue in settings.redrives():
        assert lying(cloud, dead_letters) == {"seen": 0, "held": 0, "delayed": 0}
        assert lying(cloud, queue) == {"seen": 0, "held": 0, "delayed": 1}


def test_a_job_whose_messages_all_died_is_done_all_the_same(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl(mixed(4)))
    for message in cloud.sqs.receive_message(QueueUrl=cloud.queue_urls["plan"])["Messages"]:
        cloud.sqs.delete_message(QueueUrl=cloud.queue_urls["plan"], ReceiptHandle=message["ReceiptHandle"])
        bury(cloud, "plan", json.loads(message["Body"]))
    cloud.settle()
    assert job is not None
    assert cloud.outcome(job).manifest.status == "COMPLETED"


def test_many_dead_letters_are_sent_in_one_run(cloud: Cloud) -> None:
    for number in range(25):
        bury(cloud, "intake", {"number": number})
    queues = cloud.services.queues
    assert [queues.redrive(), queues.redrive()] == [25, 0]


def test_a_message_that_can_never_be_handled_comes_ever_later(cloud: Cloud) -> None:
    assert [redriven(times, cloud) for times in (None, 1, 2, 3, 4, 199)] == [
        (60, 1),
        (120, 2),
        (240, 3),
        (480, 4),
        (900, 5),
        (900, 200),
    ]


def test_a_redrive_that_dies_after_it_sent_only_repeats(cloud: Cloud) -> None:
    settings = cloud.services.settings
    bury(cloud, "intake", EVENT)
    dying = Queues(Refusing("delete_message_batch"), settings)  # type: ignore[arg-type]  # a stand-in by shape
    try:
        dying.redrive()
    except ConnectionError:
        assert lying(cloud, str(settings.intake_dead_letters)) == {"seen": 0, "held": 1, "delayed": 0}
    assert lying(cloud, str(settings.intake_queue)) == {"seen": 0, "held": 0, "delayed": 1}


def test_what_the_queue_refuses_inside_a_success_stays_a_dead_letter(cloud: Cloud) -> None:
    settings = cloud.services.settings
    for number in range(3):
        bury(cloud, "intake", {"number": number})
    refusing = Queues(Refusing(refuses=frozenset({"1"})), settings)  # type: ignore[arg-type]  # a stand-in by shape
    assert refusing.redrive() == 2
    assert lying(cloud, str(settings.intake_dead_letters)) == {"seen": 0, "held": 1, "delayed": 0}


def test_a_dead_letter_queue_that_cannot_be_read_does_not_stop_the_sweep(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl(mixed(4)))
    cloud.sqs.delete_queue(QueueUrl=cloud.services.settings.collect_dead_letters)
    cloud.settle()
    assert job is not None
    assert cloud.outcome(job).manifest.status == "COMPLETED"


def test_a_message_that_can_never_be_handled_is_dropped_in_the_end(cloud: Cloud) -> None:
    bury(cloud, "submit", {"of": "nothing"}, redriven="200")
    bury(cloud, "submit", {"of": "another"}, redriven="199")
    cloud.tick()
    assert lying(cloud, str(cloud.services.settings.submit_dead_letters)) == {"seen": 0, "held": 0, "delayed": 0}
    assert lying(cloud, str(cloud.services.settings.submit_queue)) == {"seen": 0, "held": 0, "delayed": 1}


def test_somebody_elses_attribute_stops_no_dead_letter(cloud: Cloud) -> None:
    bury(cloud, "submit", {"of": "nothing"}, redriven="-1")
    bury(cloud, "submit", {"of": "another"})
    cloud.tick()
    assert lying(cloud, str(cloud.services.settings.submit_queue)) == {"seen": 0, "held": 0, "delayed": 2}
