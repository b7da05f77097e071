"""`quote`, and the quote before an upload: what is shown, what is refused, and that nothing is sent then."""

import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

import jsonschema_rs
import pytest
from batchdrop.dollars import BUDGET_WORDS
from batchdrop.providers.config import load_providers
from faking.compression import gzipped

from batchdrop_cli import quoting
from batchdrop_cli.quote import INPUT_ESTIMATE, quote_file
from batchdrop_cli.quoting import is_quick
from local_cloud import PROVIDERS_FILE

if TYPE_CHECKING:
    from conftest import Aws, Run

ROOT = Path(__file__).parents[2]
CHAT = b'{"model":"gpt-4o-mini","max_tokens":1000,"messages":[{"role":"user","content":"Hi"}]}'  # 85 bytes: 25 tokens
OPEN = b'{"model":"gpt-4o-mini","messages":[{"role":"user","content":"Hi"}]}'
CLAUDE = b'{"params":{"model":"claude-haiku-4-5","max_tokens":100,"messages":[{"role":"user","content":"Hi"}]}}'
EMBEDDING = b'{"model":"text-embedding-3-small","input":"Hi"}'
UNPRICED = CHAT.replace(b"gpt-4o-mini", b"ft:gpt-4o-mini:org::1")
MOST = Decimal(25) * Decimal("0.075") / 1_000_000 + Decimal(1_000) * Decimal("0.3") / 1_000_000


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "a.jsonl"
    path.write_bytes(CHAT + b"\n")
    return path


def test_a_quote_says_lines_batches_tokens_and_prices(run: "Run", file: Path) -> None:
    file.write_bytes(CHAT + b"\n\n" + CLAUDE + b"\n[]\n" + CHAT)
    code, out, err = run("quote", file)
    assert (code, err) == (3, "")
    assert [" ".join(line.split()) for line in out.splitlines()] == [
        f"{file}: 5 lines: 3 to be sent, 1 with errors, 1 blank",
        "",
        "provider model endpoint requests tokens in tokens out in batches at real time",
        "anthropic claude-haiku-4-5 /v1/messages 1 6-26 0-100 at most $0.0003 at most $0.0006",
        "openai gpt-4o-mini /v1/chat/completions 2 12-50 0-2,000 at most $0.0007 at most $0.0013",
        "",
        "2 batches to be made.",
        "In batches: at most $0.0009",
        "At real time: at most $0.0018",
        "Saved: at most $0.0009",
        "",
        "Not sent: 1 line: not_a_request (line 4)",
        "",
        f"Input tokens are an estimate: {INPUT_ESTIMATE}.",
        "Prices: genai-prices 0.2.3. What a quote promises: docs/command.md.",
    ]


def test_what_is_uncertain_is_said(run: "Run", file: Path) -> None:
    file.write_bytes(b"\n".join([OPEN, EMBEDDING, UNPRICED]))
    code, out, _ = run("quote", file)
    assert code == 0
    assert "In batches:   unknown\n" in out
    assert "No price is known, and none is in the sums: openai/ft:gpt-4o-mini:org::1." in out
    assert "No batch price is known, so counted at the real-time price: openai/text-embedding-3-small." in out
    assert "openai, gpt-4o-mini, /v1/chat/completions: 1 request with no limit given for output tokens." in out


def test_invalid_lines_are_counted_by_kind_with_their_first_numbers(run: "Run", file: Path) -> None:
    file.write_bytes(b"[]\n" * 1_200 + b"{\n" + b"[]\n")
    code, out, _ = run("quote", file)
    assert code == 3
    assert [line for line in out.splitlines() if line.startswith("Not sent")] == [
        "Not sent: 1 line: invalid_json (line 1,201)",
        "Not sent: 1,201 lines: not_a_request (lines 1, 2, 3, …)",
    ]


def test_the_json_of_a_quote_fits_its_schema_and_has_decimals_as_text(run: "Run", file: Path) -> None:
    file.write_bytes(b"\n".join([CHAT, EMBEDDING, b"[]", UNPRICED]))
    code, out, _ = run("quote", file, "--json")
    quote = json.loads(out)
    schema = json.loads((ROOT / "docs/schemas/quote.json").read_bytes())
    assert (code, list(jsonschema_rs.validator_for(schema).iter_errors(quote))) == (3, [])
    (chat,) = [each for each in quote["models"] if each["model"] == "gpt-4o-mini"]
    assert chat["input_tokens"] == {"low": 6, "high": 25}
    assert chat["batch"] == {"low_usd": "0.000000", "high_usd": "0.000302"}  # rounded outwards
    assert chat["realtime"] == {"low_usd": "0.000000", "high_usd": "0.000604"}
    assert quote["invalid"] == [{"code": "not_a_request", "lines": 1, "first_lines": [3]}]
    assert quote["unpriced_models"] == ["openai/ft:gpt-4o-mini:org::1"]
    assert quote["no_batch_price"] == ["openai/text-embedding-3-small"]
    assert quote["batch"]["high_usd"] is None


def test_prices_of_another_providers_file_count_and_are_named(run: "Run", file: Path, tmp_path: Path) -> None:
    providers = tmp_path / "mine.toml"
    own = '\n[prices.openai."gpt-*"]\nbatch = { input = 0, output = 1_000 }\n'
    providers.write_text(PROVIDERS_FILE.read_text(encoding="utf-8") + own)
    code, out, _ = run("quote", file, "--providers-file", providers)
    assert code == 0
    assert "In batches:   at most $1.0000" in out
    assert "Prices: genai-prices 0.2.3, and of [prices] for openai/gpt-4o-mini." in out


def test_a_mistake_in_the_prices_is_named(run: "Run", file: Path, tmp_path: Path) -> None:
    providers = tmp_path / "mine.toml"
    providers.write_text(PROVIDERS_FILE.read_text(encoding="utf-8") + '\n[prices.openai."gpt-*"]\nbatch = 3\n')
    code, out, err = run("quote", file, "--providers-file", providers)
    assert (code, out) == (1, "")
    assert err.startswith(f'{providers}: prices.openai."gpt-*".batch: must be a table')


@pytest.mark.parametrize(
    ("name", "code", "said"),
    [
        ("b.jsonl", 2, "b.jsonl does not exist."),
        ("batchdrop.toml", 2, "contains settings, not requests: settings cost nothing."),
        ("a.txt", 1, "a.txt is not processed: a file to drop contains JSON lines"),
    ],
)
def test_what_cannot_be_quoted_is_said(run: "Run", tmp_path: Path, name: str, code: int, said: str) -> None:
    if name != "b.jsonl":
        (tmp_path / name).write_bytes(b"a,b\n")
    ran = run("quote", tmp_path / name)
    assert (ran.code, ran.out) == (code, "")
    assert said in ran.err


@pytest.mark.parametrize("command", ["put", "run"])
def test_a_dry_run_shows_the_quote_and_needs_no_cloud(
    run: "Run", file: Path, command: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")  # nobody answers there
    assert run(command, file, "--dry-run") == run("quote", file)


@pytest.mark.parametrize("command", ["put", "run"])
def test_a_dry_run_sends_nothing(aws: "Aws", run: "Run", file: Path, command: str) -> None:
    assert run(command, file, "--dry-run").code == 0
    assert aws.keys() == []


def test_a_dry_run_of_settings_checks_them_and_sends_nothing(aws: "Aws", run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "batchdrop.toml"
    path.write_text("priority = 1\n")
    said = f"{path}: settings, all of them known. Nothing was sent.\n"
    assert run("put", path, "--dry-run") == (0, said, "")
    assert aws.keys() == []


def test_a_file_is_read_as_its_key_says(run: "Run", tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_bytes(gzipped(CHAT))
    code, out, _ = run("put", path, "--key", "input/a.jsonl.gz", "--dry-run")
    assert code == 0
    assert "1 line: 1 to be sent" in out


def test_put_says_the_quote_in_one_line_before_the_upload(aws: "Aws", run: "Run", file: Path) -> None:
    code, _, err = run("put", file)
    assert (code, err.splitlines()[0]) == (
        0,
        "Quote: at most $0.0004 in batches, at most $0.0007 at real time.",
    )
    assert aws.keys() == ["input/a.jsonl"]


def test_a_table_whose_most_is_unknown_is_told_what_makes_it_known(run: "Run", tmp_path: Path) -> None:
    table = tmp_path / "a.csv"
    table.write_text("text\na\n", encoding="utf-8")
    asked = ("--model", "gpt-4o-mini", "--prompt", "It: {{ text }}")
    assert "In batches:   unknown (set --max-tokens)\n" in run("quote", table, *asked).out
    assert "In batches:   under $0.0001\n" in run("quote", table, *asked, "--max-tokens", "20").out


def test_models_without_a_price_are_named_before_the_upload(aws: "Aws", run: "Run", file: Path) -> None:
    file.write_bytes(CHAT + b"\n" + UNPRICED)
    err = run("put", file).err
    assert err.splitlines()[0] == (
        "Quote: at most unknown, without openai/ft:gpt-4o-mini:org::1, whose price is unknown."
    )
    assert aws.keys() == ["input/a.jsonl"]


def test_where_no_price_is_known_nothing_is_said_before_the_upload(aws: "Aws", run: "Run", file: Path) -> None:
    file.write_bytes(UNPRICED)
    assert "Quote" not in run("put", file).err
    assert aws.keys() == ["input/a.jsonl"]


def test_a_large_file_is_not_read_for_a_line_of_quote(file: Path) -> None:
    assert is_quick(file, "input/a.jsonl")
    with file.open("wb") as out:
        out.truncate(3_000_000)
    assert (is_quick(file, "input/a.jsonl"), is_quick(file, "input/a.jsonl.gz")) == (True, False)
    with file.open("wb") as out:
        out.truncate(20_000_000)
    assert not is_quick(file, "input/a.jsonl")


@pytest.mark.parametrize("command", ["put", "run"])
def test_a_file_that_may_cost_more_than_the_limit_is_not_sent(aws: "Aws", run: "Run", file: Path, command: str) -> None:
    ran = run(command, file, "--max-cost", "0.000301")
    assert (ran.code, ran.out) == (4, "")
    assert ran.err.splitlines()[-1] == (
        f"{file} may cost $0.000302 in batches, more than --max-cost 0.000301. "
        f"Nothing was sent. See: batchdrop quote {file}"
    )
    assert aws.keys() == []


def test_the_limit_is_held_to_the_exact_most(aws: "Aws", run: "Run", file: Path) -> None:
    most = quote_file(file, load_providers(PROVIDERS_FILE)).most
    assert most == MOST == Decimal("0.000301875")
    assert run("put", file, "--max-cost", "0.000302").code == 0
    assert aws.keys() == ["input/a.jsonl"]
    dropped = aws.s3.head_object(Bucket="batchdrop-test", Key="input/a.jsonl")["Metadata"]
    assert dropped["batchdrop-budget-usd"] == "0.000302"  # its job is held to the same


@pytest.mark.parametrize("lines", [OPEN, UNPRICED, CHAT + b"\n" + UNPRICED])
def test_a_file_whose_most_is_unknown_is_not_sent_under_a_limit(
    aws: "Aws", run: "Run", file: Path, lines: bytes
) -> None:
    file.write_bytes(lines)
    ran = run("put", file, "--max-cost", "1000000")
    assert ran.code == 4
    assert ran.err.splitlines()[-1].startswith(
        f"{file}: what it may cost at most is unknown, so that --max-cost 1000000 cannot be kept. Nothing was sent."
    )
    assert aws.keys() == []


def test_a_dry_run_ends_as_the_upload_would(run: "Run", file: Path) -> None:
    assert run("put", file, "--dry-run", "--max-cost", "1").code == 0
    ran = run("put", file, "--dry-run", "--max-cost", "0.0001")
    assert ran.code == 4
    assert "In batches:" in ran.out
    assert "more than --max-cost 0.0001" in ran.err


def test_a_large_file_is_read_where_a_limit_is_to_be_kept(
    aws: "Aws", run: "Run", file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quoting, "_QUOTED_BYTES", 1)
    assert "Quote" not in run("put", file).err
    assert run("put", file, "--again", "--max-cost", "0.0001").code == 4
    assert len(aws.keys()) == 1


@pytest.mark.parametrize(
    "value", ["0", "0.0", "-1", "-0.5", "nan", "NaN", "inf", "20 dollars", "$20", "1e3", "", "20,5"]
)
@pytest.mark.parametrize("spell", [lambda value: ("--max-cost", value), lambda value: (f"--max-cost={value}",)])
def test_a_limit_that_is_no_amount_is_wrong_use(
    run: "Run", file: Path, value: str, spell: Callable[[str], tuple[str, ...]]
) -> None:
    code, out, err = run("put", file, *spell(value))
    assert (code, out) == (2, "")
    said = f"--max-cost must be {BUDGET_WORDS}, not {value or 'empty'}."
    assert err == f"{said} See: batchdrop put --help\n"
