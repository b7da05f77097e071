"""The one stack, and what it tells: its outputs are how the command finds it."""

import hashlib

import aws_cdk as cdk
from batchdrop.providers.config import load_providers
from constructs import Construct

from infra.alarms import Alarms
from infra.context import Context
from infra.pipeline import Pipeline
from infra.rules import acknowledge_rules
from infra.storage import Storage

DEPLOYMENT_LENGTH = 12  # it stands in every custom_id, which has 64 characters


class BatchdropStack(cdk.Stack):
    def __init__(
        self,
        scope: Construct,
        construct_id: str,
        *,
        context: Context,
        account: str | None,
        region: str | None,
    ) -> None:
        super().__init__(
            scope,
            construct_id,
            env=cdk.Environment(account=account, region=region),
            description="Drop a JSONL file of LLM requests into a bucket; the answers come back beside it.",
        )
        deployment = deployment_name(construct_id, account=account, region=region)
        keys = {name: provider.secret for name, provider in load_providers(context.providers_file).items()}
        storage = Storage(self, "Storage")
        pipeline = Pipeline(
            self, "Pipeline", storage=storage, context=context, deployment=deployment, provider_secrets=keys
        )
        Alarms(self, "Alarms", pipeline=pipeline, context=context)
        acknowledge_rules(self, storage=storage, pipeline=pipeline)
        outputs = {
            "Bucket": storage.bucket.bucket_name,
            "Table": storage.table.table_name,
            "Deployment": deployment,
            "PollFunction": pipeline.poll.function.function_name,
            "SweepFunction": pipeline.sweep.function.function_name,
            "Providers": ",".join(keys),
            "Region": self.region,
        }
        for name, value in outputs.items():
            cdk.CfnOutput(self, name, value=value)


def deployment_name(stack_name: str, *, account: str | None, region: str | None) -> str:
    """Name this deployment at the providers, where several may share a key: the same as long as the stack lives."""
    identity = f"{account}/{region}/{stack_name}" if account and region else stack_name
    return hashlib.sha256(identity.encode()).hexdigest()[:DEPLOYMENT_LENGTH]
