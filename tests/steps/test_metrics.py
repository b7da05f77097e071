"""What the dashboard shows of a provider: what waits there, what is there, and the tokens of what was published."""

import json

import pytest
from batchdrop.aws.metrics import Measure
from faking.cloud import TOML, Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, claude


def measured(printed: str) -> list[tuple[str, str, float]]:
    """Name, provider and value of each metric of a provider."""
    lines = [json.loads(line) for line in printed.splitlines() if '"_aws"' in line]
    return [
        (name, line["provider"], line[name][0])
        for line in lines
        if "provider" in line
        for name in {*Measure} & line.keys()
    ]


def test_waiting_batches_batches_in_flight_and_tokens_are_sent_by_provider(capsys: pytest.CaptureFixture[str]) -> None:
    text = TOML.read_text(encoding="utf-8")
    one_at_a_time = text.replace("batches_per_hour = 2_000", "batches_per_hour = 1")
    with new_cloud(one_at_a_time) as cloud:
        jobs = [cloud.drop(f"input/{number}.jsonl", jsonl([chat(str(number))])) for number in range(3)]
        cloud.deliver_all()
        cloud.tick()
        assert {("BatchesWaiting", "openai", 2.0), ("BatchesInFlight", "openai", 1.0)} <= set(
            measured(capsys.readouterr().out)
        )
        cloud.settle(tick=3_600)
        usage = [each.usage for job in jobs for each in cloud.outcome(str(job)).manifest.models]
        sums = dict.fromkeys(("InputTokens", "OutputTokens"), 0.0)
        for name, provider, value in measured(capsys.readouterr().out):
            if name in sums and provider == "openai":
                sums[name] += value
    wanted = [sum(each.input_tokens for each in usage), sum(each.output_tokens for each in usage)]
    assert list(sums.values()) == wanted
    assert all(wanted)


def folders(printed: str) -> dict[tuple[str, str], float]:
    """The sums of each metric of a folder."""
    sums = dict[tuple[str, str], float]()
    for line in (json.loads(each) for each in printed.splitlines() if '"folder"' in each):
        for name in {*Measure} & line.keys():
            key = (name, line["folder"])
            sums[key] = sums.get(key, 0) + line[name][0]
    return sums


def test_dollars_spent_and_saved_are_sent_by_provider_and_by_folder(
    cloud: Cloud, capsys: pytest.CaptureFixture[str]
) -> None:
    keys = ["input/a/2026/x.jsonl", "input/a/y.jsonl", "input/z.jsonl", "input/é/z.jsonl"]
    manifests = [cloud.run(key, [chat("a"), claude("b")]).manifest for key in keys]
    printed = capsys.readouterr().out
    spent = [float(each.money.cost_usd or 0) for each in manifests if each.money]
    assert {key: round(each, 9) for key, each in folders(printed).items() if key[0] == "UsdSpent"} == {
        ("UsdSpent", "input/a"): round(spent[0] + spent[1], 9),
        ("UsdSpent", "input"): round(spent[2], 9),
        ("UsdSpent", "input/?"): round(spent[3], 9),
    }
    by_provider = [(name, provider) for name, provider, value in measured(printed) if "Usd" in name and value > 0]
    assert {*by_provider} == {(name, each) for name in ("UsdSpent", "UsdSaved") for each in ("openai", "anthropic")}
