"""A KMS key of one's own, where one is named, for all that holds anything."""

import json
from pathlib import Path

import pytest
from faking.template import Template, as_list, synthesise

from infra.context import ROOT

KEY = "arn:aws:kms:eu-central-1:123456789012:key/0d5f4e2a-1111-2222-3333-444455556666"
STEPS = {"intake", "plan", "submit", "finish", "poll", "collect", "assemble", "publish", "sweep"}


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesise(tmp_path_factory.mktemp("cdk.out"), kms_key=KEY)


def test_bucket_table_queues_logs_and_topic_are_encrypted_with_the_one_key(own: Template) -> None:
    (bucket,) = own.of_type("AWS::S3::Bucket").values()
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule == {
        "BucketKeyEnabled": True,
        "ServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": KEY},
    }
    (table,) = own.of_type("AWS::DynamoDB::Table").values()
    assert table["SSESpecification"] == {"SSEEnabled": True, "SSEType": "KMS", "KMSMasterKeyId": KEY}
    queues = own.of_type("AWS::SQS::Queue").values()
    assert [each["KmsMasterKeyId"] for each in queues] == [KEY] * len(queues)
    assert not any("SqsManagedSseEnabled" in each for each in queues)
    assert [each["KmsKeyId"] for each in own.of_type("AWS::Logs::LogGroup").values()] == [KEY] * len(STEPS)
    assert [each["KmsMasterKeyId"] for each in own.of_type("AWS::SNS::Topic").values()] == [KEY]


def test_every_step_may_use_the_key_and_nothing_else_of_kms(own: Template) -> None:
    may = {
        (step, action): as_list(statement["Resource"])
        for step, statements in own.statements().items()
        for statement in statements
        for action in as_list(statement["Action"])
        if action.startswith("kms:")
    }
    actions = ("kms:Decrypt", "kms:GenerateDataKey")
    assert may == {(step, action): [KEY] for step in STEPS for action in actions}


def test_no_key_is_used_that_is_not_named(template: Template) -> None:
    assert "kms" not in json.dumps(template.document["Resources"]).lower()


def test_nobodys_rule_but_the_stacks_own_sends_to_a_queue(own: Template, template: Template) -> None:
    """CDK leaves the condition out where a queue is under a key: anybody's rule could send to it."""
    for each in (own, template):
        (rule,) = [name for name, rule in each.of_type("AWS::Events::Rule").items() if "EventPattern" in rule]
        allowed = [
            statement
            for policy in each.of_type("AWS::SQS::QueuePolicy").values()
            for statement in policy["PolicyDocument"]["Statement"]
            if statement["Effect"] == "Allow"
        ]
        assert len(allowed) == 2  # intake's queue and its dead letters
        assert [one["Action"] for one in allowed] == ["sqs:SendMessage"] * 2
        own_rule = {"ArnEquals": {"aws:SourceArn": {"Fn::GetAtt": [rule, "Arn"]}}}
        assert [one["Condition"] for one in allowed] == [own_rule] * 2


def test_a_key_that_is_named_later_replaces_nothing(own: Template, template: Template) -> None:
    """Logical ids are what CloudFormation knows resources by; each of these properties is changed in place."""
    assert own.document["Resources"].keys() == template.document["Resources"].keys()


def test_the_example_of_a_keys_policy_names_every_service_that_uses_it() -> None:
    policy = json.loads(Path(ROOT / "docs/policies/kms-key.json").read_text(encoding="utf-8"))
    services = {
        service
        for statement in policy["Statement"]
        if isinstance(statement["Principal"], dict)
        for service in as_list(statement["Principal"].get("Service", []))
    }
    assert services == {"logs.REGION.amazonaws.com", "events.amazonaws.com", "cloudwatch.amazonaws.com"}
    assert "dynamodb.REGION.amazonaws.com" in json.dumps(policy)
