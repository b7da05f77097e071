"""A file is dropped; what comes out, line by line and byte by byte."""

import json
from typing import Any

import msgspec
import pytest
from faking.cloud import Cloud, jsonl
from faking.cloud import cloud as new_cloud
from faking.lines import chat, got, mixed, wanted


def test_every_line_comes_back_in_its_place_with_its_own_answer(cloud: Cloud) -> None:
    lines = mixed(40)
    out = cloud.run("input/mixed.jsonl", lines)
    assert [got(result) for result in out.results] == [wanted(line) for line in lines]
    assert [result["line"] for result in out.results] == list(range(1, 41))
    assert [result["custom_id"] for result in out.results] == [line.get("custom_id") for line in lines]


def test_splits_of_any_size_give_the_same_results() -> None:
    lines = jsonl([*mixed(10), b"", b"not json", *mixed(10)])
    seen = []
    for split_bytes in (10_000_000, 700, 64):
        with new_cloud(split_bytes=split_bytes) as cloud:
            out = cloud.run("input/mixed.jsonl", lines)
            seen.append(
                (
                    [
                        (r["line"], r["custom_id"], r["model"], r["error"], r["response"] and got(r))
                        for r in out.results
                    ],
                    out.failed,
                    out.manifest.counts,
                )
            )
    assert seen[0] == seen[1] == seen[2]
    assert len(seen[0][0]) == 21


def test_ten_bad_lines_among_a_hundred_give_ninety_answers_and_ten_numbered_errors(cloud: Cloud) -> None:
    bad = [b'{"broken', b"[1]", b'{"custom_id": "x"}', b'{"model": "nobody", "input": "x"}', b"\xff\xfe"]
    lines: list[Any] = list(mixed(100))
    for number, at in enumerate(range(5, 100, 10)):
        lines[at] = bad[number % len(bad)]
    out = cloud.run("input/mistakes.jsonl", lines)
    counts = out.manifest.counts
    assert counts is not None
    assert (counts.total, counts.answered, counts.failed) == (100, 90, 10)
    assert [error["line"] for error in out.errors] == list(range(6, 101, 10))
    assert out.failed == [lines[at] for at in range(5, 100, 10)]
    assert all(error["error"]["message"].startswith(f"Line {error['line']}: ") for error in out.errors)
    assert [result for result in out.results if result["error"]] == out.errors


def test_counts_files_and_lines_add_up(cloud: Cloud) -> None:
    out = cloud.run("input/a/b/sums.jsonl", [*mixed(8), b"", b"nonsense", b"  "])
    manifest = out.manifest
    assert manifest.counts is not None
    assert manifest.input.lines is not None
    assert manifest.input.blank_lines == 2
    assert manifest.counts.total == manifest.counts.answered + manifest.counts.failed == manifest.input.lines - 2
    assert [(each.lines, each.first_line, each.last_line) for each in manifest.files.results] == [(9, 1, 10)]
    assert manifest.files.errors is not None
    assert manifest.files.errors.lines == manifest.counts.failed == sum(manifest.counts.errors.values()) == 1
    assert sum(model.answered for model in manifest.models) == manifest.counts.answered
    assert manifest.files.results[0].key == f"output/a/b/sums/{manifest.job}/results.jsonl"
    assert manifest.files.results[0].bytes == len(cloud.read(manifest.files.results[0].key))


def test_the_event_names_the_manifest_and_is_sent_after_it(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", mixed(2))
    (event,) = cloud.events()
    assert (event["source"], event["detail-type"]) == ("batchdrop", "Job Completed")
    assert event["detail"]["manifest"]["key"] == f"output/x/{out.manifest.job}/manifest.json"
    assert event["detail"]["counts"] == msgspec.to_builtins(out.manifest.counts)
    head = cloud.services.files.head(event["detail"]["manifest"]["key"])
    assert event["detail"]["manifest"]["version_id"] == head.version_id


def test_nothing_is_left_but_the_job_and_what_guards_against_repetition(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", mixed(4))
    assert cloud.keys("work/") == []
    kinds = {sk.split("#")[0] for pk, sk in cloud.rows() if pk == f"JOB#{out.manifest.job}"}
    assert kinds == {"JOB", "INTENT"}
    charges = cloud.simulator.charges()
    assert charges["openai"]["files"] == 0
    assert charges["anthropic"]["batches_stored"] == 0
    assert cloud.services.store.providers.ledger("anthropic").reserved == 0
    assert cloud.services.store.providers.ledger("openai/gpt-4o-mini").reserved == 0


def test_each_request_is_charged_once(cloud: Cloud) -> None:
    cloud.run("input/x.jsonl", mixed(40))
    charges = cloud.simulator.charges()
    assert charges["openai"]["requests"] + charges["anthropic"]["requests"] == 40
    assert charges["openai"]["requests_charged_more_than_once"] == 0


@pytest.mark.parametrize(
    ("key", "body", "reason"),
    [
        ("input/x.jsonl", b"", "The file is empty."),
        (
            "input/x.txt",
            b"a,b",
            (
                "Only .jsonl files are processed, one JSON object per line, and tables, .csv and .tsv; each of them "
                "also compressed, as .gz or .zst."
            ),
        ),
        ("input/x.jsonl.gz", b"\x1f\x8b", "The file is truncated: the gzip stream ends early."),
    ],
)
def test_what_cannot_be_processed_gets_a_failed_manifest(cloud: Cloud, key: str, body: bytes, reason: str) -> None:
    out = cloud.run(key, body)
    manifest = msgspec.to_builtins(out.manifest)
    assert (manifest["status"], manifest["reason"]) == ("FAILED", reason)
    assert manifest["counts"] is None
    assert manifest["files"] == {"results": [], "errors": None, "failed": None, "answers": [], "report": None}
    assert manifest["input"]["lines"] is None
    assert [event["detail-type"] for event in cloud.events()] == ["Job Failed"]


def test_on_invalid_reject_fails_before_anything_is_paid(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket="bucket", Key="input/batchdrop.toml", Body=b'on_invalid = "reject"')
    out = cloud.run("input/x.jsonl", [*mixed(4), b"nonsense"])
    assert out.manifest.status == "FAILED"
    assert out.manifest.reason == (
        '1 line is invalid, and on_invalid is "reject": line 5 (invalid_json). What is wrong with each: batchdrop '
        "validate FILE."
    )
    assert cloud.simulator.charges()["openai"]["batches"] == 0


def test_a_wrong_setting_fails_the_job_and_names_the_key(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", mixed(1), **{"batchdrop-max-atempts": "3"})
    assert out.manifest.status == "FAILED"
    assert out.manifest.reason is not None
    assert "unknown setting 'max_atempts'" in out.manifest.reason


def test_part_bytes_makes_parts_that_join_to_the_same_results() -> None:
    lines = [{"model": "text-embedding-3-small", "input": str(number), "dimensions": 1536} for number in range(800)]
    with new_cloud(split_bytes=20_000) as cloud:
        out = cloud.run("input/x.jsonl", lines, **{"batchdrop-part_bytes": "5242880"})
        files = out.manifest.files.results
        assert [each.key.rpartition("/")[2] for each in files] == [
            f"results-{number:05}.jsonl" for number in range(1, len(files) + 1)
        ]
        assert len(files) > 1
        assert all(each.bytes >= 5_242_880 for each in files[:-1])
        assert [result["line"] for result in out.results] == list(range(1, 801))
        firsts = [each.first_line for each in files]
        assert firsts == [1, *[(each.last_line or 0) + 1 for each in files[:-1]]]


def test_the_prefix_that_names_a_provider_is_kept_in_the_result_and_taken_off_the_wire(cloud: Cloud) -> None:
    line = chat("hello", "p", model="openai/gpt-4o")
    out = cloud.run("input/x.jsonl", [line])
    (result,) = out.results
    assert result["model"] == "openai/gpt-4o"
    assert result["response"]["body"]["model"] == "gpt-4o"


def test_results_are_the_same_bytes_when_published_twice(cloud: Cloud) -> None:
    from batchdrop.steps.publish import publish_job  # noqa: PLC0415 - only here

    out = cloud.run("input/x.jsonl", mixed(4))
    before = {key: cloud.services.files.head(key) for key in cloud.keys("output/")}
    publish_job(out.manifest.job, cloud.services)
    assert {key: cloud.services.files.head(key) for key in cloud.keys("output/")} == before


def test_the_manifest_is_one_compact_line(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", mixed(1))
    body = cloud.read(f"output/x/{out.manifest.job}/manifest.json")
    assert b"\n" not in body
    assert json.loads(body)["schema"] == "batchdrop.manifest/1"


def test_failed_lines_are_byte_for_byte_with_carriage_returns_too(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", b'{"bad"\r\n \r\n{"worse" \r\n' + jsonl(mixed(1)) + b"[1]")
    assert out.failed == [b'{"bad"\r', b'{"worse" \r', b"[1]"]
    assert [result["line"] for result in out.results] == [1, 3, 4, 5]
