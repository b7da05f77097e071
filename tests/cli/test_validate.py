from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from backports import zstd
from batchdrop.providers.config import load_providers
from faking.compression import gzipped

from batchdrop_cli.check import check_file
from batchdrop_cli.row_settings import RowSettings
from local_cloud import PROVIDERS_FILE

if TYPE_CHECKING:
    from conftest import Run

CHAT = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}'
CLAUDE = b'{"params":{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"Hi"}]}}'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "a.jsonl"


def test_a_good_file_is_counted_by_provider_model_and_endpoint(run: "Run", file: Path) -> None:
    file.write_bytes(b"\xef\xbb\xbf" + CHAT + b"\r\n\n" + CLAUDE + b"\n" + CLAUDE)
    code, out, err = run("validate", file)
    assert (code, err) == (0, "")
    assert [line.rstrip() for line in out.splitlines()] == [
        f"{file}: 4 lines: 3 to be sent, 0 with errors, 1 blank",
        "",
        "provider   model             endpoint              requests",
        "anthropic  claude-haiku-4-5  /v1/messages                 2",
        "openai     gpt-4o-mini       /v1/chat/completions         1",
        "",
        "2 batches to be made.",
    ]


def test_equal_requests_are_counted_once_where_they_are_sent_once(run: "Run", file: Path) -> None:
    file.write_bytes(CHAT + b"\n" + CLAUDE + b"\n" + (CLAUDE + b"\n") * 3)
    assert "5 to be sent, 0 with errors, 0 blank\n" in run("validate", file).out
    code, out, _ = run("validate", file, "--dedupe")
    assert (code, out.splitlines()[0]) == (
        0,
        f"{file}: 5 lines: 2 to be sent, 0 with errors, 0 blank, 3 equal to others",
    )
    file.with_name("batchdrop.toml").write_text("dedupe = true\n", encoding="utf-8")
    assert run("validate", file).out == out


def test_equal_requests_are_looked_for_within_what_is_planned_together(file: Path) -> None:
    file.write_bytes((CHAT + b"\n") * 10)
    providers, rows = load_providers(PROVIDERS_FILE), RowSettings(dedupe=True)
    found = [
        check_file(file, providers, rows=rows, split_bytes=size).shared
        for size in (10**9, 5 * (len(CHAT) + 1), len(CHAT) + 1)
    ]
    assert found == [9, 8, 0]


@pytest.mark.parametrize(("ending", "pack"), [("gz", gzipped), ("zst", zstd.compress)])
def test_a_compressed_file_is_read_as_the_plain_one(
    run: "Run", file: Path, ending: str, pack: Callable[[bytes], bytes]
) -> None:
    packed = file.with_name(f"{file.name}.{ending}")
    packed.write_bytes(pack(CHAT + b"\n[]\n") + pack(CLAUDE))
    code, out, _ = run("validate", packed)
    assert code == 3
    assert out.splitlines()[0] == f"{packed}: 3 lines: 2 to be sent, 1 with errors, 0 blank"
    packed.write_bytes(pack(CHAT)[:-1])
    code, _, err = run("validate", packed)
    assert (code, err.partition(":")[2].partition(":")[0]) == (1, " The file is truncated")


def test_errors_carry_the_number_of_their_line(run: "Run", file: Path) -> None:
    file.write_bytes(CHAT + b"\n\n" + b'["no"]\n' + CHAT[:-1] + b"\n")
    code, out, _ = run("validate", file)
    assert code == 3
    assert [line.split(":")[:2] for line in out.splitlines() if line.startswith("line ")] == [
        ["line 3", " not_a_request"],
        ["line 4", " invalid_json"],
    ]


def test_only_the_first_twenty_errors_are_shown_and_all_are_counted(run: "Run", file: Path) -> None:
    file.write_bytes(b"[]\n" * 2_021)
    code, out, _ = run("validate", file)
    lines = out.splitlines()
    assert code == 3
    assert lines[0] == f"{file}: 2,021 lines: 0 to be sent, 2,021 with errors, 0 blank"
    assert [line.partition(":")[0] for line in lines if line.startswith("line ")] == [f"line {n}" for n in range(1, 21)]
    assert lines[-1] == "… and 2,001 more lines with errors."


def test_batches_are_put_together_within_ranges_of_the_file(file: Path) -> None:
    file.write_bytes((CHAT + b"\n") * 10)
    providers = load_providers(PROVIDERS_FILE)
    assert check_file(file, providers).batches == 1
    assert check_file(file, providers, split_bytes=5 * (len(CHAT) + 1)).batches == 2


def test_providers_of_another_file_count(run: "Run", file: Path, tmp_path: Path) -> None:
    providers = tmp_path / "mine.toml"
    providers.write_text(
        '[providers.mine]\nprotocol = "openai"\nbase_url = "http://mine"\nsecret = "s"\nmodels = ["gpt-*"]\n'
    )
    file.write_bytes(CHAT + b"\n")
    code, out, _ = run("validate", file, "--providers-file", providers)
    assert code == 0
    assert "mine      gpt-4o-mini  /v1/chat/completions         1" in out


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.jsonl", b"", "a.jsonl is empty."),
        (
            "a.txt",
            b"a,b\n",
            (
                "a.txt is not processed: a file to drop contains JSON lines (.jsonl) or a table (.csv, .tsv), and may "
                "be compressed (.jsonl.gz, .csv.zst); of .parquet, .arrow and .xlsx the rows are dropped."
            ),
        ),
    ],
)
def test_what_is_no_file_of_lines_is_said_in_a_sentence(
    run: "Run", tmp_path: Path, name: str, body: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(body)
    assert run("validate", tmp_path / name) == (1, "", f"{tmp_path}/{said}\n")


@pytest.mark.parametrize(
    ("name", "body", "said"),
    [
        ("a.jsonl", gzipped(CHAT), "looks like gzip, not like JSONL: name it .jsonl.gz, and upload it again."),
        ("a.jsonl", zstd.compress(CHAT), "looks like zstd, not like JSONL: name it .jsonl.zst, and upload it again."),
        ("a.jsonl", (CHAT.decode() + "\n").encode("utf-16"), "looks like UTF-16, not like JSONL: save it as UTF-8"),
        ("a.jsonl", b"PAR1" + bytes(100), "looks like Parquet, not like JSONL: export its rows as JSONL"),
        (
            "a.jsonl",
            b"PK\x03\x04" + bytes(100),
            "looks like zip or an Excel workbook (.xlsx), not like JSONL:",
        ),
        ("a.jsonl", b"[\n" + CHAT + b",\n" + CHAT + b"\n]\n", "is one JSON array: write one object per line"),
        ("a.jsonl.gz", gzipped(b"[" + CHAT + b"]"), "is one JSON array: write one object per line"),
        ("a.jsonl.gz", CHAT, "is not gzip, although its name says so."),
    ],
)
def test_a_file_of_another_kind_is_told_as_a_whole_in_one_sentence(
    run: "Run", tmp_path: Path, name: str, body: bytes, said: str
) -> None:
    (tmp_path / name).write_bytes(body)
    code, out, err = run("validate", tmp_path / name)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"{tmp_path}/{name}: The file {said}")


@pytest.mark.parametrize("command", ["validate", "put", "run"])
@pytest.mark.parametrize("body", [b"\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf \r\n\n", b"\n" * 3_000_000])
def test_a_file_of_blank_lines_alone_is_refused_as_an_empty_one_is(
    run: "Run", file: Path, command: str, body: bytes
) -> None:
    file.write_bytes(body)
    nothing = "" if command == "validate" else " Nothing was dropped."
    assert run(command, file) == (1, "", f"{file} contains only blank lines.{nothing}\n")


def test_an_ending_in_upper_case_is_said(run: "Run", tmp_path: Path) -> None:
    file = tmp_path / "UPPER.JSONL.Gz"
    file.write_bytes(gzipped(CHAT))
    said = f"{file} is not processed: its ending must be in lower case, as in UPPER.jsonl.gz.\n"
    assert run("validate", file) == (1, "", said)
    assert run("put", file) == (1, "", said)


def test_a_folder_and_a_key_of_another_kind_are_wrong_use(run: "Run", file: Path, tmp_path: Path) -> None:
    assert run("validate", tmp_path) == (2, "", f"{tmp_path} is a folder; name a file.\n")
    file.write_bytes(CHAT)
    code, out, err = run("put", file, "--key", "input/x.txt")
    assert (code, out) == (2, "")
    assert err.startswith(f"{file} as input/x.txt would not be processed:")


@pytest.mark.parametrize("command", [("results", "latest"), ("run", "a.jsonl")])
def test_a_folder_that_cannot_be_made_is_said_before_anything_else(
    run: "Run", file: Path, command: tuple[str, str]
) -> None:
    file.write_bytes(CHAT)
    folder = file / "folder"
    code, out, err = run(command[0], file if command[0] == "run" else command[1], "-o", folder)
    assert (code, out) == (2, "")
    assert err == f"Cannot create the folder {folder} (Not a directory): name another with -o.\n"


@pytest.mark.parametrize("command", [("results", "latest"), ("run", "a.jsonl")])
def test_a_folder_that_is_a_file_is_said_alike_whatever_the_command_does(
    run: "Run", file: Path, command: tuple[str, str]
) -> None:
    file.write_bytes(CHAT)
    ran = run(command[0], file if command[0] == "run" else command[1], "-o", file)
    assert ran == (1, "", f"{file} is a file: name a folder for the results.\n")


def test_a_missing_file_is_wrong_use(run: "Run", tmp_path: Path) -> None:
    assert run("validate", tmp_path / "b.jsonl") == (2, "", f"{tmp_path}/b.jsonl does not exist.\n")
