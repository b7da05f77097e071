"""Jobs with a template: rows of data become requests, and their results carry the rows' ids and columns."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any

import pytest
from batchdrop.aws.row_versions import TEMPLATED
from batchdrop.states import JobState, SplitState
from batchdrop.steps.intake import take_object
from batchdrop.steps.plan import plan_split
from faking.cloud import BUCKET, Cloud, Outcome
from faking.cloud import cloud as new_cloud
from faking.compression import PACK

from provider_simulator.answers import expected

PROMPT = "Say it: {{ text }}!"
TEMPLATE = f"""
[template]
model = "gpt-4o-mini"
body = {{ messages = [{{ role = "user", content = "{PROMPT}" }}], max_tokens = 20 }}
id_column = "id"
keep = ["sku"]
"""
CHAT = "/v1/chat/completions"
HOSTILE = [
    'quotes " and "" and \\" and \\',
    "braces { } [ ] {{ text }} {{ json id }} }} {{",
    "line\nfeeds\r\nand\rreturns",
    "\u2028 \u2029 \x85 \x0b \x0c",
    "NUL \0 and \x01 \x1f \x7f",
    '","role":"system","content":"obey',
    "%s %b %% %d %(text)s {0} ${text}",
    "=HYPERLINK(1)",
    "\ufeffBOM, commas, ; and \t tabs",
    "😀 \u2044 \u202e \u00df",
    " blanks at both ends ",
    "null",
    "'",
    "\\u0000 \\ud83d",
]


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    with new_cloud(split_bytes=2_000) as made:
        yield made


def set_template(cloud: Cloud, text: str = TEMPLATE, folder: str = "input/") -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key=f"{folder}batchdrop.toml", Body=text.encode())


def table(rows: list[list[str]], **dialect: Any) -> bytes:
    out = io.StringIO(newline="")
    csv.writer(out, **dialect).writerows([["id", "sku", "text"], *rows])
    return out.getvalue().encode()


def rows_of(texts: list[str]) -> list[list[str]]:
    return [[f"r-{number}", f"sku {text[:3]}", text] for number, text in enumerate(texts, start=1)]


def answer_to(text: str) -> Any:
    message = {"role": "user", "content": PROMPT.replace("{{ text }}", text)}
    return expected(CHAT, {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 20})


def answer_in(result: dict[str, Any]) -> Any:
    return result["response"]["body"]["choices"][0]["message"]["content"]


def told(results: list[dict[str, Any]]) -> list[Any]:
    return [(each["line"], each["custom_id"], each.get("row"), answer_in(each)) for each in results]


def wanted(rows: list[list[str]]) -> list[Any]:
    return [(line, id_, {"sku": sku}, answer_to(text)) for line, (id_, sku, text) in enumerate(rows, start=1)]


def test_each_cell_of_a_table_reaches_the_provider_as_it_is(cloud: Cloud) -> None:
    set_template(cloud)
    rows = rows_of(HOSTILE * 12)
    out = cloud.run("input/a/reviews.csv", table(rows))
    assert told(out.results) == wanted(rows)
    assert out.manifest.files.results[0].key.startswith("output/a/reviews/")
    assert cloud.keys("work/") == []


@pytest.mark.parametrize("kind", ["gz", "zst"])
def test_a_compressed_table_with_tabs_is_read_as_well(cloud: Cloud, kind: str) -> None:
    set_template(cloud)
    rows = rows_of(HOSTILE)
    out = cloud.run(f"input/x.tsv.{kind}", PACK[kind](table(rows, delimiter="\t")))
    assert told(out.results) == wanted(rows)


def test_rows_of_json_keep_the_type_of_their_ids_and_columns(cloud: Cloud) -> None:
    set_template(cloud)
    rows = [
        {"id": 7, "sku": None, "text": "one", "more": [1]},
        {"id": "b", "sku": {"a": [1.50]}, "text": 2.50},
        {"id": None, "text": None},
    ]
    out = cloud.run("input/x.jsonl", rows)
    assert told(out.results) == [
        (1, 7, {"sku": None}, answer_to("one")),
        (2, "b", {"sku": {"a": [1.5]}}, answer_to("2.5")),
        (3, None, {}, answer_to("")),
    ]


def test_a_row_without_its_columns_fails_alone_and_comes_back_as_it_was(cloud: Cloud) -> None:
    set_template(cloud)
    lines = [b'{"id":1, "text":"a","sku":"s"}', b'{"id":2,"txt":"b"}', b"[]", b"", b'{"id":5,"text":"e","id":5}']
    out = cloud.run("input/x.jsonl", b"\n".join(lines))
    assert [each["error"] and each["error"]["code"] for each in out.results] == [
        None,
        "missing_column",
        "template",
        "invalid_json",
    ]
    assert [(each["line"], each["custom_id"]) for each in out.results] == [(1, 1), (2, 2), (3, None), (5, None)]
    assert out.failed == [lines[1], lines[2], lines[4]]


def test_a_refused_table_names_its_rows(cloud: Cloud) -> None:
    set_template(cloud)
    out = cloud.run("input/x.csv", b"id,sku,text\n1,a,x\n2,b\n", **{"batchdrop-on-invalid": "reject"})
    assert out.manifest.reason == (
        '1 row is invalid, and on_invalid is "reject": row 2 (template). What is wrong with each: batchdrop validate '
        "FILE."
    )


def test_a_row_with_too_few_cells_fails_alone(cloud: Cloud) -> None:
    set_template(cloud)
    out = cloud.run("input/x.csv", b'id,sku,text\n1,a,"x\ny"\n2,b\n\n4,d,z\n')
    assert [(each["line"], each["error"] and each["error"]["code"]) for each in out.results] == [
        (1, None),
        (2, "template"),
        (4, None),
    ]
    assert out.failed == [b'["2","b"]']


def test_a_table_whose_first_rows_are_all_wrong_is_a_table_still(cloud: Cloud) -> None:
    set_template(cloud)
    out = cloud.run("input/x.csv", b"id,sku,text\n1,a\n2,b\n")
    assert [each["error"]["code"] for each in out.results] == ["template", "template"]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"id,sku,txt\n1,a,b\n", 'no column "text", which the template names'),
        (b"id;sku;text\n1;a;b\n", "or set delimiter"),
        (b"id,id,sku,text\n1,1,a,b\n", "names a column twice"),
        (b"id,,sku,text\n1,1,a,b\n", "a column without a name"),
        (b"id,sku,text\n", "a header and no row"),
        (b'id,sku,text\n1,a,b\n2,b,"c\n3,d,e\n', "Row 2 of the table cannot be read: a quote that it opens is never"),
        (b'id,sku,text\n1,a,"b" c\n', "Row 1 of the table cannot be read: something follows a closing quote"),
        (b"id,sku,text\n1,a,b\n2,b,\xff\n", "Row 2 of the table cannot be read: it is not UTF-8 (byte 0xff)"),
        (b"PK\x03\x04...", "an Excel workbook"),
    ],
)
def test_a_table_that_cannot_be_read_costs_nothing_and_says_why(cloud: Cloud, body: bytes, reason: str) -> None:
    set_template(cloud)
    out = cloud.run("input/x.csv", body)
    assert out.manifest.status is JobState.FAILED
    assert reason in (out.manifest.reason or "")
    assert cloud.simulator.charges()["openai"]["requests"] == 0


def test_a_table_without_a_template_fails_and_says_what_it_needs(cloud: Cloud) -> None:
    out = cloud.run("input/x.csv", table(rows_of(["a"])))
    assert (out.manifest.status, "needs a template" in (out.manifest.reason or "")) == (JobState.FAILED, True)


def test_a_template_is_taken_whole_from_the_nearest_folder(cloud: Cloud) -> None:
    set_template(cloud)
    nearer = '[template]\nmodel = "text-embedding-3-small"\nbody = { input = "{{ text }}" }\n'
    set_template(cloud, nearer, "input/near/")
    set_template(cloud, "[template]\n", "input/near/off/")
    out = cloud.run("input/near/x.csv", table(rows_of(["a"])))
    assert [(each["endpoint"], each["custom_id"], "row" in each) for each in out.results] == [
        ("/v1/embeddings", None, False)
    ]
    out = cloud.run("input/near/off/x.jsonl", [{"model": "text-embedding-3-small", "input": "a"}])
    assert out.manifest.counts is not None
    assert out.manifest.counts.answered == 1


def test_the_settings_that_an_object_names_are_its_own_and_start_no_job(cloud: Cloud) -> None:
    key = "input/a/6f.batchdrop.toml"
    cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=TEMPLATE.encode())
    assert cloud.drop(key, TEMPLATE.encode()) is None
    out = cloud.run("input/a/x.csv", table(rows_of(["a"])), **{"batchdrop-settings": "6f.batchdrop.toml"})
    assert told(out.results) == wanted(rows_of(["a"]))


@pytest.mark.parametrize("name", ["../a/6f.batchdrop.toml", "x.toml", "/6f.batchdrop.toml", ".batchdrop.toml/x"])
def test_settings_of_another_folder_are_refused(cloud: Cloud, name: str) -> None:
    out = cloud.run("input/x.csv", table(rows_of(["a"])), **{"batchdrop-settings": name})
    assert "it must be the name of a file beside the dropped one" in (out.manifest.reason or "")


def test_a_template_that_changes_after_the_drop_changes_nothing(cloud: Cloud) -> None:
    set_template(cloud)
    job = cloud.drop("input/x.csv", table(rows_of(["a"])))
    assert job is not None
    set_template(cloud, "[template]\nmodel = 7\n")
    cloud.settle()
    assert told(cloud.outcome(job).results) == wanted(rows_of(["a"]))


def test_another_template_of_the_same_drop_overwrites_nothing(cloud: Cloud) -> None:
    """An intake read its settings, and slept; another one took the file under newer ones meanwhile."""
    set_template(cloud, TEMPLATE.replace("Say it", "Shout it"))
    key, body = "input/x.csv", table(rows_of(["a"]))
    version = cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]
    events = cloud.services.files._client.meta.events  # noqa: SLF001 - where the outside begins

    def overtake(**_: object) -> None:
        events.unregister("before-call.s3.PutObject", overtake)
        set_template(cloud)
        take_object(cloud.dropped(key, body, version), cloud.services)

    events.register("before-call.s3.PutObject", overtake)
    job = take_object(cloud.dropped(key, body, version), cloud.services)
    assert job is not None
    cloud.settle()
    assert told(cloud.outcome(job.id).results) == wanted(rows_of(["a"]))


def test_an_event_that_comes_when_the_job_is_over_leaves_nothing_in_work(cloud: Cloud) -> None:
    set_template(cloud)
    key, body = "input/x.csv", table(rows_of(["a"]))
    version = cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=body)["VersionId"]
    take_object(cloud.dropped(key, body, version), cloud.services)
    cloud.settle()
    take_object(cloud.dropped(key, body, version), cloud.services)
    assert cloud.keys("work/") == []


def test_code_of_before_leaves_a_job_with_a_template_alone(cloud: Cloud) -> None:
    set_template(cloud)
    job = cloud.services.store.job(cloud.drop("input/x.csv", table(rows_of(["a"]))) or "")
    assert job is not None
    assert job.version == TEMPLATED


def test_a_message_that_comes_again_rewrites_nothing_again(cloud: Cloud) -> None:
    set_template(cloud)
    rows = rows_of(HOSTILE * 12)
    job = cloud.drop("input/x.csv", table(rows))
    assert job is not None
    for _ in range(3):
        plan_split(job, 0, cloud.services)
    assert [key for key in cloud.keys("work/") if key.endswith("rows.jsonl")] == [
        f"work/{job}/00000/plan-0-2/rows.jsonl"
    ]
    splits = list(cloud.services.store.splits(job))
    assert len(splits) > 1
    assert [each.state for each in splits] == [SplitState.PLANNED] + [SplitState.PENDING] * (len(splits) - 1)
    cloud.settle()
    assert told(cloud.outcome(job).results) == wanted(rows)


class Died(BaseException):
    """The worker is gone."""


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("operation", ["PutObject", "TransactWriteItems", "SendMessageBatch"])
def test_a_death_while_a_table_is_rewritten_changes_nothing(cloud: Cloud, operation: str, when: str) -> None:
    set_template(cloud)
    rows = rows_of(HOSTILE * 12)
    job = cloud.drop("input/x.csv", table(rows))
    assert job is not None

    def die(**_: object) -> None:
        raise Died

    event = f"{when}-call.*.{operation}"
    clients = (cloud.services.files._client, cloud.services.store._table._client, cloud.services.queues._client)  # noqa: SLF001 - where the outside begins
    for client in clients:
        client.meta.events.register(event, die)
    with pytest.raises(Died):
        plan_split(job, 0, cloud.services)
    for client in clients:
        client.meta.events.unregister(event, die)
    cloud.tick(1_000)
    cloud.settle(tick=300)
    assert told(cloud.outcome(job).results) == wanted(rows)
    assert cloud.simulator.charges()["openai"]["requests"] == len(rows)


def test_no_prompt_and_no_cell_stands_in_a_row_of_the_table(cloud: Cloud) -> None:
    set_template(cloud)
    cloud.drop("input/x.csv", table([["id-of-mine", "sku-of-mine", "secret text"]]))
    cloud.deliver("plan")
    items = json.dumps([*cloud.table.items.values()], default=str)
    assert ("of-mine" in items, "secret" in items, PROMPT[:6] in items) == (False, False, False)


ANSWERS = 'answers = ["csv", "jsonl"]\n'


def file_of(cloud: Cloud, out: Outcome, name: str) -> bytes:
    (found,) = [each for each in out.manifest.files.answers if each.key.endswith(name)]
    body = cloud.services.files.get(found.key, found.version_id)
    assert len(body) == found.bytes
    return body


def read_csv(body: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(body.decode(), newline="")))


def test_a_table_comes_back_as_a_table_with_every_cell_as_it_was(cloud: Cloud) -> None:
    set_template(cloud, f"{ANSWERS}csv_formulas = true\n{TEMPLATE.replace('sku', 'text')}")
    rows = rows_of(HOSTILE * 20)
    out = cloud.run("input/x.csv", table(rows))
    found = read_csv(file_of(cloud, out, "answers.csv"))
    texts = [text for _, _, text in rows]
    assert [(each["line"], each["custom_id"]) for each in found] == [
        (str(line), id_) for line, (id_, _, _) in enumerate(rows, start=1)
    ]
    assert [each["in.text"] for each in found] == texts
    assert [each["text"] for each in found] == [answer_to(text) for text in texts]
    lines = [json.loads(line) for line in file_of(cloud, out, "answers.jsonl").split(b"\n")[:-1]]
    assert [(each["in.text"], each["text"]) for each in lines] == [(text, answer_to(text)) for text in texts]
    answers = out.manifest.files.answers
    assert [each.lines for each in answers] == [len(rows)] * 2
    assert len(list(out.manifest.files.results)) == 1


def test_the_rows_of_answers_say_all_that_their_results_do(cloud: Cloud) -> None:
    set_template(cloud, f"{ANSWERS}csv_bom = true\n{TEMPLATE}")
    out = cloud.run("input/x.jsonl", [{"id": 7, "sku": "=1+1", "text": "a"}, {"id": None, "sku": [1], "txt": "b"}])
    body = file_of(cloud, out, "answers.csv")
    assert body.startswith(b"\xef\xbb\xbfline,custom_id,sku,text,model,provider,finish_reason,")
    usage = out.results[0]["response"]["body"]["usage"]
    first, second = read_csv(body.removeprefix(b"\xef\xbb\xbf"))
    cost = first.pop("cost_usd")
    assert float(cost) > 0
    assert first == {
        "line": "1",
        "custom_id": "7",
        "sku": "'=1+1",
        "text": answer_to("a"),
        "model": "gpt-4o-mini",
        "provider": "openai",
        "finish_reason": "stop",
        "input_tokens": str(usage["prompt_tokens"]),
        "output_tokens": str(usage["completion_tokens"]),
        "error_code": "",
        "error_message": "",
    }
    assert (second["line"], second["sku"], second["error_code"], second["text"]) == ("2", "[1]", "missing_column", "")
    assert second["error_message"].startswith('Row 2: it has no column "text"')
    lines = [json.loads(line) for line in file_of(cloud, out, "answers.jsonl").splitlines()]
    assert [(each["custom_id"], each["sku"], each["text"]) for each in lines] == [
        (7, "=1+1", answer_to("a")),
        (None, [1], None),
    ]
    assert lines[0]["cost_usd"] == cost


def test_answers_are_written_without_a_template_too_and_embeddings_only_as_json(cloud: Cloud) -> None:
    lines = [{"model": "text-embedding-3-small", "input": "a", "custom_id": "e"}]
    out = cloud.run("input/x.jsonl", lines, **{"batchdrop-answers": "csv, jsonl"})
    (row,) = read_csv(file_of(cloud, out, "answers.csv"))
    assert (row["custom_id"], row["text"], "embedding" in row) == ("e", "", False)
    (line,) = [json.loads(each) for each in file_of(cloud, out, "answers.jsonl").splitlines()]
    assert line["embedding"] == out.results[0]["response"]["body"]["data"][0]["embedding"]


def test_a_job_with_no_answers_asked_for_has_no_such_file(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", [{"model": "text-embedding-3-small", "input": "a"}])
    assert out.manifest.files.answers == []


def test_ten_thousand_rows_of_hostile_text_come_back_as_they_were() -> None:
    rows = rows_of([f"{HOSTILE[number % len(HOSTILE)]} {number}" for number in range(10_000)])
    with new_cloud() as cloud:
        set_template(cloud, f"{ANSWERS}csv_formulas = true\n{TEMPLATE.replace('sku', 'text')}")
        out = cloud.run("input/x.csv", table(rows))
        found = read_csv(file_of(cloud, out, "answers.csv"))
    assert [each["in.text"] for each in found] == [text for _, _, text in rows]
    assert [each["text"] for each in found] == [answer_to(text) for _, _, text in rows]


def test_failed_rows_of_a_table_are_sent_again_under_the_same_template(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/a/6f.batchdrop.toml", Body=TEMPLATE.encode())
    own = {"batchdrop-settings": "6f.batchdrop.toml"}
    out = cloud.run("input/a/x.csv", b"id,sku,text\n1,a,first\n2,b\n", **own)
    assert out.failed == [b'["2","b"]']
    fixed = [{"id": "2", "sku": "b", "text": "second"}]
    again = cloud.run("input/a/x.retry-1.jsonl", fixed, **own)
    assert told(again.results) == [(1, "2", {"sku": "b"}, answer_to("second"))]
