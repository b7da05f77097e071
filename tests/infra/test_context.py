import json
from pathlib import Path

import aws_cdk as cdk
import pytest
from constructs import Node

from infra.context import ROOT, Context, ContextError

DEFAULTS = json.loads((ROOT / "cdk.json").read_text())["context"]


def node(**changes: object) -> Node:
    return cdk.App(context=DEFAULTS | changes).node


def test_the_defaults_are_those_of_aws() -> None:
    context = Context.read(node())
    assert (context.stack_name, context.tick_seconds, context.lease_seconds) == ("batchdrop", 60, 1200)
    assert (context.alarm_email, context.providers_file) == (None, ROOT / "providers.toml")


def test_a_value_from_the_command_line_is_text_and_read_as_a_number() -> None:
    assert Context.read(node(lease_seconds="1800")).lease_seconds == 1800


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arch": "mips"}, "context value 'arch' must be one of arm64, x86_64, not 'mips'"),
        ({"split_bytes": "64MB"}, "context value 'split_bytes' must be a whole number, not '64MB'"),
        ({"tick_seconds": 0}, "context value 'tick_seconds' is 0: it must be at least 1 and at most 3600"),
        (
            {"function_seconds": 901},
            "context value 'function_seconds' is 901: it must be at least 1 and at most 900",
        ),
        (
            {"readable_kms_keys": "alias/mine"},
            "context value 'readable_kms_keys': 'alias/mine' is not the ARN of a KMS key (arn:aws:kms:…:key/…)",
        ),
        (
            {"kms_key": ",".join(f"arn:aws:kms:eu-west-1:123456789012:key/{number}" for number in (1, 2))},
            "context value 'kms_key' names 2 KMS keys: it must be one, or none",
        ),
        ({"table": "jobs!"}, "context value 'table': 'jobs!' is not the name of a table"),
        ({"bucket": "s3://mine"}, "context value 'bucket': 's3://mine' is not the name of a bucket"),
        ({"max_concurrency": 1}, "context value 'max_concurrency' is 1: it must be at least 2"),
        ({"log_days": 31}, "context value 'log_days' must be one of 1, 7, 30, 90, 365, not 31"),
        ({"tracing": "on"}, "context value 'tracing' must be one of true, false, not 'on'"),
        ({"disposable": "yes"}, "context value 'disposable' must be one of true, false, not 'yes'"),
        (
            {"lease_seconds": 905},
            (
                "context value 'lease_seconds' is 905: it must be above 'function_seconds' (900) + 5, "
                "or two workers could hold one unit"
            ),
        ),
    ],
)
def test_a_value_that_cannot_be_used_is_named(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ContextError) as caught:
        Context.read(node(**changes))
    assert str(caught.value) == message


def test_a_missing_value_is_named() -> None:
    with pytest.raises(ContextError, match="context value 'tick_seconds' is missing"):
        Context.read(cdk.App(context={key: value for key, value in DEFAULTS.items() if key != "tick_seconds"}).node)


def test_a_missing_file_of_providers_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ContextError, match="providers_file"):
        Context.read(node(providers_file=str(missing)))
