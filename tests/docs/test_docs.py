"""What the documentation says is what there is."""

import json
import re

import pytest
from batchdrop.result_line import ErrorCode
from faking.readme import README, ROOT, shell_lines

from batchdrop_cli.main import main

MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")

# Commands that no test runs, and why; the README says so beside them. Those of batchdrop itself are run, for the local
# cloud by tests/e2e/test_readme.py and for AWS by tests/cli/test_readme.py.
NOT_RUN = {
    "make bootstrap": "an AWS account; the local cloud runs the same cdk bootstrap",
    "make deploy": "an AWS account; the local cloud runs the same cdk deploy",
    "aws s3 cp": "the AWS command line; tests put objects by boto3",
    "make demo": "run by .ci/run",
    "make test": "run by .ci/run",
    "make setup": "run by .ci/run",
}


def test_every_code_is_documented_and_no_other() -> None:
    documented = re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/error-codes.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(documented) == sorted(ErrorCode)


def test_every_deployment_setting_is_documented_with_its_default_and_no_other() -> None:
    rows = re.findall(
        r"^\| `(\w+)` \| (\S+) \|", (ROOT / "docs/deployment.md").read_text(encoding="utf-8"), re.MULTILINE
    )
    settings = json.loads((ROOT / "cdk.json").read_bytes())["context"]
    shown = {key: f"{value:,}" if isinstance(value, int) else f"`{value}`" for key, value in settings.items()}
    assert dict(rows) == {
        key: shown[key] if settings[key] else "none" for key in settings if "/" not in key and key != "cli-telemetry"
    }


@pytest.mark.parametrize("command", shell_lines())
def test_every_command_of_the_readme_is_there(command: str) -> None:
    if command.startswith("make "):
        assert f"\n{command.split()[1]}:" in MAKEFILE
    elif command.startswith(".venv/bin/batchdrop "):
        words = command.split()[1:]
        name = words[:2] if words[0] in {"local", "keys"} else words[:1]
        assert main([*name, "--help"]) == 0
    else:
        assert any(command.startswith(known) for known in NOT_RUN), command


def test_ci_runs_the_demo_and_the_tests() -> None:
    ci = (ROOT / ".ci/run").read_text(encoding="utf-8")
    assert re.findall(r"^(?:exec )?make (\w+)$", ci, re.MULTILINE) == ["demo", "test"]


@pytest.mark.parametrize("link", re.findall(r"\]\(([^)#]+)\)", README))
def test_every_link_of_the_readme_leads_somewhere(link: str) -> None:
    assert (ROOT / link).exists()
