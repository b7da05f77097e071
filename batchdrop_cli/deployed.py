"""Lists the parts of a stack by CloudFormation: queues, log groups, rules and alarms by their names."""

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

import msgspec

from batchdrop_cli.cloud import Cloud

if TYPE_CHECKING:
    from mypy_boto3_cloudformation import CloudFormationClient
    from mypy_boto3_cloudformation.type_defs import StackTypeDef

# The CDK's names: `Pipeline/PlanQueue/DeadLetters` is PipelinePlanQueueDeadLetters and eight digits.
_OF_A_STEP = re.compile(r"Pipeline(?P<step>[A-Z][a-z]+)(?P<what>Queue|QueueDeadLetters|Logs)[0-9A-F]{8}")
_OF_ALARMS = re.compile(r"Alarms(?P<section>[A-Za-z]+?)[0-9A-F]{8}")
_RULE = "AWS::Events::Rule"


class Deployed(msgspec.Struct, frozen=True, kw_only=True):
    """The parts of a stack: of each step the address of its queue, of its dead letters', and its log group's name.

    `alarms` are by their names, with that of their section in the runbook.
    """

    queues: dict[str, str] = {}
    dead_letters: dict[str, str] = {}
    logs: dict[str, str] = {}
    rules: list[str] = []
    alarms: dict[str, str] = {}


def describe_stack(cloud: Cloud) -> "StackTypeDef":
    client: CloudFormationClient = cloud.client("cloudformation")
    return client.describe_stacks(StackName=cloud.stack)["Stacks"][0]


def find_parts(cloud: Cloud) -> Deployed:
    """The stack's parts; one call for a hundred of them."""
    return parts_of(_resources(cloud))


def parts_of(resources: Iterable[tuple[str, str, str]]) -> Deployed:
    """The parts among resources, each of which has a type, a logical and a physical id."""
    found = Deployed()
    by_kind = {"Queue": found.queues, "QueueDeadLetters": found.dead_letters, "Logs": found.logs}
    for kind, logical, physical in resources:
        named = _OF_A_STEP.fullmatch(logical)
        if named is not None:
            by_kind[named["what"]][named["step"].lower()] = physical
        elif kind == _RULE:
            found.rules.append(physical)
        elif (alarm := _OF_ALARMS.fullmatch(logical)) is not None:
            found.alarms[physical] = alarm["section"]
    return found


def _resources(cloud: Cloud) -> Iterator[tuple[str, str, str]]:
    client: CloudFormationClient = cloud.client("cloudformation")
    for page in client.get_paginator("list_stack_resources").paginate(StackName=cloud.stack):
        for each in page["StackResourceSummaries"]:
            yield each["ResourceType"], each["LogicalResourceId"], each.get("PhysicalResourceId", "")
