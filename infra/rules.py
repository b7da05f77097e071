"""Rules of AwsSolutions (cdk-nag) that are not followed, each with its reason."""

import aws_cdk as cdk
from constructs import Construct

from infra.pipeline import Pipeline
from infra.storage import Storage

FOLDERS = ("input", "work", "output")


def acknowledge_rules(stack: cdk.Stack, *, storage: Storage, pipeline: Pipeline, is_traced: bool) -> None:
    _acknowledge(stack, "L1", "Python 3.13 is what the project is tested on; tests and functions run the same.")
    bucket = storage.bucket.node.default_child
    arn = (
        f"<{stack.get_logical_id(bucket)}.Arn>"
        if isinstance(bucket, cdk.CfnElement)
        else f"arn:<AWS::Partition>:s3:::{storage.bucket.bucket_name}"  # an adopted one
    )
    if is_traced:
        _acknowledge(
            pipeline, "IAM5[Resource::*]", "X-Ray's PutTraceSegments and PutTelemetryRecords take no resource."
        )
    if isinstance(bucket, cdk.CfnElement):
        _acknowledge(
            bucket,
            "S1",
            "Access logs need a second bucket that grows for ever; who needs them turns on CloudTrail's data events.",
        )
    for folder in FOLDERS:
        _acknowledge(
            pipeline,
            f"IAM5[Resource::{arn}/{folder}/*]",
            f"All objects under {folder}/ and nothing else: their keys are not known before they are dropped.",
        )


def _acknowledge(scope: Construct, rule: str, reason: str) -> None:
    cdk.Validations.of(scope).acknowledge(cdk.Acknowledgment(id=f"AwsSolutions::AwsSolutions-{rule}", reason=reason))
