"""The one stack, and what it tells: its outputs are how the command finds it."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from batchdrop import __version__
from batchdrop.providers.config import load_providers
from constructs import Construct

from infra.alarms import Alarms
from infra.context import Context
from infra.dashboard import Dashboard
from infra.pipeline import Pipeline
from infra.rules import acknowledge_rules
from infra.storage import Storage


class BatchdropStack(cdk.Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: Context,
    ) -> None:
        # No environment: the template says nothing of the account and the region that it is deployed to, and is the
        # same with credentials and without.
        super().__init__(
            scope,
            construct_id,
            termination_protection=not context.disposable,
            description="Drop a JSONL file of LLM requests into a bucket; the answers come back beside it.",
        )
        deployment = deployment_name(self.stack_id)
        keys = {name: provider.secret for name, provider in load_providers(context.providers_file).items()}
        kms_key = kms.Key.from_key_arn(self, "Key", context.kms_key) if context.kms_key is not None else None
        storage = Storage(
            self,
            "Storage",
            disposable=context.disposable,
            table=context.table,
            bucket=context.bucket,
            kms_key=kms_key,
        )
        pipeline = Pipeline(
            self,
            "Pipeline",
            storage=storage,
            context=context,
            deployment=deployment,
            provider_secrets=keys,
            kms_key=kms_key,
        )
        alarms = Alarms(self, "Alarms", pipeline=pipeline, context=context, kms_key=kms_key)
        Dashboard(self, "Dashboard", pipeline=pipeline, storage=storage, alarms=alarms.all_of_them())
        acknowledge_rules(self, storage=storage, pipeline=pipeline, is_traced=context.tracing)
        outputs = {
            "Bucket": storage.bucket.bucket_name,
            "Table": storage.table.table_name,
            "Deployment": deployment,
            "Version": __version__,
            "PollFunction": pipeline.poll.function.function_name,
            "SweepFunction": pipeline.sweep.function.function_name,
            "Providers": ",".join(keys),
            "Region": self.region,
        }
        if pipeline.notice_topic is not None:
            outputs["NoticeTopic"] = pipeline.notice_topic.topic_arn
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)


def deployment_name(stack_id: str) -> str:
    """Name this deployment at the providers, where several may share a key: the same as long as the stack lives.

    The first 12 digits of the UUID that ends the stack's id, put together by CloudFormation when it deploys:
    `arn:aws:cloudformation:eu-west-1:123456789012:stack/batchdrop/51af3dc0-da77-11e4-872e-1234567bda5d`.
    """
    uuid = cdk.Fn.select(2, cdk.Fn.split("/", stack_id))
    return cdk.Fn.join("", [cdk.Fn.select(group, cdk.Fn.split("-", uuid)) for group in (0, 1)])
