"""Jobs with an output schema: answers are asked for in it, held against it, sent again, and paid as often as told."""

import csv
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import msgspec
import pytest
from batchdrop.aws.row_versions import STRUCTURED
from batchdrop.batches.result_index import Found, read_collected
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.jobs import ask_to_cancel
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.states import BatchState, JobState
from batchdrop.steps.collect import collect_batch
from faking.cloud import BUCKET, Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.deadlines import HANGS, batches_of, job_of, one_at_a_time, pass_until_finishing
from faking.failing import Failing, writes
from faking.lines import CHAT, CLAUDE, MESSAGES, RESPONSES, capped, chat, claude, for_model
from msgspec import Raw

SCHEMA = {
    "type": "object",
    "properties": {"label": {"type": "string"}, "score": {"type": "integer"}},
    "required": ["label", "score"],
    "additionalProperties": False,
}
INLINE = f"output_schema = '{json.dumps(SCHEMA)}'\n"


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud() as made:
        yield made


def settle_settings(cloud: Cloud, text: str = INLINE) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/batchdrop.toml", Body=text.encode())


def lines(count: int) -> list[dict[str, Any]]:
    """Lines of each form that has structured output: two of OpenAI's, one of Claude's, one that is translated."""
    forms = [
        capped,
        claude,
        lambda text, number: {"custom_id": number, "model": "gpt-5-mini", "input": text, "max_output_tokens": 50},
        lambda text, number: chat(text, number, CLAUDE),
    ]
    return [forms[number % 4](f"line {number}", number) for number in range(count)]


def text_of(result: dict[str, Any]) -> str:
    body = result["response"]["body"]
    if result["endpoint"] == CHAT:
        return str(body["choices"][0]["message"]["content"])
    parts = body["content"] if result["endpoint"] == MESSAGES else body["output"][-1]["content"]
    return "".join(part["text"] for part in parts)


def fits(result: dict[str, Any]) -> bool:
    try:
        found = json.loads(text_of(result))
    except ValueError:
        return False
    return isinstance(found, dict) and {name: type(value) for name, value in found.items()} == {
        "label": str,
        "score": int,
    }


def charges(cloud: Cloud) -> tuple[int, int, int]:
    """What both providers charged for: requests, and tokens in and out."""
    told = cloud.simulator.charges().values()
    batches = [sum(each[name] for each in told) for name in ("requests", "input_tokens", "output_tokens")]
    called = [sum(each["realtime"][name] for each in told) for name in ("requests", "input_tokens", "output_tokens")]
    return tuple(map(sum, zip(batches, called, strict=True)))  # type: ignore[return-value]


def counted(out: Outcome) -> tuple[int, int]:
    """The tokens that the manifest tells, in and out."""
    used = [each.usage + each.duplicates for each in out.manifest.models]
    return sum(each.input_tokens for each in used), sum(each.output_tokens for each in used)


def sent_bodies(cloud: Cloud) -> list[dict[str, Any]]:
    """The bodies of all request files, in the order of their keys."""
    files = [key for key in cloud.keys("work/") if "/requests-" in key]
    rows = [json.loads(line) for key in files for line in cloud.read(key).splitlines()]
    return [row.get("body") or row["params"] for row in rows]


@pytest.mark.parametrize("retry", ["same", "with_errors"])
def test_of_five_in_a_hundred_answers_that_do_not_fit_all_are_repaired_or_named_and_paid_as_told(
    cloud: Cloud, retry: str
) -> None:
    settle_settings(cloud, f'schema_retry = "{retry}"\n{INLINE}')
    cloud.simulator.shape(misfits=0.05)
    out = cloud.run("input/x.jsonl", lines(400))
    named = [each for each in out.results if each["error"] is not None]
    assert [fits(each) for each in out.results] == [each["error"] is None for each in out.results]
    assert {each["error"]["code"] for each in named} <= {"schema"}
    attempts = Counter(each["attempts"] for each in out.results)
    assert attempts[2] > 5
    requests, *tokens = charges(cloud)
    assert requests == sum(attempt * number for attempt, number in attempts.items())
    assert counted(out) == tuple(tokens)
    assert (out.manifest.counts and out.manifest.counts.errors) == ({"schema": len(named)} if named else {})
    assert cloud.keys("work/") == []


def test_an_answer_that_never_fits_is_an_error_with_the_raw_answer_and_each_attempt_is_paid(cloud: Cloud) -> None:
    settle_settings(cloud)
    cloud.simulator.shape(misfits=1.0)
    out = cloud.run("input/x.jsonl", [chat("hello"), claude("hello")])
    for result in out.results:
        assert (result["attempts"], result["error"]["code"], result["error"]["retryable"]) == (3, "schema", True)
        assert result["response"]["status_code"] == 200
        assert text_of(result)
    assert [len(out.errors), len(out.failed)] == [2, 2]
    assert charges(cloud)[0] == 6
    assert counted(out) == charges(cloud)[1:]
    assert sum(each.retries.input_tokens for each in out.manifest.models) * 3 == charges(cloud)[1] * 2
    assert out.manifest.counts is not None
    assert (out.manifest.counts.answered, out.manifest.counts.finish_reasons) == (0, {})


def test_no_word_of_an_answer_is_in_errors_rows_or_logs(cloud: Cloud, capsys: pytest.CaptureFixture[str]) -> None:
    settle_settings(cloud, f'schema_retry = "with_errors"\n{INLINE}')
    cloud.simulator.shape(misfits=1.0)
    out = cloud.run("input/x.jsonl", [chat("hello"), chat("another")])
    rows = json.dumps([*map(str, cloud.table.items.values())])
    logged = capsys.readouterr()
    for result in out.results:
        words = text_of(result)[2:12]
        assert words
        assert words not in result["error"]["message"]
        assert words not in rows + logged.out + logged.err


def test_with_errors_the_next_request_has_the_answer_and_what_is_wrong_with_it(cloud: Cloud) -> None:
    settle_settings(cloud, f'schema_retry = "with_errors"\n{INLINE}')
    cloud.simulator.shape(times=2, misfits=1.0)
    job = cloud.drop("input/x.jsonl", jsonl([chat("hello"), claude("hello")]))
    assert job is not None
    cloud.deliver_all()
    cloud.tick()
    cloud.deliver_all()
    first, again = sent_bodies(cloud)[:2], sent_bodies(cloud)[2:]
    assert [each["messages"][0] for each in again] == [each["messages"][0] for each in first]
    assert [[turn["role"] for turn in each["messages"]] for each in again] == [["user", "assistant", "user"]] * 2
    assert all("does not fit the JSON Schema" in each["messages"][-1]["content"] for each in again)
    cloud.settle()
    assert [each["attempts"] for each in cloud.outcome(job).results] == [2, 2]


def test_a_cut_answer_is_not_sent_again_and_says_why(cloud: Cloud) -> None:
    settle_settings(cloud)
    cloud.simulator.shape(misfits=1.0, stops=("length",), provider="openai")
    cloud.simulator.shape(misfits=1.0, stops=("max_tokens",), provider="anthropic")
    out = cloud.run("input/x.jsonl", [chat("hello"), claude("hello")])
    told = [(each["attempts"], each["error"]["code"], each["error"]["retryable"]) for each in out.results]
    assert told == [(1, "cut_off", False)] * 2
    assert counted(out) == charges(cloud)[1:]


def test_a_refusal_stays_a_refusal(cloud: Cloud) -> None:
    settle_settings(cloud)
    cloud.simulator.shape(stops=("refusal",))
    out = cloud.run("input/x.jsonl", [chat("hello"), claude("hello")])
    assert [(each["error"], each["attempts"]) for each in out.results] == [(None, 1)] * 2


def test_a_line_that_states_its_own_format_keeps_it_and_other_endpoints_have_none(cloud: Cloud) -> None:
    settle_settings(cloud)
    own = chat("hello")
    own["body"]["response_format"] = {"type": "text"}
    embedding = {"model": "text-embedding-3-small", "input": "hello"}
    job = cloud.drop("input/x.jsonl", jsonl([own, embedding, chat("hello")]))
    assert job is not None
    cloud.deliver_all()
    bodies = sorted(sent_bodies(cloud), key=lambda each: str(each.get("response_format")))
    assert [each.get("response_format", {}).get("type") for each in bodies] == [None, "json_schema", "text"]
    cloud.settle()
    assert [each["error"] for each in cloud.outcome(job).results] == [None] * 3


def test_rows_ask_for_the_schema_and_come_back_as_columns(cloud: Cloud) -> None:
    settle_settings(
        cloud,
        f"""answers = ["csv"]
{INLINE}
[template]
model = "gpt-4o-mini"
body = {{ messages = [{{ role = "user", content = "{{{{ text }}}}" }}], max_tokens = 20 }}
id_column = "id"
keep = ["label"]
""",
    )
    out = cloud.run("input/x.csv", b"id,label,text\n1,a,good\n2,b,bad\n")
    (answers,) = out.manifest.files.answers
    rows = list(csv.DictReader(io.StringIO(cloud.read(answers.key).decode())))
    said = [json.loads(text_of(each)) for each in out.results]
    assert [(row["custom_id"], row["label"], row["out.label"], row["score"], row["text"]) for row in rows] == [
        (number, kept, each["label"], str(each["score"]), "")
        for number, kept, each in zip("12", "ab", said, strict=True)
    ]


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ('output_schema = "{"', "output_schema is not JSON"),
        ('output_schema = "none.schema.json"', "input/none.schema.json, which output_schema names, is not there"),
        ('output_schema = "../x.schema.json"', "the name of a file beside it"),
        ("output_schema = 3", "the name of a file beside it"),
        ('[output_schema]\ntype = "array"', '"type": "object"'),
        ('[output_schema]\ntype = "object"\nproperties.a."$ref" = "#"', "refers to itself"),
        ('[output_schema]\ntype = "object"\nproperties.a."$ref" = "http://127.0.0.1:1/"', "only its own parts"),
        (f"schema_retry = 'never'\n{INLINE}", "schema_retry"),
    ],
)
def test_a_schema_that_is_not_taken_ends_the_job_before_anything_is_paid(cloud: Cloud, settings: str, why: str) -> None:
    settle_settings(cloud, settings)
    out = cloud.run("input/x.jsonl", [chat("hello")])
    assert out.manifest.status is JobState.FAILED
    assert why in (out.manifest.reason or "")
    assert charges(cloud) == (0, 0, 0)


def test_what_cannot_be_said_to_claude_ends_claudes_lines_alone(cloud: Cloud) -> None:
    schema = SCHEMA | {"properties": {"label": {"type": "object", "additionalProperties": {}}}, "required": []}
    settle_settings(cloud, f"output_schema = '{json.dumps(schema)}'")
    out = cloud.run("input/x.jsonl", [claude("hello"), chat("hello", model=CLAUDE), chat("hello")])
    assert [each["error"] and each["error"]["code"] for each in out.results] == ["invalid_parameter"] * 2 + [None]


def test_metadata_name_a_schema_beside_the_file_which_is_no_job_and_stays_as_it_was(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/s.schema.json", Body=json.dumps(SCHEMA).encode())
    assert cloud.drop("input/s.schema.json", json.dumps(SCHEMA).encode()) is None
    job = cloud.drop("input/x.jsonl", jsonl([chat("hello")]), **{"batchdrop-output-schema": "s.schema.json"})
    assert job is not None
    assert job_of(cloud, job).version == STRUCTURED
    cloud.s3.put_object(Bucket=BUCKET, Key="input/s.schema.json", Body=b"{")
    cloud.settle()
    (result,) = cloud.outcome(job).results
    assert fits(result)


def test_an_empty_schema_turns_off_that_of_a_folder_above(cloud: Cloud) -> None:
    settle_settings(cloud)
    cloud.s3.put_object(Bucket=BUCKET, Key="input/a/batchdrop.toml", Body=b"[output_schema]")
    out = cloud.run("input/a/x.jsonl", [chat("hello")])
    assert text_of(out.results[0]).startswith("Answer")


def until_ended(cloud: Cloud) -> str:
    """A job whose one batch ended, with answers that do not fit, and is to be collected."""
    settle_settings(cloud, f'schema_retry = "with_errors"\n{INLINE}')
    cloud.simulator.shape(times=1, misfits=0.5)
    job = cloud.drop("input/x.jsonl", jsonl([chat(f"line {number}", number) for number in range(20)]))
    assert job is not None
    cloud.deliver_all()
    cloud.tick()
    (batch,) = batches_of(cloud, job)
    assert batch.state is BatchState.ENDED
    return job


def assert_paid_once_each(cloud: Cloud, job: str) -> None:
    cloud.settle()
    out = cloud.outcome(job)
    assert all(map(fits, out.results))
    assert charges(cloud)[0] == sum(each["attempts"] for each in out.results)
    assert counted(out) == charges(cloud)[1:]


def test_collecting_twice_sends_nothing_twice(cloud: Cloud) -> None:
    job = until_ended(cloud)
    (batch,) = batches_of(cloud, job)
    collect_batch(job, batch.id, cloud.services)
    collect_batch(job, batch.id, cloud.services)
    (first, second) = batches_of(cloud, job)
    assert (first.state, first.again, first.misfits) == (BatchState.COLLECTED, second.requests, second.requests)
    found = read_collected(cloud.services.files, first.collected_key or "").found
    assert found.count(Found.MISFIT) == second.requests
    assert_paid_once_each(cloud, job)


@pytest.mark.parametrize("part", ["index", "requests-", "members-", "plan-1"])
def test_a_worker_that_dies_while_it_writes_the_next_round_leaves_nothing_to_be_paid_twice(
    cloud: Cloud, part: str
) -> None:
    job = until_ended(cloud)
    (batch,) = batches_of(cloud, job)
    dying: Any = Failing(cloud.services.files, writes(part), ConnectionError("it died"))
    with pytest.raises(ConnectionError):
        collect_batch(job, batch.id, replace(cloud.services, files=dying))
    cloud.clock.now += 1_000
    assert_paid_once_each(cloud, job)


def test_a_cancelled_job_sends_no_answer_again(cloud: Cloud) -> None:
    job = until_ended(cloud)
    ask_to_cancel(job, cloud.services.store, now=cloud.clock.seconds())
    cloud.settle()
    out = cloud.outcome(job)
    assert {each["error"] and each["error"]["code"] for each in out.results} == {None, "schema"}
    assert charges(cloud)[0] == 20
    assert counted(out) == charges(cloud)[1:]


@pytest.mark.parametrize("provider", ["openai", "anthropic"])
def test_calls_at_real_time_ask_for_the_schema_and_are_held_against_it(provider: str) -> None:
    with one_at_a_time() as cloud:
        settle_settings(cloud)
        cloud.simulator.shape(**HANGS)
        form = {"openai": capped, "anthropic": claude}[provider]
        dropped = jsonl([form(f"line {number}", number) for number in range(4)])
        job = cloud.drop("input/x.jsonl", dropped, **{"batchdrop-deadline": "2h"})
        assert job is not None
        cloud.deliver_all()
        pass_until_finishing(cloud, job)
        cloud.simulator.fault("misfit", provider=provider, operation="realtime", times=2)
        cloud.settle()
        out = cloud.outcome(job)
        assert all(map(fits, out.results))
        assert sorted(each["attempts"] for each in out.results) == [1, 1, 2, 2]
        assert {each["via"] for each in out.results} == {"realtime"}
        assert counted(out) == charges(cloud)[1:]
        assert out.manifest.deadline is not None
        assert out.manifest.deadline.finished_realtime == 4


def test_a_budget_holds_a_job_that_may_be_sent_more_often_than_it_has_money(cloud: Cloud) -> None:
    def quoted(settings: str) -> float:
        settle_settings(cloud, settings)
        out = cloud.run("input/x.jsonl", [capped("hello")])
        assert out.manifest.quote is not None
        return float(out.manifest.quote.high_usd or 0)

    once, thrice = quoted(f"max_attempts = 1\n{INLINE}"), quoted(INLINE)
    with_errors = quoted(f'schema_retry = "with_errors"\n{INLINE}')
    assert 2.9 * once < thrice < 3.1 * once
    assert with_errors > thrice
    settle_settings(cloud, f"budget_usd = {(once + thrice) / 2:.6f}\n{INLINE}")
    job = cloud.drop("input/x.jsonl", jsonl([capped("hello")]))
    assert job is not None
    cloud.deliver_all()
    assert job_of(cloud, job).state is JobState.HELD


def test_embeddings_and_responses_have_each_their_own_way(cloud: Cloud) -> None:
    settle_settings(cloud)
    verbose = {"model": "gpt-5-mini", "input": "hello", "text": {"verbosity": "low"}}
    effort = claude("hello")
    effort["params"] |= {"output_config": None}
    job = cloud.drop("input/x.jsonl", jsonl([verbose, effort]))
    assert job is not None
    cloud.deliver_all()
    bodies = sent_bodies(cloud)
    (text,) = [each["text"] for each in bodies if "text" in each]
    assert (text["verbosity"], text["format"]["schema"], text["format"]["strict"]) == ("low", SCHEMA, True)
    (config,) = [each["output_config"] for each in bodies if "output_config" in each]
    assert config == {"format": {"type": "json_schema", "schema": SCHEMA}}
    cloud.settle()
    assert {each["endpoint"] for each in cloud.outcome(job).results} == {RESPONSES, MESSAGES}


FALLBACK = {"batchdrop-fallback": f"anthropic/{CLAUDE}"}
GONE = "gpt-4-does-not-exist"


@pytest.mark.parametrize("misfits", [0.0, 1.0])
def test_a_line_that_falls_asks_claude_in_its_form_and_the_answer_is_held_against_the_schema(
    cloud: Cloud, misfits: float
) -> None:
    score = {"type": "integer", "minimum": 0}  # which Claude does not take
    narrow = SCHEMA | {"properties": {"label": {"type": "string"}, "score": score}}
    settle_settings(cloud, f"output_schema = '{json.dumps(narrow)}'\n")
    cloud.simulator.shape(misfits=misfits)
    job = cloud.drop("input/x.jsonl", jsonl([for_model(capped("hello"), GONE)]), **FALLBACK)
    assert job is not None
    cloud.settle()
    (result,) = cloud.outcome(job).results
    assert (result["answered_by"]["model"], fits(result), result["error"] is None) == (CLAUDE, not misfits, not misfits)
    assert charges(cloud)[0] == (2 if misfits else 1)
    assert counted(cloud.outcome(job)) == charges(cloud)[1:]


def test_an_answer_that_does_not_fit_never_goes_to_the_fallback(cloud: Cloud) -> None:
    settle_settings(cloud)
    cloud.simulator.shape(misfits=1.0, seconds_to_complete=90)
    job = cloud.drop("input/x.jsonl", jsonl([capped("hello")]), **FALLBACK)
    assert job is not None
    stays = set()
    for _ in range(20):
        cloud.deliver_all()
        cloud.tick()
        stays |= {(each.round, each.stays) for each in batches_of(cloud, job)}
    assert stays == {(0, False), (1, True), (2, True)}
    (result,) = cloud.outcome(job).results
    assert ("answered_by" in result, result["error"]["code"], result["attempts"]) == (False, "schema", 3)
    assert cloud.simulator.charges()["anthropic"]["requests"] == 0


def test_lines_that_share_a_request_have_its_answer_that_does_not_fit_and_pay_it_once(cloud: Cloud) -> None:
    settle_settings(cloud)
    cloud.simulator.shape(misfits=1.0)
    out = cloud.run("input/x.jsonl", [capped("hello"), capped("hello")], **{"batchdrop-dedupe": "true"})
    first, second = out.results
    assert (second["shared_with"], first["error"], first["error"]["code"]) == (1, second["error"], "schema")
    assert charges(cloud)[0] == 3
    assert counted(out) == charges(cloud)[1:]
    (model,) = out.manifest.models
    assert (model.requests, model.failed, model.shared.requests, model.shared.answered) == (2, 2, 1, 0)


def test_a_line_that_states_the_same_format_itself_shares_nothing_with_one_that_is_held_against_it(
    cloud: Cloud,
) -> None:
    settle_settings(cloud)
    line, formats = capped("hello"), OutputFormats(OutputSchema(json.dumps(SCHEMA).encode()))
    body, _ = formats.add(Raw(msgspec.json.encode(line["body"])), CHAT, is_claude=False)
    lines = [msgspec.json.encode(each) for each in (line, line | {"body": body})]
    out = cloud.run("input/x.jsonl", lines, **{"batchdrop-dedupe": "true"})
    assert [each.get("shared_with") for each in out.results] == [None, None]
    assert charges(cloud)[0] == 2
