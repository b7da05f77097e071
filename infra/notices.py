"""Sends events to people by a topic, to programs by webhooks. Only the deployer names them."""

from collections.abc import Sequence

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from batchdrop.aws.events import SOURCE
from batchdrop.notices import KINDS
from constructs import Construct

from infra.queues import StepQueue

KEY_CHARACTERS = 44  # letters and digits: as base64 they are 33 bytes; Standard Webhooks wants 24 to 64


class Webhooks(Construct):
    """The secret that signs what webhooks are sent; receivers are given it with `whsec_` before it."""

    def __init__(self, scope: Construct, construct_id: str, *, kms_key: kms.IKey | None) -> None:
        super().__init__(scope, construct_id)
        self.secret = secrets.Secret(
            self,
            "Secret",
            description="Signs batchdrop's webhooks (Standard Webhooks): receivers need it, with whsec_ before it",
            encryption_key=kms_key,
            generate_secret_string=secrets.SecretStringGenerator(
                password_length=KEY_CHARACTERS, exclude_punctuation=True, include_space=False
            ),
        )


def notice_topic(scope: Construct, construct_id: str, emails: Sequence[str], kms_key: kms.IKey | None) -> sns.Topic:
    topic = sns.Topic(scope, construct_id, enforce_ssl=True, master_key=kms_key)
    for email in emails:
        topic.add_subscription(subscriptions.EmailSubscription(email))
    return topic


def notice_rule(scope: Construct, construct_id: str, queue: StepQueue, place: dict[str, str]) -> events.Rule:
    """Each place has a rule and so a message of its own: one that fails does not repeat the others."""
    field = events.EventField
    message = {
        "id": field.event_id,
        "type": field.detail_type,
        "time": field.time,
        "detail": field.from_path("$.detail"),
        **place,
    }
    return events.Rule(
        scope,
        construct_id,
        event_pattern=events.EventPattern(
            source=[SOURCE], detail_type=sorted(KINDS), account=[cdk.Stack.of(scope).account]
        ),
        targets=[
            targets.SqsQueue(
                sqs.Queue.from_queue_arn(scope, f"{construct_id}Queue", queue.queue.queue_arn),
                dead_letter_queue=queue.dead_letters,
                message=events.RuleTargetInput.from_object(message),
            )
        ],
    )
