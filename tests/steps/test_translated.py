"""Chat completions for Claude: sent as Messages requests, back as chat completions in their lines' places."""

from faking.cloud import Cloud
from faking.lines import CHAT, CLAUDE, MESSAGES, chat, claude, got, mixed, wanted


def test_lines_of_every_form_come_back_in_order_each_in_its_endpoints_form(cloud: Cloud) -> None:
    asked = [chat(f"translate {number}", number, model=CLAUDE) for number in range(3)]
    others = mixed(8)
    lines = [others[0], asked[0], *others[1:5], asked[1], claude("native", "n"), *others[5:], asked[2]]
    out = cloud.run("input/forms.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    translated = [result for result in out.results if result["model"] == CLAUDE and result["endpoint"] == CHAT]
    assert [result["custom_id"] for result in translated] == [0, 1, 2]
    assert {result["provider"] for result in translated} == {"anthropic"}
    assert {result["response"]["body"]["object"] for result in translated} == {"chat.completion"}


def test_native_and_translated_lines_share_a_batch(cloud: Cloud) -> None:
    out = cloud.run("input/forms.jsonl", [chat("one", model=CLAUDE), claude("two")])
    assert len({result["batch_id"] for result in out.results}) == 1
    assert [(each.endpoint, each.answered, each.batches) for each in out.manifest.models] == [
        (CHAT, 1, 1),
        (MESSAGES, 1, 1),
    ]


def test_what_a_job_may_drop_is_dropped_and_nothing_else(cloud: Cloud) -> None:
    lines = [chat("one", model=CLAUDE), chat("two", model=CLAUDE)]
    lines[0]["body"]["seed"] = 5
    lines[1]["body"] |= {"seed": 5, "n": 2}
    out = cloud.run("input/dropped.jsonl", lines, **{"batchdrop-drop-params": "seed"})
    assert [result["error"] and result["error"]["code"] for result in out.results] == [None, "untranslatable"]
    assert out.results[1]["error"]["message"] == (
        'Line 2: "n" has no equal in Anthropic\'s Messages API: leave it out, or list "n" in drop_params.'
    )
