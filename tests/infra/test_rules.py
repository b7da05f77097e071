import json
from pathlib import Path

import aws_cdk as cdk
import cdk_nag
import pytest
from faking.template import Template

from infra.app import build
from infra.context import ROOT

# The CDK has each function wait for its role and its policies; the role is in its properties, too.
NOT_LINTED = {"W3005"}
DEFAULTS = json.loads((ROOT / "cdk.json").read_text())["context"]


@pytest.mark.parametrize("tracing", ["false", "true"])
def test_every_rule_of_aws_solutions_holds_or_is_acknowledged_with_a_reason(tracing: str, tmp_path: Path) -> None:
    app = build(context=DEFAULTS | {"aws:cdk:bundling-stacks": [], "tracing": tracing}, directory=tmp_path)
    cdk.Validations.of(app).add_plugins(cdk_nag.AwsSolutionsChecks(app))
    app.synth()
    (report,) = json.loads((tmp_path / "validation-report.json").read_text())["pluginReports"]
    assert (report["pluginName"], report["conclusion"], report["violations"]) == ("AwsSolutions", "success", [])
    assert {one["ruleName"].split("[")[0] for one in report["suppressedViolations"]} == {
        "AwsSolutions-S1",
        "AwsSolutions-L1",
        "AwsSolutions-IAM5",
    }
    assert all(one["reason"] for one in report["suppressedViolations"])


def test_cloudformations_own_linter_finds_nothing(template: Template) -> None:
    from cfnlint.api import lint  # noqa: PLC0415 - it takes seconds, in every process that collects this test

    found = lint(json.dumps(template.document), regions=["us-east-1", "eu-west-1"])
    assert [f"{each.rule.id} {each.path} {each.message}" for each in found if each.rule.id not in NOT_LINTED] == []
