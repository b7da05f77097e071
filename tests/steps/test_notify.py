"""An event is told to one place: a topic, or a webhook that is signed as Standard Webhooks asks for."""

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from batchdrop.aws.deliveries import Deliveries, key_of, sign
from batchdrop.errors import Transient
from batchdrop.steps.notify import notify
from faking.webhook import Receiver, receiving
from moto import mock_aws

if TYPE_CHECKING:
    from mypy_boto3_secretsmanager import SecretsManagerClient
    from mypy_boto3_sns import SNSClient
    from mypy_boto3_sqs import SQSClient

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
NOW = 1_614_265_330
DETAIL = {"schema": "batchdrop.event/1", "provider": "openai", "reason": "It refuses the key."}


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with receiving() as made:
        yield made


@pytest.fixture
def deliveries(monkeypatch: pytest.MonkeyPatch) -> Iterator[Deliveries]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "testing")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
    with mock_aws():
        sns: SNSClient = boto3.client("sns")
        secrets: SecretsManagerClient = boto3.client("secretsmanager")
        secrets.create_secret(Name="hooks", SecretString=SECRET)
        yield Deliveries(sns, secrets, "hooks")


def message(**place: str) -> str:
    told: dict[str, Any] = {"id": "msg_1", "type": "Provider Paused", "time": "2026-11-05T09:14:12Z", "detail": DETAIL}
    return json.dumps(told | place)


def test_a_signature_is_that_of_the_specifications_example() -> None:
    signed = sign(key_of(SECRET), "msg_p5jXN8AQM9LWM0D4loKWxJek", NOW, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize("secret", [f"{SECRET}!", f"whsec_{SECRET}", "whsec_c2hvcnQ=", "whsec_", "whsec_é" * 10])
def test_a_secret_that_is_none_is_told_by_its_name_alone(secret: str, deliveries: Deliveries) -> None:
    client: SecretsManagerClient = boto3.client("secretsmanager")
    client.put_secret_value(SecretId="hooks", SecretString=secret)
    with pytest.raises(ValueError, match="set the secret hooks again, which signs webhooks: it") as told:
        notify(message(webhook="http://127.0.0.1:1/"), deliveries, now=NOW)
    assert told.value.__suppress_context__
    assert str(told.value).endswith(("not base64", "at least 24 are needed"))


def test_an_answer_without_an_end_is_not_waited_for(deliveries: Deliveries, receiver: Receiver) -> None:
    receiver.is_endless = True
    notify(message(webhook=receiver.url), deliveries, now=NOW)
    receiver.status = 503
    with pytest.raises(Transient, match="the webhook answered 503"):
        notify(message(webhook=receiver.url), deliveries, now=NOW)
    receiver.is_over.set()
    assert len(receiver.sent) == 2


def threads() -> set[threading.Thread]:
    """All but those in which the receiver answers."""
    return {each for each in threading.enumerate() if "process_request_thread" not in each.name}


def test_one_whose_answer_drips_is_left_and_the_next_place_is_told(deliveries: Deliveries, receiver: Receiver) -> None:
    impatient = Deliveries(boto3.client("sns"), boto3.client("secretsmanager"), "hooks", seconds=0.5)
    receiver.is_dripping, before = True, threads()
    while not receiver.drips.is_set():  # a busy machine may not have sent it in time
        with pytest.raises(Transient, match=r"the webhook did not answer within 0\.5 seconds"):
            notify(message(webhook=receiver.url), impatient, now=NOW)
    assert receiver.is_left.wait(30)
    assert threads() == before
    receiver.is_dripping = False
    notify(message(webhook=receiver.url, id="msg_2"), deliveries, now=NOW)
    assert receiver.sent[-1][0]["webhook-id"] == "msg_2"


def test_a_webhook_gets_the_events_detail_signed(deliveries: Deliveries, receiver: Receiver) -> None:
    notify(message(webhook=receiver.url), deliveries, now=NOW)
    ((headers, body),) = receiver.sent
    assert json.loads(body) == {"type": "provider.paused", "timestamp": "2026-11-05T09:14:12Z", "data": DETAIL}
    assert (headers["webhook-id"], headers["webhook-timestamp"]) == ("msg_1", str(NOW))
    key = base64.b64decode(SECRET.removeprefix("whsec_"))
    expected = hmac.digest(key, b"msg_1.%d.%s" % (NOW, body), hashlib.sha256)
    assert headers["webhook-signature"] == f"v1,{base64.b64encode(expected).decode()}"


def test_the_same_event_twice_has_the_same_id(deliveries: Deliveries, receiver: Receiver) -> None:
    for now in (NOW, NOW + 65):
        notify(message(webhook=receiver.url), deliveries, now=now)
    assert [headers["webhook-id"] for headers, _ in receiver.sent] == ["msg_1", "msg_1"]
    assert len({headers["webhook-signature"] for headers, _ in receiver.sent}) == 2


@pytest.mark.parametrize("status", [301, 302, 307, 400, 404, 429, 500, 503])
def test_what_a_webhook_does_not_take_is_sent_again(deliveries: Deliveries, receiver: Receiver, status: int) -> None:
    receiver.status = status
    with pytest.raises(Transient, match=f"the webhook answered {status}"):
        notify(message(webhook=receiver.url), deliveries, now=NOW)
    assert len(receiver.sent) == 1  # and no redirection is followed


@pytest.mark.parametrize("status", [200, 202, 204, 410])
def test_what_it_takes_and_one_that_is_gone_are_done(deliveries: Deliveries, receiver: Receiver, status: int) -> None:
    receiver.status = status
    notify(message(webhook=receiver.url), deliveries, now=NOW)
    assert len(receiver.sent) == 1


def test_one_that_does_not_answer_is_asked_again(deliveries: Deliveries) -> None:
    with pytest.raises(Transient, match="the webhook did not answer: ConnectError"):
        notify(message(webhook="http://127.0.0.1:1/hook?token=secret"), deliveries, now=NOW)


def test_the_topic_gets_the_notice(deliveries: Deliveries) -> None:
    sns: SNSClient = boto3.client("sns")
    sqs: SQSClient = boto3.client("sqs")
    topic = sns.create_topic(Name="notices")["TopicArn"]
    queue = sqs.create_queue(QueueName="inbox")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:eu-central-1:{topic.split(':')[4]}:inbox")
    notify(message(topic=topic), deliveries, now=NOW)
    (received,) = sqs.receive_message(QueueUrl=queue)["Messages"]
    body = json.loads(received["Body"])
    assert body["Subject"] == "batchdrop: openai takes no batches"
    assert "It refuses the key." in body["Message"]


def test_an_event_that_nobody_is_told_of_is_left_alone(deliveries: Deliveries, receiver: Receiver) -> None:
    told = json.loads(message(webhook=receiver.url)) | {"type": "Provider Resumed"}
    notify(json.dumps(told), deliveries, now=NOW)
    assert receiver.sent == []
