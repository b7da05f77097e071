"""A job that is over is told, on deployed functions: a program by a signed webhook, people by a topic."""

import json
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from e2e.conftest import User
from faking.cloud import jsonl
from faking.lines import capped, claude
from faking.webhook import Receiver, Sent, receiving
from standardwebhooks import Webhook, WebhookVerificationError

from local_cloud import deployment
from local_cloud.state import STACK_NAME, Folder

if TYPE_CHECKING:
    from e2e.conftest import Behind

pytestmark = pytest.mark.e2e

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def is_signed(sent: Sent) -> bool:
    headers, body = sent
    try:
        Webhook(KEY).verify(body, headers)
    except WebhookVerificationError:
        return False
    return True


@dataclass(frozen=True, kw_only=True)
class Told:
    webhook: Receiver
    inbox: Callable[[], list[dict[str, Any]]]


@pytest.fixture
def told(behind: "Behind", tmp_path: Path) -> Iterator[Told]:
    """A deployment that tells a webhook and a topic of its jobs, and whose functions' grants are enforced."""
    behind.up()
    authority, tls, trusted = trustme.CA(), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER), tmp_path / "authority.pem"
    authority.issue_cert("127.0.0.1").configure_cert(tls)
    authority.cert_pem.write_to_path(str(trusted))
    with receiving(tls=tls, takes=is_signed) as webhook:
        outputs = deploy(behind, notify_webhooks=webhook.url, notify_email="somebody@example.org")
        set_up_notify(behind, trusted)
        inbox = subscribe(behind, outputs["NoticeTopic"])
        behind.up(enforces_grants=True)
        yield Told(webhook=webhook, inbox=inbox)
        deploy(behind)  # the next tests find the template's own grants, and nothing that tells


def deploy(behind: "Behind", **named: str) -> dict[str, str]:
    """Change the stack as its deployer does; its outputs."""
    folder = Folder(behind.state_dir)
    saved = folder.read()
    assert saved is not None
    context = [option for name, value in named.items() for option in ("--context", f"{name}={value}")]
    command = ["deploy", STACK_NAME, "--require-approval", "never", *deployment.app_options(folder), *context]
    deployment.run_cdk(folder, saved, command, directory=deployment.ROOT)
    outputs = deployment.stack_outputs(saved)
    assert outputs is not None
    return outputs


def set_up_notify(behind: "Behind", trusted: Path) -> None:
    """Set the signing key, and have the function trust the receiver's certificate."""
    functions = behind.aws("lambda")
    pages = functions.get_paginator("list_functions").paginate()
    (notify,) = (each for page in pages for each in page["Functions"] if each["Handler"] == "handlers.notify.handler")
    variables = notify["Environment"]["Variables"]
    secret = variables["BATCHDROP_NOTIFY_SECRET"]
    arn = behind.aws("secretsmanager").put_secret_value(SecretId=secret, SecretString=KEY)["ARN"]
    functions.update_function_configuration(
        FunctionName=notify["FunctionName"], Environment={"Variables": variables | {"SSL_CERT_FILE": str(trusted)}}
    )
    # CloudFormation refers to a secret by its ARN, and ministack by its name: the role's grant names what it would.
    iam, role = behind.aws("iam"), notify["Role"].rpartition("/")[2]
    (policy,) = iam.list_role_policies(RoleName=role)["PolicyNames"]
    granted = json.dumps(iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"])
    assert granted.count(f'"{secret}"') == 1
    named = granted.replace(f'"{secret}"', f'"{arn}"')
    iam.put_role_policy(RoleName=role, PolicyName=policy, PolicyDocument=named)


def subscribe(behind: "Behind", topic: str) -> Callable[[], list[dict[str, Any]]]:
    """Somebody's queue behind the topic; what has come into it since."""
    sqs = behind.aws("sqs")
    url = sqs.create_queue(QueueName="somebodys-inbox")["QueueUrl"]
    arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    may = {"Effect": "Allow", "Principal": {"Service": "sns.amazonaws.com"}, "Action": "sqs:SendMessage"}
    policy = {"Version": "2012-10-17", "Statement": [may | {"Resource": arn}]}
    sqs.set_queue_attributes(QueueUrl=url, Attributes={"Policy": json.dumps(policy)})
    behind.aws("sns").subscribe(TopicArn=topic, Protocol="sqs", Endpoint=arn)

    def come() -> list[dict[str, Any]]:
        found = behind.aws("sqs").receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=1)
        return [json.loads(message["Body"]) for message in found.get("Messages", [])]

    return come


def test_a_job_that_is_over_is_told_to_a_webhook_and_to_a_topic(
    told: Told, behind: "Behind", said: dict[str, Any], tmp_path: Path
) -> None:
    answered = User(said, tmp_path).run("told", jsonl([capped("one"), claude("two"), b"{"]))
    manifest, noticed = answered.manifest, []

    def is_told() -> bool:
        noticed.extend(told.inbox())
        return bool(told.webhook.sent and noticed)

    behind.wait(is_told)
    bodies = {headers["webhook-id"]: json.loads(body) for headers, body in told.webhook.sent}
    (sent,) = bodies.values()
    assert (sent["type"], sent["data"]["job"]) == ("job.completed", manifest["job"])
    shared = ("status", "reason", "counts", "money", "input")
    assert {name: sent["data"][name] for name in shared} == {name: manifest[name] for name in shared}
    assert float(sent["data"]["money"]["cost_usd"]) > 0
    assert {each["Subject"] for each in noticed} == {"batchdrop: told.jsonl is done: 2 of 3 lines are answered"}
    assert f"  batchdrop results {manifest['job']}\n" in noticed[0]["Message"]
