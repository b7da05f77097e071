"""Who is told of jobs is named by the deployer alone, and nothing is deployed for it where nobody is."""

import json
from pathlib import Path

import pytest
from batchdrop.notices import KINDS
from faking.template import Template, synthesise

from infra.context import ContextError

HOOK = "https://example.org/hooks/batchdrop"


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> Template:
    return synthesise(
        tmp_path_factory.mktemp("cdk.out"), notify_email="a@example.org, b@example.org", notify_webhooks=HOOK
    )


def test_where_nobody_is_named_nothing_is_deployed(template: Template) -> None:
    assert "notify" not in template.functions()
    assert "NoticeTopic" not in template.document["Outputs"]
    assert template.of_type("AWS::SecretsManager::Secret") == {}


def test_each_place_has_a_rule_of_its_own_for_the_events_that_are_told(told: Template) -> None:
    rules = {
        name: rule
        for name, rule in told.of_type("AWS::Events::Rule").items()
        if rule.get("EventPattern", {}).get("source") == ["batchdrop"]
    }
    assert [rule["EventPattern"]["detail-type"] for rule in rules.values()] == [sorted(KINDS)] * 2
    templates = [json.dumps(rule["Targets"][0]["InputTransformer"]["InputTemplate"]) for rule in rules.values()]
    assert sorted(HOOK in each for each in templates) == [False, True]
    assert sorted("topic" in each for each in templates) == [False, True]
    paths = {"$.id", "$.detail-type", "$.time", "$.detail"}
    assert [set(rule["Targets"][0]["InputTransformer"]["InputPathsMap"].values()) for rule in rules.values()] == [
        paths
    ] * 2


def test_the_details_object_is_not_put_in_quotes(told: Template) -> None:
    (hook,) = [
        rule["Targets"][0]["InputTransformer"]
        for rule in told.of_type("AWS::Events::Rule").values()
        if HOOK in json.dumps(rule)
    ]
    names = {path: name for name, path in hook["InputPathsMap"].items()}
    assert f'"detail":<{names["$.detail"]}>' in hook["InputTemplate"]


def test_both_addresses_are_subscribed_and_the_topic_is_an_output(told: Template) -> None:
    emails = [each["Endpoint"] for each in told.of_type("AWS::SNS::Subscription").values()]
    assert sorted(emails) == ["a@example.org", "b@example.org"]
    assert "NoticeTopic" in told.document["Outputs"]


def test_the_function_may_publish_sign_and_receive_and_nothing_else(told: Template) -> None:
    actions = {
        action
        for statement in told.statements()["notify"]
        for action in ([statement["Action"]] if isinstance(statement["Action"], str) else statement["Action"])
    }
    assert actions == {
        "logs:CreateLogStream",
        "logs:PutLogEvents",
        "sns:Publish",
        "secretsmanager:GetSecretValue",
        "sqs:ReceiveMessage",
        "sqs:DeleteMessage",
        "sqs:GetQueueAttributes",
    }


def test_what_fails_is_sent_again_by_sweep(told: Template) -> None:
    variables = told.functions()["sweep"]["Environment"]["Variables"]
    assert {"BATCHDROP_NOTIFY_QUEUE", "BATCHDROP_NOTIFY_DEAD_LETTERS"} <= set(variables)


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("notify_email", "nobody", "is not an e-mail address"),
        ("notify_webhooks", "http://example.org", "is not an address that begins with https://"),
        ("notify_webhooks", "https://user:secret@example.org", "is not an address that begins with https://"),
        ("notify_webhooks", 'https://example.org/"', "is not an address that begins with https://"),
        ("notify_webhooks", "https://example.org/<id>", "is not an address that begins with https://"),
        ("notify_webhooks", "https://example.org/\\", "is not an address that begins with https://"),
    ],
)
def test_a_place_that_is_none_stops_the_deployment(tmp_path: Path, key: str, value: str, words: str) -> None:
    with pytest.raises(ContextError, match=words):
        synthesise(tmp_path, **{key: value})
