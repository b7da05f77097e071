"""One step's function, its log group and its role, which allows nothing by default."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_logs as logs
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sns as sns
from batchdrop.aws.events import SOURCE
from constructs import Construct

from infra.bundling import RUNTIME
from infra.context import Context
from infra.queues import StepQueue
from infra.storage import Storage

NO_RETRIES = 0
# What Lambda asks for: https://docs.aws.amazon.com/lambda/latest/dg/services-sqs-configure.html.
RECEIVING = ["sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"]
# A run that finds no room in the account waits for it: Lambda tries a throttled event again after a second, then ever
# later, until it is so old (https://docs.aws.amazon.com/lambda/latest/dg/invocation-async-error-handling.html). That
# is longer than any function runs that may have taken its place.
EVENT_AGE = cdk.Duration.minutes(20)


class Step(Construct):
    def __init__(  # noqa: PLR0913 what differs between steps has no default
        self,
        scope: Construct,
        construct_id: str,
        *,
        code: lambda_.Code,
        context: Context,
        environment: dict[str, str],
        memory_mib: int,
        limit_seconds: int,
        tmp_mib: int,
        kms_key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self.rules: dict[str, events.Rule] = {}
        name = construct_id.lower()
        log_group = logs.LogGroup(
            self,
            "Logs",
            retention=context.log_retention,
            removal_policy=cdk.RemovalPolicy.DESTROY,
            encryption_key=kms_key,
        )
        # Lambda's managed policy would let it write to every log group of the account.
        role = iam.Role(self, "Role", assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"))
        log_group.grant_write(role)
        self.function = lambda_.Function(
            self,
            "Function",
            description=f"batchdrop: {name}",
            runtime=RUNTIME,
            architecture=context.architecture,
            code=code,
            handler=f"handlers.{name}.handler",
            role=role,
            memory_size=memory_mib,
            ephemeral_storage_size=cdk.Size.mebibytes(tmp_mib),
            timeout=cdk.Duration.seconds(min(limit_seconds, context.function_seconds)),
            environment=environment | {"POWERTOOLS_SERVICE_NAME": name} | _tracing(is_on=context.tracing),
            tracing=lambda_.Tracing.ACTIVE if context.tracing else lambda_.Tracing.DISABLED,
            log_group=log_group,
            logging_format=lambda_.LoggingFormat.JSON,
        )
        if kms_key is not None:  # each step reads and writes what is under it, objects or messages
            self._may(["kms:Decrypt", "kms:GenerateDataKey"], kms_key.key_arn)

    def started_by(self, queue: StepQueue, *, batch_size: int, max_concurrency: int) -> None:
        # The CDK's `SqsEventSource` would allow more than Lambda needs. The id is the one that it gives: with another,
        # CloudFormation would make a second mapping of this queue, which Lambda refuses, before it deletes the first.
        self.function.add_event_source_mapping(
            f"SqsEventSource:{cdk.Names.node_unique_id(queue.queue.node)}",
            event_source_arn=queue.queue.queue_arn,
            batch_size=batch_size,
            max_concurrency=max_concurrency,
            report_batch_item_failures=True,
        )
        self._may(RECEIVING, queue.queue.queue_arn)

    def started_every(self, pace: cdk.Duration, rules: dict[str, dict[str, str]]) -> None:
        """One rule for each input. A run that fails is not repeated, and one that comes too late is dropped."""
        self.function.configure_async_invoke(retry_attempts=NO_RETRIES, max_event_age=EVENT_AGE)
        for rule, payload in rules.items():
            self.rules[rule] = events.Rule(
                self,
                rule,
                schedule=events.Schedule.rate(pace),
                targets=[
                    targets.LambdaFunction(
                        self.function,
                        event=events.RuleTargetInput.from_object(payload),
                        retry_attempts=NO_RETRIES,
                        max_event_age=EVENT_AGE,
                    )
                ],
            )

    def may_read(self, storage: Storage, *folders: str) -> None:
        storage.allow_reading(self.function, *folders)

    def may_write(self, storage: Storage, *folders: str) -> None:
        storage.allow_writing(self.function, *folders)

    def may_delete(self, storage: Storage, *folders: str) -> None:
        storage.allow_deleting(self.function, *folders)

    def may_abort_uploads(self, storage: Storage, *folders: str) -> None:
        storage.allow_aborting(self.function, *folders)

    def may_resume_uploads(self, storage: Storage, *folders: str) -> None:
        storage.allow_resuming(self.function, *folders)

    def may_list(self, storage: Storage) -> None:
        storage.allow_listing(self.function)

    def may_use_rows(self, storage: Storage, *operations: str) -> None:
        storage.allow_rows(self.function, *operations)

    def may_find_due_rows(self, storage: Storage) -> None:
        storage.allow_finding_due(self.function)

    def may_decrypt(self, kms_keys: tuple[str, ...]) -> None:
        """Read objects that were encrypted with these keys, whose own policies must allow it, too."""
        if kms_keys:
            self._may(["kms:Decrypt"], *kms_keys)

    def may_describe_table(self, storage: Storage) -> None:
        """See how old the table is: a restored one knows nothing of what was sent since."""
        storage.allow_describing(self.function)

    def may_send_to(self, *queues: StepQueue) -> None:
        for queue in queues:
            self._may(["sqs:SendMessage"], queue.queue.queue_arn)
            self.function.add_environment(queue.variable, queue.queue.queue_url)

    def may_redrive(self, *queues: StepQueue) -> None:
        for queue in queues:
            self._may(["sqs:ReceiveMessage", "sqs:DeleteMessage"], queue.dead_letters.queue_arn)
            self.function.add_environment(queue.dead_letters_variable, queue.dead_letters.queue_url)

    def may_read_keys(self, keys: list[secrets.ISecret]) -> None:
        """Read secrets that are known by their names: Secrets Manager adds six characters to each ARN."""
        self._may(["secretsmanager:GetSecretValue"], *(f"{key.secret_arn}-??????" for key in keys))

    def may_put_events(self, bus: events.IEventBus) -> None:
        """Send events of batchdrop's own, and none in the name of others.

        All of a call's events must be: the key has a value for each
        (https://docs.aws.amazon.com/eventbridge/latest/userguide/eb-use-conditions.html).
        """
        self.function.add_to_role_policy(
            iam.PolicyStatement(
                actions=["events:PutEvents"],
                resources=[bus.event_bus_arn],
                conditions={"ForAllValues:StringEquals": {"events:source": SOURCE}},
            )
        )

    def may_sign_webhooks(self, secret: secrets.ISecret) -> None:
        self._may(["secretsmanager:GetSecretValue"], secret.secret_arn)
        self.function.add_environment("BATCHDROP_NOTIFY_SECRET", secret.secret_arn)

    def may_publish(self, topic: sns.ITopic) -> None:
        self._may(["sns:Publish"], topic.topic_arn)

    def _may(self, actions: list[str], *resources: str) -> None:
        self.function.add_to_role_policy(iam.PolicyStatement(actions=actions, resources=list(resources)))


def _tracing(*, is_on: bool) -> dict[str, str]:
    """Settings of Powertools' tracer; should it ever be asked for more, it sends no answers and no exceptions."""
    names = ("CAPTURE_RESPONSE", "CAPTURE_ERROR")
    captured = {f"POWERTOOLS_TRACER_{name}": "false" for name in names} if is_on else {}
    return {"POWERTOOLS_TRACE_DISABLED": str(not is_on).lower(), **captured}
