import json
from pathlib import Path

import aws_cdk as cdk
import cdk_nag

from infra.app import build
from infra.context import ROOT

DEFAULTS = json.loads((ROOT / "cdk.json").read_text())["context"]


def test_every_rule_of_aws_solutions_holds_or_is_acknowledged_with_a_reason(tmp_path: Path) -> None:
    app = build(account=None, region=None, context=DEFAULTS | {"aws:cdk:bundling-stacks": []}, directory=tmp_path)
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
