"""The functions in flow order: for each, beside one another, what starts it and what it may touch."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_kms as kms
from aws_cdk import aws_secretsmanager as secrets
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.bundling import code_asset
from infra.context import VISIBILITY_MARGIN_SECONDS, Context
from infra.notices import Webhooks, notice_rule, notice_topic
from infra.queues import StepQueue, allow_rule
from infra.step import Step
from infra.storage import Storage

LONG = 900  # seconds; Lambda's limit
SHORT = 60
QUICK = 30
MIB_ON_TMP = 512  # what Lambda gives without asking
GIB = 1024
RULE_RETRIES = 185  # EventBridge's own greatest values: a dropped file is worth a day of trying
RULE_EVENT_AGE = cdk.Duration.hours(24)


def poll_rule(provider: str) -> str:
    """Name the rule of poll's that asks a provider."""
    return f"Every-{provider}"


class Pipeline(Construct):
    """The way of a file, step by step."""

    def __init__(  # noqa: PLR0913 what differs between deployments is said, never assumed
        self,
        scope: Construct,
        construct_id: str,
        *,
        storage: Storage,
        context: Context,
        deployment: str,
        provider_secrets: dict[str, str],
        kms_key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, construct_id)
        self._context = context
        self._storage = storage
        self._kms_key = kms_key
        self._bus = events.EventBus.from_event_bus_name(self, "Bus", "default")
        self._code = code_asset(architecture=context.architecture, providers_file=context.providers_file)
        self._keys = [
            secrets.Secret.from_secret_name_v2(self, f"Key-{name}", secret) for name, secret in provider_secrets.items()
        ]
        self._environment = {
            "BATCHDROP_BUCKET": storage.bucket.bucket_name,
            "BATCHDROP_TABLE": storage.table.table_name,
            "BATCHDROP_DEPLOYMENT": deployment,
            "BATCHDROP_LEASE_SECONDS": str(context.lease_seconds),
            "BATCHDROP_FUNCTION_SECONDS": str(context.function_seconds),
            "BATCHDROP_TICK_SECONDS": str(context.tick_seconds),
            "BATCHDROP_SPLIT_BYTES": str(context.split_bytes),
            "POWERTOOLS_METRICS_NAMESPACE": "batchdrop",
            "POWERTOOLS_LOG_LEVEL": "INFO",
        }
        self.steps: list[Step] = []
        self.queues: list[StepQueue] = []

        self._to_intake = self._queue("intake", QUICK)
        self._to_plan = self._queue("plan", LONG)
        self._to_submit = self._queue("submit", LONG)
        self._to_finish = self._queue("finish", LONG)
        self._to_collect = self._queue("collect", LONG)
        self._to_assemble = self._queue("assemble", LONG)
        self._to_publish = self._queue("publish", LONG)

        self._intake()
        self._plan()
        self._submit()
        self.providers = list(provider_secrets)
        self.poll = self._poll(self.providers)
        self._collect()
        self._assemble()
        self._publish()
        self._finish()
        self.notice_topic = self._notify() if context.notify_emails or context.notify_webhooks else None
        self.sweep = self._sweep()

    def _intake(self) -> None:
        """An object was created under input/: a job and its splits."""
        step = self._step("Intake", memory_mib=256, limit_seconds=QUICK)
        self._object_created(self._to_intake)
        step.started_by(self._to_intake, batch_size=10, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "input", "output")  # a manifest: what it ended is not planned again
        step.may_write(self._storage, "work")  # a template, as it is when the file is dropped
        step.may_decrypt(self._context.readable_kms_keys)
        step.may_use_rows(self._storage, "GetItem", "PutItem", "UpdateItem")
        step.may_describe_table(self._storage)
        step.may_send_to(self._to_plan, self._to_publish)

    def _plan(self) -> None:
        """A split is read: request files, rows. A compressed file gets its splits here. The last one opens the job."""
        step = self._step("Plan", memory_mib=1024, limit_seconds=LONG, tmp_mib=10 * GIB)
        step.started_by(self._to_plan, batch_size=1, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "input", "work")
        step.may_decrypt(self._context.readable_kms_keys)
        step.may_write(self._storage, "work")
        step.may_abort_uploads(self._storage, "work")
        step.may_use_rows(self._storage, "GetItem", "Query", "PutItem", "UpdateItem")
        step.may_find_due_rows(self._storage)
        step.may_describe_table(self._storage)
        step.may_send_to(self._to_plan, self._to_submit, self._to_assemble, self._to_publish)

    def _submit(self) -> None:
        """A batch is created at its provider, once."""
        step = self._step("Submit", memory_mib=1024, limit_seconds=LONG, tmp_mib=GIB)
        step.started_by(self._to_submit, batch_size=1, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "work")
        step.may_write(self._storage, "work")  # a refused batch may be the last of its round: the next is planned
        step.may_use_rows(
            self._storage, "GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem", "ConditionCheckItem"
        )
        step.may_find_due_rows(self._storage)
        step.may_describe_table(self._storage)
        step.may_send_to(self._to_submit, self._to_finish, self._to_assemble)
        step.may_read_keys(self._keys)
        step.may_put_events(self._bus)

    def _poll(self, providers: list[str]) -> Step:
        """Every minute, for each provider: which batches ended?"""
        step = self._step("Poll", memory_mib=512, limit_seconds=SHORT)
        step.started_every(self._context.pace, {poll_rule(name): {"provider": name} for name in providers})
        step.may_read(self._storage, "work")  # a batch that never ends may be the last of its round too
        step.may_write(self._storage, "work")
        step.may_use_rows(self._storage, "GetItem", "Query", "PutItem", "UpdateItem")
        step.may_find_due_rows(self._storage)
        step.may_describe_table(self._storage)
        step.may_send_to(self._to_submit, self._to_finish, self._to_collect, self._to_assemble)
        step.may_read_keys(self._keys)
        step.may_put_events(self._bus)
        return step

    def _collect(self) -> None:
        """An ended batch: the provider's files are saved, every request is accounted for."""
        step = self._step("Collect", memory_mib=1024, limit_seconds=LONG, tmp_mib=10 * GIB)
        step.started_by(self._to_collect, batch_size=1, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "work")
        step.may_write(self._storage, "work")
        step.may_abort_uploads(self._storage, "work")
        step.may_use_rows(self._storage, "GetItem", "Query", "PutItem", "UpdateItem")
        step.may_find_due_rows(self._storage)
        step.may_describe_table(self._storage)
        step.may_send_to(self._to_submit, self._to_finish, self._to_assemble)
        step.may_read_keys(self._keys)
        step.may_put_events(self._bus)

    def _assemble(self) -> None:
        """A split with no open batch: answers joined to its lines, in order."""
        step = self._step("Assemble", memory_mib=1024, limit_seconds=LONG, tmp_mib=10 * GIB)
        step.started_by(self._to_assemble, batch_size=1, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "input", "work")
        step.may_decrypt(self._context.readable_kms_keys)
        step.may_write(self._storage, "work")
        step.may_use_rows(self._storage, "GetItem", "Query", "UpdateItem")
        step.may_send_to(self._to_publish)

    def _publish(self) -> None:
        """The job's files, its manifest last, its event. Nothing else writes output/."""
        step = self._step("Publish", memory_mib=512, limit_seconds=LONG)
        step.started_by(self._to_publish, batch_size=1, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "work", "output")
        step.may_write(self._storage, "output")
        step.may_delete(self._storage, "work")
        step.may_list(self._storage)
        step.may_resume_uploads(self._storage, "output")
        step.may_use_rows(self._storage, "GetItem", "Query", "UpdateItem", "DeleteItem")
        step.may_put_events(self._bus)

    def _finish(self) -> None:
        """Call the remaining requests of a job at its last safe moment."""
        step = self._step("Finish", memory_mib=1024, limit_seconds=LONG, tmp_mib=GIB)
        step.started_by(self._to_finish, batch_size=1, max_concurrency=self._context.max_concurrency)
        step.may_read(self._storage, "work")
        step.may_write(self._storage, "work")
        step.may_abort_uploads(self._storage, "work")
        step.may_use_rows(self._storage, "GetItem", "Query", "UpdateItem", "ConditionCheckItem")
        step.may_describe_table(self._storage)
        step.may_send_to(self._to_finish, self._to_collect)
        step.may_read_keys(self._keys)
        step.may_put_events(self._bus)

    def _notify(self) -> sns.Topic | None:
        """Send an event to one of the places that want it, which only the deployer names."""
        queue = self._queue("notify", SHORT)
        step = self._step("Notify", memory_mib=256, limit_seconds=SHORT)
        step.started_by(queue, batch_size=1, max_concurrency=self._context.max_concurrency)
        places = [{"webhook": address} for address in self._context.notify_webhooks]
        if places:
            step.may_sign_webhooks(Webhooks(self, "Webhooks", kms_key=self._kms_key).secret)
        topic = None
        if self._context.notify_emails:
            topic = notice_topic(self, "Notices", self._context.notify_emails, self._kms_key)
            step.may_publish(topic)
            places.append({"topic": topic.topic_arn})
        for number, place in enumerate(places):
            allow_rule(queue, notice_rule(self, f"Told{number}", queue, place))
        return topic

    def _sweep(self) -> Step:
        """Every minute: re-queue stalled work, admit batches that fit, clean up finished jobs."""
        step = self._step("Sweep", memory_mib=512, limit_seconds=SHORT)
        step.started_every(self._context.pace, {"Every": {}})
        # Settings, which may let a held job go on; a manifest that is there says how its job ended.
        step.may_read(self._storage, "input", "work", "output")
        step.may_decrypt(self._context.readable_kms_keys)
        step.may_write(self._storage, "work")
        step.may_delete(self._storage, "work")
        step.may_list(self._storage)
        step.may_use_rows(self._storage, "GetItem", "Query", "PutItem", "UpdateItem", "DeleteItem")
        step.may_find_due_rows(self._storage)
        step.may_describe_table(self._storage)
        step.may_send_to(*self.queues)
        step.may_redrive(*self.queues)
        step.may_read_keys(self._keys)
        step.may_put_events(self._bus)
        return step

    def _queue(self, step: str, limit_seconds: int) -> StepQueue:
        limit = min(limit_seconds, self._context.function_seconds)
        queue = StepQueue(
            self,
            f"{step.capitalize()}Queue",
            step=step,
            visibility_seconds=limit + VISIBILITY_MARGIN_SECONDS,
            kms_key=self._kms_key,
        )
        self.queues.append(queue)
        return queue

    def _step(self, name: str, *, memory_mib: int, limit_seconds: int, tmp_mib: int = MIB_ON_TMP) -> Step:
        step = Step(
            self,
            name,
            code=self._code,
            context=self._context,
            environment=self._environment,
            memory_mib=memory_mib,
            limit_seconds=limit_seconds,
            tmp_mib=tmp_mib,
            kms_key=self._kms_key,
        )
        self.steps.append(step)
        return step

    def _object_created(self, queue: StepQueue) -> None:
        # The CDK would let EventBridge do more with the queue than send, and under a KMS key for any account's rules.
        target = sqs.Queue.from_queue_arn(self, "Dropped", queue.queue.queue_arn)
        rule = events.Rule(
            self,
            "ObjectCreated",
            event_pattern=events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created"],
                detail={
                    "bucket": {"name": [self._storage.bucket.bucket_name]},
                    "object": {"key": [{"prefix": "input/"}]},
                },
            ),
            targets=[
                targets.SqsQueue(
                    target,
                    dead_letter_queue=queue.dead_letters,  # what it holds is what the queue would: sweep sends it
                    retry_attempts=RULE_RETRIES,
                    max_event_age=RULE_EVENT_AGE,
                )
            ],
        )
        allow_rule(queue, rule)
