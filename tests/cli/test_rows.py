"""Tables and templates: of the command's options, of a folder here, of a folder in the bucket."""

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cli.conftest import Aws, Run

TABLE = 'id,text\n1,"Well ""done"", {{ x }}\nagain"\n2,b\n'
ASKED = ("--model", "gpt-4o-mini", "--prompt", "It: {{ text }}", "--id-column", "id")
CLAUDE = ("--model", "claude-haiku-4-5", "--prompt", "It: {{ text }}", "--system", "Be {{ id }}", "--keep", "id")


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "reviews.csv"
    path.write_text(TABLE, encoding="utf-8", newline="")
    return path


def shown(run: "Run", *arguments: object) -> object:
    code, out, err = run("template", *arguments)
    assert (code, err) == (0, "")
    return json.loads(out)


def test_a_row_is_shown_as_what_it_becomes(run: "Run", table: Path) -> None:
    assert shown(run, table, *ASKED, "--max-tokens", "5") == {
        "custom_id": "1",
        "provider": "openai",
        "url": "/v1/chat/completions",
        "body": {
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": 'It: Well "done", {{ x }}\nagain'}],
            "max_completion_tokens": 5,
        },
    }
    assert shown(run, table, "--row", "2", *CLAUDE, "--temperature", "0.5") == {
        "custom_id": None,
        "provider": "anthropic",
        "url": "/v1/messages",
        "body": {
            "model": "claude-haiku-4-5",
            "system": "Be 2",
            "messages": [{"role": "user", "content": "It: b"}],
            "max_tokens": 1024,
            "temperature": 0.5,
        },
        "row": {"id": "2"},
    }
    assert shown(run, table, "--row", "2", "--model", "text-embedding-3-small", "--embed", "text") == {
        "custom_id": None,
        "provider": "openai",
        "url": "/v1/embeddings",
        "body": {"model": "text-embedding-3-small", "input": "b"},
    }


def test_the_settings_of_the_nearest_folder_here_are_a_template_too(run: "Run", table: Path) -> None:
    body = 'body = \'{"input": "{{ text }}"}\''
    table.with_name("batchdrop.toml").write_text(
        f'[template]\nmodel = "text-embedding-3-small"\n{body}\n', encoding="utf-8"
    )
    assert "2 to be sent" in run("validate", table).out
    assert run("quote", table).code == 0


def test_settings_whose_template_makes_no_request_are_named(run: "Run", tmp_path: Path) -> None:
    file = tmp_path / "batchdrop.toml"
    file.write_text('[template]\nmodel = "gpt-4o-mini"\nbody = { input = "{{ text" }\n', encoding="utf-8")
    code, _, err = run("validate", file)
    assert (code, "no }} closes the {{" in err) == (2, True)


def test_a_row_that_would_not_be_sent_is_said(run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_bytes(b'{"text":"a"}\n{"txt":"b"}\n')
    code, out, _ = run("template", path, "--row", "2", *ASKED)
    assert (code, out.startswith('Row 2 (missing_column): it has no column "text"')) == (3, True)
    assert run("template", path, "--row", "3", *ASKED).code == 1


def test_a_table_is_dropped_with_its_settings_beside_it(aws: "Aws", run: "Run", table: Path) -> None:
    assert run("put", table, "--key", "input/team/reviews.csv", *CLAUDE, "--max-cost", "1").code == 0
    settings, dropped = aws.keys()
    head = aws.s3.head_object(Bucket="batchdrop-test", Key=dropped)
    assert (dropped, head["Metadata"]["batchdrop-settings"]) == (
        "input/team/reviews.csv",
        settings.removeprefix("input/team/"),
    )
    assert head["Metadata"]["batchdrop-budget-usd"] == "1"
    body = aws.s3.get_object(Bucket="batchdrop-test", Key=settings)["Body"].read().decode()
    assert body.startswith('answers = ["csv"]\n[template]\nmodel = "claude-haiku-4-5"\nbody = "{')


def test_a_table_may_have_its_template_in_the_bucket(aws: "Aws", run: "Run", table: Path) -> None:
    text = '[template]\nmodel = "gpt-4o-mini"\nbody = { messages = [{ role = "user", content = "{{ text }}" }] }\n'
    aws.drop("input/team/batchdrop.toml", text.encode())
    assert run("put", table, "--key", "input/team/reviews.csv").code == 0


def test_a_column_that_is_missing_is_told_with_the_nearest_and_with_those_that_are_there(
    run: "Run", tmp_path: Path
) -> None:
    path = tmp_path / "mails.csv"
    path.write_text("id,Message,lang\n1,a,en\n", encoding="utf-8")
    asked = ("--model", "gpt-4o-mini", "--prompt", "It: {{ mesage }}")
    where = "Correct the name in --prompt, --system, --embed, --id-column, --keep or [template], or set --delimiter to "
    assert run("validate", path, *asked).err == (
        f'{path}: The table has no column "mesage", which the template names (missing_column). Did you mean "Message"? '
        f"Its header has 3 columns: id, Message, lang. {where}what stands between the cells.\n"
    )
    path.write_text(",".join(f"c{number}" for number in range(12)) + "\n", encoding="utf-8")
    said = run("quote", path, *asked).err
    assert "(missing_column). Its header has 12 columns: c0, c1, c2, c3, c4, c5, c6, c7, c8, c9, …. Correct " in said


def test_a_column_may_stand_in_the_system_prompt_alone(run: "Run", table: Path) -> None:
    assert run("validate", table, "--model", "gpt-4o-mini", "--prompt", "Go.", "--system", "Be {{ text }}.").code == 0


TEMPLATE = '[template]\nmodel = "gpt-4o-mini"\nbody = { messages = [{ role = "user", content = "{{ text }}" }] }\n'


def test_options_without_a_template_leave_the_folders(aws: "Aws", run: "Run", table: Path) -> None:
    table.write_text("id;text\n1;a\n", encoding="utf-8")
    table.with_name("batchdrop.toml").write_text(TEMPLATE, encoding="utf-8")
    options = ("--delimiter", ";", "--answers", "jsonl")
    assert "1 to be sent" in run("validate", table, *options).out
    aws.drop("input/team/batchdrop.toml", TEMPLATE.encode())
    assert run("put", table, "--key", "input/team/reviews.csv", *options).code == 0


def test_an_option_sends_equal_requests_once(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"model":"gpt-4o-mini","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}\n' * 9)
    quoted = [json.loads(run("quote", path, "--json", *options).out) for options in ((), ("--dedupe",))]
    assert [each["shared_lines"] for each in quoted] == [0, 8]
    assert [each["models"][0]["requests"] for each in quoted] == [9, 1]
    assert float(quoted[0]["batch"]["high_usd"]) > 7 * float(quoted[1]["batch"]["high_usd"])
    assert "1 to be sent, 0 with errors, 0 blank, 8 equal to others" in run("quote", path, "--dedupe").out
    assert run("put", path, "--dedupe").code == 0
    [settings] = [key for key in aws.keys("input/") if key.endswith(".toml")]
    assert aws.s3.get_object(Bucket="batchdrop-test", Key=settings)["Body"].read() == b"dedupe = true\n"


def test_a_quote_counts_writing_to_a_prompt_cache_where_the_folder_asks_for_it(run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    line = {
        "params": {"model": "claude-haiku-4-5", "max_tokens": 1, "messages": [{"role": "user", "content": "x" * 999}]}
    }
    path.write_text((json.dumps(line) + "\n") * 500)
    plain = float(json.loads(run("quote", path, "--json").out)["batch"]["high_usd"])
    path.with_name("batchdrop.toml").write_text("cache_prefix = true\n", encoding="utf-8")
    assert 1.9 < float(json.loads(run("quote", path, "--json").out)["batch"]["high_usd"]) / plain < 2


SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"], "additionalProperties": False}


def test_a_schema_is_shown_in_the_request_and_goes_along_with_the_file(aws: "Aws", run: "Run", table: Path) -> None:
    schema = table.with_name("s.json")
    schema.write_text(json.dumps(SCHEMA, indent=2), encoding="utf-8")
    found = shown(run, table, *CLAUDE, "--schema", schema)
    assert isinstance(found, dict)
    assert found["body"]["output_config"] == {"format": {"type": "json_schema", "schema": SCHEMA}}
    assert run("put", table, *ASKED, "--schema", schema).code == 0
    (settings,) = [key for key in aws.keys() if key.endswith(".batchdrop.toml")]  # noqa: SIM118 - it is no dict
    text = aws.s3.get_object(Bucket="batchdrop-test", Key=settings)["Body"].read().decode()
    assert json.loads(tomllib.loads(text)["output_schema"]) == SCHEMA


@pytest.mark.parametrize("command", ["validate", "quote", "put"])
def test_a_schema_that_is_not_taken_is_refused_before_the_upload(
    aws: "Aws", run: "Run", table: Path, command: str
) -> None:
    schema = table.with_name("s.json")
    schema.write_text('{"type": "object", "properties": {"a": {"$ref": "http://127.0.0.1:1/"}}}', encoding="utf-8")
    code, _, err = run(command, table, *ASKED, "--schema", schema)
    assert (code, "only its own parts are followed" in err, aws.keys()) == (2, True, [])
    assert err.startswith(f"--schema {schema}: output_schema ")


def test_settings_and_the_schema_that_they_name_are_checked_and_put(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    settings, schema = tmp_path / "batchdrop.toml", tmp_path / "s.schema.json"
    settings.write_text('output_schema = "s.schema.json"', encoding="utf-8")
    assert "is not there" in run("validate", settings).err
    schema.write_text("[]", encoding="utf-8")
    assert run("validate", schema).err.startswith(f"{schema}: output_schema must be a JSON Schema ")
    schema.write_text(json.dumps(SCHEMA), encoding="utf-8")
    assert [run("validate", each).code for each in (settings, schema)] == [0, 0]
    assert run("put", schema).code == 0
    assert aws.keys() == ["input/s.schema.json"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ((), "put a batchdrop.toml with [template] into its folder. For example: --model gpt-4o-mini --prompt "),
        (("--prompt", "x"), "To make requests of rows, name --model and either --prompt or --embed."),
        (("--model", "gpt-4o-mini"), "To make requests of rows, name --model and either --prompt or --embed."),
        (("--model", "gpt-4o-mini", "--prompt", "{{ txt }}"), 'The table has no column "txt"'),
        (
            ("--model", "gpt-4o-mini", "--prompt", "x", "--id-column", "id"),
            "every row would be the same request. Name one",
        ),
        (("--model", "gpt-4o-mini", "--prompt", "Say { text }", "--system", "Be."), "The prompt names no column"),
        (("--model", "gpt-4o-mini", "--prompt", "{{ txt"), "[template]: no }} closes the {{"),
        (("--model", "nobodys", "--prompt", "{{ text }}"), '[template]: model "nobodys" fits no provider\'s patterns'),
        ((*ASKED, "--delimiter", "xx"), "delimiter = 'xx': one character such as"),
    ],
)
def test_what_makes_no_requests_is_refused_before_the_upload(
    aws: "Aws", run: "Run", table: Path, options: tuple[str, ...], said: str
) -> None:
    code, out, err = run("put", table, *options)
    assert (code in {1, 2}, out, err.count("\n"), aws.keys()) == (True, "", 1, [])
    assert said in err


def test_errors_of_a_table_name_its_rows_and_say_which_is_the_first(run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("id,text\n1,a\n2\n3,c\n", encoding="utf-8")
    row_one = "Rows are counted without the header: row 1 is the first row of data."
    said = run("validate", path, *ASKED)
    assert said.code == 3
    assert f"{path}: 3 rows: 2 to be sent, 1 with errors, 0 blank" in said.out
    *_, problem, last = said.out.splitlines()
    assert (problem.startswith("row 2: template: a row with 1 cell, "), last) == (True, row_one)
    assert f"Not sent: 1 row: template (row 2)\n{row_one}\n" in run("quote", path, *ASKED).out


def test_a_table_of_blank_rows_is_called_so(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("id,text\n\n\n", encoding="utf-8")
    said = f"{path} has a header and only blank rows."
    assert run("validate", path, *ASKED).err == f"{said}\n"
    assert run("put", path, *ASKED).err.endswith(f"{said} Nothing was dropped.\n")
    assert aws.keys() == []


def test_data_in_json_lines_that_nothing_is_asked_about_is_not_dropped(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id":1,"text":"good"}\n\n{"id":2}\n')
    ran = run("put", path)
    assert (ran.code, ran.out, aws.keys()) == (2, "", [])
    assert ran.err.splitlines()[-1] == (
        f"{path} holds data, not requests (no line names a model): name --model and --prompt (or --embed), or put a "
        "batchdrop.toml with [template] into its folder. For example: --model gpt-4o-mini --prompt "
        '"Sentiment of: {{ text }}"'
    )


def test_a_table_with_another_delimiter_says_which_to_name(run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "reviews.csv"
    path.write_text("id;text\n1;a\n", encoding="utf-8")
    assert run("validate", path, *ASKED).err == (
        f'{path}: The table has no column "text" (missing_column): its header is one cell, with semicolons between the '
        "names. Add: --delimiter ';'\n"
    )
    assert run("validate", path, *ASKED, "--delimiter", ";").code == 0
