"""`put` drops a file, each file of a folder, or standard input."""

import io
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from batchdrop_cli.sources import each_of, worst_of
from batchdrop_cli.user_errors import UserError

if TYPE_CHECKING:
    from conftest import Aws, Run

LINE = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}\n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "monday"
    (made / "deep").mkdir(parents=True)
    (made / ".hidden").mkdir()
    (made / "b.jsonl").write_bytes(LINE)
    (made / "deep" / "a.jsonl").write_bytes(LINE * 2)
    (made / "batchdrop.toml").write_text("max_attempts = 2\n")
    (made / "notes.txt").write_bytes(b"not dropped")
    (made / ".hidden" / "c.jsonl").write_bytes(LINE)
    return made


class Piped:
    """Standard input as a pipe has it."""

    def __init__(self, body: bytes) -> None:
        self.buffer = io.BytesIO(body)

    def isatty(self) -> bool:
        return False


def test_each_file_of_a_folder_is_dropped_with_its_settings(aws: "Aws", run: "Run", folder: Path) -> None:
    ran = run("put", folder)
    assert (ran.code, len(ran.out.splitlines())) == (0, 3)  # the settings' sentence, and two jobs
    assert ran.out.startswith("These settings apply to every file")  # they are there before the files
    assert aws.keys() == ["input/monday/b.jsonl", "input/monday/batchdrop.toml", "input/monday/deep/a.jsonl"]
    assert "1 file left out: neither JSON lines nor a table by the name (notes.txt).\n" in ran.err


def test_a_folder_goes_where_its_key_says(aws: "Aws", run: "Run", folder: Path) -> None:
    assert run("put", folder, "--key", "input/team/x/").code == 0
    assert aws.keys() == ["input/team/x/b.jsonl", "input/team/x/batchdrop.toml", "input/team/x/deep/a.jsonl"]


@pytest.mark.parametrize("key", ["input/x.jsonl", "output/x/", "x/"])
def test_a_key_that_is_no_folder_is_wrong_use(aws: "Aws", run: "Run", folder: Path, key: str) -> None:
    said = f"--key {key}: for a folder it must begin with input/ and end with a slash.\n"
    ran = run("put", folder, "--key", key)
    assert (ran.code, ran.err.endswith(said)) == (2, True)
    assert aws.keys() == []


def test_nothing_is_dropped_where_one_file_would_be_refused(aws: "Aws", run: "Run", folder: Path) -> None:
    (folder / "deep" / "empty.jsonl").write_bytes(b"")
    ran = run("put", folder)
    assert (ran.code, aws.keys()) == (1, [])
    assert f"{folder / 'deep' / 'empty.jsonl'} is empty. Nothing was dropped." in ran.err


def test_nothing_is_dropped_where_one_table_has_no_template(aws: "Aws", run: "Run", folder: Path) -> None:
    (folder / "batchdrop.toml").unlink()
    table = folder / "deep" / "z.csv"
    table.write_bytes(b"text\na\n")
    ran = run("put", folder)
    assert (ran.code, ran.out, aws.keys()) == (2, "", [])
    assert ran.err.splitlines()[1].startswith(f"{table} is a table: name --model and --prompt (or --embed), or put ")


def test_a_table_is_dropped_with_the_template_of_its_folder(aws: "Aws", run: "Run", folder: Path) -> None:
    asked = 'body = { messages = [{ role = "user", content = "{{ text }}" }] }'
    for path in folder.rglob("*.jsonl"):
        path.unlink()
    (folder / "batchdrop.toml").write_text(f'[template]\nmodel = "gpt-4o-mini"\n{asked}\n')
    (folder / "deep" / "z.csv").write_bytes(b"text\na\n")
    ran = run("put", folder)
    assert (ran.code, aws.keys()) == (0, ["input/monday/batchdrop.toml", "input/monday/deep/z.csv"])
    assert ran.err.endswith("\n2 of 2 files dropped.\n")


def test_a_file_that_is_named_by_its_error_is_named_once(capsys: pytest.CaptureFixture[str]) -> None:
    def do(name: str) -> int:
        raise UserError(f"{name} is empty.")

    assert list(each_of(do, {name: name for name in "ab"})) == [1, 1]
    assert capsys.readouterr().err == "a is empty.\nb is empty.\n"


def test_a_file_that_runs_already_does_not_stop_the_others(aws: "Aws", run: "Run", folder: Path) -> None:
    assert run("put", folder / "b.jsonl", "--key", "input/monday/b.jsonl").code == 0
    ran = run("put", folder)
    assert ran.code == 1
    assert "is already processing the same bytes" in ran.err
    assert ran.err.endswith("\n2 of 3 files dropped.\n")
    assert aws.keys("input/monday/deep/") == ["input/monday/deep/a.jsonl"]


def test_a_folder_without_a_file_is_wrong_use(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    said = f"{tmp_path / 'empty'} is an empty folder: there is no file to drop.\n"
    assert run("put", tmp_path / "empty") == (2, "", said)
    assert aws.keys() == []


def test_standard_input_is_called_so_in_a_quote_and_in_a_refusal(
    aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", Piped(LINE))
    assert run("put", "-", "--dry-run").out.startswith("standard input: 1 line: 1 to be sent")
    monkeypatch.setattr("sys.stdin", Piped(LINE))
    dear = run("put", "-", "--max-cost", "0.000001").err
    assert dear.startswith("Standard input")
    assert dear.endswith("Nothing was sent. See its quote with --dry-run.\n")
    monkeypatch.setattr("sys.stdin", Piped(b"max_attempts = 2\n"))
    said = "standard input: settings, all of them known. Nothing was sent.\n"
    assert run("put", "-", "--key", "input/a/batchdrop.toml", "--dry-run").out == said
    assert aws.keys() == []


def test_a_folders_quotes_are_shown_and_nothing_is_sent(aws: "Aws", run: "Run", folder: Path) -> None:
    ran = run("put", folder, "--dry-run")
    assert (ran.code, aws.keys()) == (0, [])


def test_standard_input_is_dropped(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Piped(LINE))
    assert run("put", "-").code == 0
    assert aws.s3.get_object(Bucket="batchdrop-test", Key="input/stdin.jsonl")["Body"].read() == LINE


@pytest.mark.usefixtures("aws")
def test_nobody_is_told_where_standard_input_lies_meanwhile(run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Piped(LINE))
    assert "Dropped standard input at s3://batchdrop-test/input/stdin.jsonl (" in run("put", "-").err


def test_a_table_on_standard_input_is_told_its_key(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Piped(b"name,text\na,b\n"))
    refused = "The file looks like CSV, not like JSONL: export its rows as JSONL, and upload it again."
    said = "Standard input is taken as JSON lines; for a table, add --key input/NAME.csv."
    assert run("put", "-", "--model", "gpt-4o-mini", "--prompt", "{{ text }}") == (
        1,
        "",
        f"{said} {refused} Nothing was dropped.\n",
    )
    monkeypatch.setattr("sys.stdin", Piped(b"name,text\na,b\n"))
    said = f"Standard input: {refused} Nothing was dropped.\n"
    assert run("put", "-", "--key", "input/t.jsonl") == (1, "", said)
    assert aws.keys() == []


def test_standard_input_takes_a_key(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Piped(LINE))
    assert run("put", "-", "--key", "input/team/today.jsonl").code == 0
    assert aws.keys() == ["input/team/today.jsonl"]


def test_empty_standard_input_is_refused(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", Piped(b""))
    assert run("put", "-") == (1, "", "Standard input is empty. Nothing was dropped.\n")
    assert aws.keys() == []


@pytest.mark.parametrize(
    ("codes", "worst"), [([], 0), ([0, 0], 0), ([0, 3], 3), ([3, 4], 4), ([4, 2], 2), ([0, 1, 2, 3, 4], 1)]
)
def test_several_files_end_as_the_worst_of_them(codes: list[int], worst: int) -> None:
    assert worst_of(codes) == worst


def test_an_error_of_aws_at_one_file_does_not_stop_the_others(capsys: pytest.CaptureFixture[str]) -> None:
    def do(name: str) -> int:
        if name == "b":
            raise ClientError({"Error": {"Code": "SlowDown"}}, "PutObject")
        return 0

    assert list(each_of(do, {name: name for name in "abc"})) == [0, 1, 0]
    said = "b: AWS answered SlowDown to PutObject. Repeat the command in a moment.\n"
    assert capsys.readouterr().err == said
