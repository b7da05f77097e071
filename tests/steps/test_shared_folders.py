"""Teams that share a deployment: what one folder's files may ask for, as only the deployer says."""

from batchdrop.providers.config import Providers
from batchdrop.providers.folder_rules import Rules
from batchdrop.states import JobState
from faking.cloud import Cloud
from faking.lines import chat, claude, got, wanted


def allow(cloud: Cloud, **folders: Rules) -> None:
    rules = {f"input/{name}/": each for name, each in folders.items()}
    cloud.configure(Providers(dict(cloud.services.providers), rules))


def test_a_line_for_a_provider_that_its_folder_may_not_use_is_never_sent(cloud: Cloud) -> None:
    allow(cloud, ours=Rules(allowed_providers=("openai",)))
    lines = [chat("one"), claude("two")]
    out = cloud.run("input/ours/x.jsonl", lines)
    assert got(out.results[0]) == wanted(lines[0])
    error = out.results[1]["error"]
    assert (error["code"], error["source"], error["message"]) == (
        "provider_not_allowed",
        "input",
        "Line 2: provider anthropic is not allowed for files of this folder (allowed: openai).",
    )
    assert cloud.simulator.charges()["anthropic"]["requests"] == 0
    assert cloud.run("input/theirs/x.jsonl", lines).manifest.counts.failed == 0  # type: ignore[union-attr]  # completed


def test_a_file_that_asks_for_more_than_its_folders_ceiling_fails_before_it_is_paid(cloud: Cloud) -> None:
    allow(cloud, ours=Rules(max_priority=5))
    manifest = cloud.run("input/ours/x.jsonl", [chat("one")], **{"batchdrop-priority": "9"}).manifest
    reason = "the object's metadata: priority = 9: at most 5 is allowed in this folder"
    assert (manifest.status, manifest.reason) == (JobState.FAILED, reason)
    assert {each["requests"] for each in cloud.simulator.charges().values()} == {0}
