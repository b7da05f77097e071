"""A queue for each step that one message starts."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sqs as sqs
from constructs import Construct

MAX_RECEIVES = 20  # throttling counts as a receive, and a new account runs only 10 functions at once
QUEUE_DAYS = 4
DEAD_LETTER_DAYS = 14  # counted from when the message was first sent, so it must be longer than the queue's


class StepQueue(Construct):
    """A queue and the dead-letter queue behind it."""

    def __init__(
        self, scope: Construct, construct_id: str, *, step: str, visibility_seconds: int, kms_key: kms.IKey | None
    ) -> None:
        super().__init__(scope, construct_id)
        self.step = step
        self.dead_letters = dead_letter_queue(self, "DeadLetters", kms_key)
        self.queue = sqs.Queue(
            self,
            "Queue",
            encryption=encryption(kms_key),
            encryption_master_key=kms_key,
            enforce_ssl=True,
            retention_period=cdk.Duration.days(QUEUE_DAYS),
            visibility_timeout=cdk.Duration.seconds(visibility_seconds),
            dead_letter_queue=sqs.DeadLetterQueue(queue=self.dead_letters, max_receive_count=MAX_RECEIVES),
        )

    @property
    def variable(self) -> str:
        """The environment variable that tells a sender the queue's address."""
        return f"BATCHDROP_{self.step.upper()}_QUEUE"

    @property
    def dead_letters_variable(self) -> str:
        """The same of the dead-letter queue."""
        return f"BATCHDROP_{self.step.upper()}_DEAD_LETTERS"


def dead_letter_queue(scope: Construct, construct_id: str, kms_key: kms.IKey | None) -> sqs.Queue:
    return sqs.Queue(
        scope,
        construct_id,
        encryption=encryption(kms_key),
        encryption_master_key=kms_key,
        enforce_ssl=True,
        retention_period=cdk.Duration.days(DEAD_LETTER_DAYS),
    )


def allow_rule(queue: StepQueue, rule: events.IRule) -> None:
    """Let this rule send to the queue, and nobody's others."""
    queue.queue.add_to_resource_policy(
        iam.PolicyStatement(
            principals=[iam.ServicePrincipal("events.amazonaws.com")],
            actions=["sqs:SendMessage"],
            resources=[queue.queue.queue_arn],
            conditions={"ArnEquals": {"aws:SourceArn": rule.rule_arn}},
        )
    )


def encryption(kms_key: kms.IKey | None) -> sqs.QueueEncryption:
    """SQS's own key, or that of the deployment: EventBridge cannot write to a queue under `aws/sqs`."""
    return sqs.QueueEncryption.SQS_MANAGED if kms_key is None else sqs.QueueEncryption.KMS
