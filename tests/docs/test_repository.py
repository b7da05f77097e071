"""The repository has what contributors and their tools look for: workflow, templates, hooks, editors, security."""

import configparser
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from faking.readme import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted((GITHUB / "ISSUE_TEMPLATE").glob("*.yml"))
HOOKS = ROOT / ".pre-commit-config.yaml"
MAKEFILE = (ROOT / "Makefile").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))

_each_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
_each_form = pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)


def _load(path: Path) -> dict[str, Any]:
    loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert isinstance(loaded, dict)
    return loaded


def _steps(path: Path) -> list[dict[str, Any]]:
    return [step for job in _load(path)["jobs"].values() for step in job["steps"]]


def test_ci_checks_style_and_types_tests_coverage_the_demo_and_the_template() -> None:
    jobs = _load(GITHUB / "workflows/ci.yml")["jobs"]
    runs = {name: [step["run"] for step in job["steps"] if "run" in step] for name, job in jobs.items()}
    targets = {"lint": "lint", "tests": "test", "coverage": "coverage", "demo": "demo", "synth": "synth"}
    assert runs == {job: [f"make {target}"] for job, target in targets.items()}


def test_make_test_collects_the_tests_of_the_deployed_stack_where_they_are() -> None:
    (command,) = re.findall(r"^E2E := (.+)$", MAKEFILE, re.MULTILINE)
    marked = [
        path
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"= pytest\.mark\.e2e|@pytest\.mark\.e2e", path.read_text())
    ]
    assert {f"tests/{path.relative_to(ROOT / 'tests').parts[0]}" for path in marked} == set(command.split())


@_each_workflow
def test_every_make_target_of_a_workflow_is_in_the_makefile(path: Path) -> None:
    targets = re.findall(r"\bmake ([\w-]+)", "\n".join(step.get("run", "") for step in _steps(path)))
    assert [target for target in targets if f"\n{target}:" not in MAKEFILE] == []
    assert targets


@_each_workflow
def test_every_action_is_pinned_by_its_hash_and_names_its_version(path: Path) -> None:
    lines = re.findall(r"uses: *(.+)", path.read_text(encoding="utf-8"))
    assert len(lines) == sum("uses" in step for step in _steps(path)) > 0
    assert [line for line in lines if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v[\d.]+", line)] == []


@_each_workflow
def test_a_workflow_reads_only_and_ends(path: Path) -> None:
    workflow = _load(path)
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["group"]
    assert all(0 < job["timeout-minutes"] <= 60 and "permissions" not in job for job in workflow["jobs"].values())
    assert all(step["with"] == {"persist-credentials": False} for step in _steps(path) if "uses" in step)


def test_dependabot_asks_monthly_for_all_at_once() -> None:
    updates = _load(GITHUB / "dependabot.yml")["updates"]
    assert [each["package-ecosystem"] for each in updates] == ["pip", "npm", "github-actions"]
    assert all(each["schedule"] == {"interval": "monthly"} for each in updates)
    assert all([group["patterns"] for group in each["groups"].values()] == [["*"]] for each in updates)


@_each_form
def test_an_issue_form_has_what_the_platform_requires(path: Path) -> None:
    form = _load(path)
    assert form["name"]
    assert form["description"]
    fields = [field for field in form["body"] if field["type"] != "markdown"]
    assert {field["type"] for field in fields} <= {"textarea", "input", "dropdown", "checkboxes"}
    assert all(field["attributes"]["label"] for field in fields)
    assert len({field["id"] for field in fields}) == len(fields) > 0


@pytest.mark.parametrize("path", [*FORMS, GITHUB / "pull_request_template.md"], ids=lambda path: path.name)
def test_a_template_says_what_never_to_paste(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert re.search(r"[Nn]ever paste\W+API keys", text)
    assert "prompts" in text


def test_hooks_run_the_projects_own_ruff_and_download_nothing() -> None:
    repositories = _load(HOOKS)["repos"]
    assert [repository["repo"] for repository in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert [hook["entry"].split()[:2] for hook in hooks] == [[".venv/bin/ruff", "check"], [".venv/bin/ruff", "format"]]
    assert {hook["language"] for hook in hooks} == {"system"}


def test_editors_and_ruff_have_the_same_line_length() -> None:
    settings = configparser.ConfigParser()
    settings.read_string("[top]\n" + (ROOT / ".editorconfig").read_text(encoding="utf-8"))
    assert settings.getint("*.py", "max_line_length") == PYPROJECT["tool"]["ruff"]["line-length"]


def test_every_link_of_the_security_policy_leads_somewhere() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    assert (links := re.findall(r"\]\(([^)#]+)\)", text))
    assert [link for link in links if not (ROOT / link).exists()] == []
