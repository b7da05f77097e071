"""The dashboard asks and answers; each metric in it, and of an alarm, is one that somebody sends."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import batchdrop
import pytest
from batchdrop.aws.metrics import NAMESPACE, Alert, Measure, count, measure, measure_folder
from faking.template import Template

from infra.context import ROOT

# What AWS itself sends, by namespace, with the name of its dimension.
OF_AWS = {
    "AWS/Lambda": ("FunctionName", {"Invocations", "Errors", "Duration", "AsyncEventsDropped"}),
    "AWS/SQS": ("QueueName", {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"}),
    "AWS/DynamoDB": ("TableName", {"ConsumedReadCapacityUnits", "ConsumedWriteCapacityUnits"}),
    "AWS/Events": ("RuleName", {"Invocations"}),
}
QUESTIONS = ("Is it moving?", "What waits for", "What does it cost", "What is in doubt")


class Named(NamedTuple):
    """A metric: its namespace, its name, and its dimensions, as text that compares."""

    namespace: str
    name: str
    dimensions: tuple[tuple[str, str], ...]


def widgets(template: Template) -> list[dict[str, Any]]:
    (page,) = template.of_type("AWS::CloudWatch::Dashboard").values()
    parts = page["DashboardBody"]["Fn::Join"][1]
    body = "".join(each if isinstance(each, str) else next(iter(map(str, each.values()))) for each in parts)
    found: list[dict[str, Any]] = json.loads(re.sub(r"\\['(\\w+)', 'Arn'\\]", r"\\1", body))["widgets"]
    return found


def shown(template: Template) -> Iterator[Named]:
    for widget in widgets(template):
        for namespace, *names in widget["properties"].get("metrics", []):
            if not names:
                continue  # an expression, which searches for metrics
            name, *rest = names
            dimensions = [each for each in rest if isinstance(each, str)]
            yield Named(namespace, name, tuple(sorted(zip(dimensions[::2], dimensions[1::2], strict=True))))


def alarmed(template: Template) -> Iterator[Named]:
    for alarm in template.of_type("AWS::CloudWatch::Alarm").values():
        dimensions = sorted((each["Name"], str(each["Value"])) for each in alarm["Dimensions"])
        yield Named(alarm["Namespace"], alarm["MetricName"], tuple(dimensions))


def sent(printed: str) -> set[Named]:
    """The metrics that CloudWatch makes of what functions print."""
    found = set()
    for line in map(json.loads, printed.splitlines()):
        (told,) = line["_aws"]["CloudWatchMetrics"]
        dimensions = tuple(sorted((each, line[each]) for each in told["Dimensions"][0]))
        found |= {Named(told["Namespace"], each["Name"], dimensions) for each in told["Metrics"]}
    return found


def test_every_metric_of_ours_that_is_shown_or_alarmed_is_sent_and_every_one_that_is_sent_is_shown(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    for alert in Alert:
        count(alert)
    for name in Measure:
        for provider in ("openai", "anthropic"):
            measure(name, provider, 1)
    ours = {each for each in [*shown(template), *alarmed(template)] if each.namespace == NAMESPACE}
    assert ours == sent(capsys.readouterr().out) == {each for each in shown(template) if each.namespace == NAMESPACE}


def test_the_widget_of_folders_searches_for_the_metrics_that_are_sent_by_folder(
    template: Template, capsys: pytest.CaptureFixture[str]
) -> None:
    names = (Measure.USD_SPENT, Measure.USD_SAVED)
    for name in names:
        measure_folder(name, "input/a/b/x.jsonl", 0.5)
    assert sent(capsys.readouterr().out) == {
        Named(NAMESPACE, name, (("folder", "input/a"), ("service", "batchdrop"))) for name in names
    }
    searched = [
        each["expression"]
        for widget in widgets(template)
        for each, *others in widget["properties"].get("metrics", [])
        if not others
    ]
    assert searched == [
        f"SEARCH('{{{NAMESPACE},service,folder}} MetricName=\"{name}\"', 'Sum', 3600)" for name in names
    ]


def test_every_metric_of_ours_is_counted_somewhere() -> None:
    folder = Path(batchdrop.__file__).parent
    texts = "".join(path.read_text(encoding="utf-8") for path in folder.parent.rglob("*.py"))
    used = set(re.findall(r"(?:count|measure)\((?:Alert|Measure)\.(\w+)", texts))
    assert used == {each.name for names in (Alert, Measure) for each in names}


def test_every_other_metric_is_aws_own_of_a_resource_of_the_stack(template: Template) -> None:
    others = [each for each in [*shown(template), *alarmed(template)] if each.namespace != NAMESPACE]
    resources = "|".join(template.document["Resources"])
    for each in others:
        dimension, names = OF_AWS[each.namespace]
        ((name, value),) = each.dimensions
        assert (name, each.name in names, bool(re.search(rf"\b({resources})\b", value))) == (dimension, True, True)
    assert len(others) > 20


def test_nothing_is_sent_where_there_is_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    measure(Measure.BATCHES_WAITING, "openai", 0)
    assert capsys.readouterr().out == ""


def test_every_widget_asks_something_and_the_four_questions_are_among_them(template: Template) -> None:
    titles = [each["properties"]["title"] for each in widgets(template)]
    assert [title for title in titles if "?" not in title] == []
    assert [each for each in QUESTIONS if not any(title.startswith(each) for title in titles)] == []


def test_the_page_shows_every_alarm(template: Template) -> None:
    (status,) = [each for each in widgets(template) if each["type"] == "alarm"]
    assert len(status["properties"]["alarms"]) == len(template.of_type("AWS::CloudWatch::Alarm"))


def test_every_alarm_names_its_section_of_the_runbook_which_says_what_it_means_and_what_to_do(
    template: Template,
) -> None:
    text = (ROOT / "docs" / "runbook.md").read_text(encoding="utf-8")
    sections = {name: part for part in text.split("\n## ")[1:] for name in re.findall(r"\w+", part.split("\n")[0])}
    told = [each["AlarmDescription"] for each in template.of_type("AWS::CloudWatch::Alarm").values()]
    named = {re.search(r"docs/runbook\.md, (\w+)\.$", each.replace("…", ""))[1] for each in told}  # type: ignore[index]
    assert named == {name for name, part in sections.items() if "**What it means.**" in part}
    parts = ("**What it means.**", "**What to look at.**", "**What to do.**", "**Tried:**")
    assert [(name, part) for name in named for part in parts if part not in sections[name]] == []
