import json
from collections import Counter
from pathlib import Path

import pytest
from batchdrop.inputs.request_lines import LineError, LineReader
from batchdrop.providers.config import load_providers

ROOT = Path(__file__).resolve().parent.parent.parent
PROVIDERS = load_providers(ROOT / "providers.toml")
GOOD, MIXED = ROOT / "examples/reviews_and_rights.jsonl", ROOT / "examples/with_mistakes.jsonl"
MISTAKES = {
    3: "invalid_json",
    17: "invalid_utf8",
    22: "no_model",
    31: "unknown_model",
    40: "unsupported_parameter",
    48: "missing_parameter",
    59: "untranslatable",
    66: "unknown_endpoint",
    81: "not_a_request",
    100: "invalid_parameter",
}


def lines(path: Path) -> list[bytes]:
    return path.read_bytes().removesuffix(b"\n").split(b"\n")


def problems(path: Path) -> dict[int, str]:
    read = ((number, LineReader(PROVIDERS).read(line)) for number, line in enumerate(lines(path), 1))
    return {number: each.code.value for number, each in read if isinstance(each, LineError)}


def test_every_line_of_the_example_can_be_sent() -> None:
    assert problems(GOOD) == {}


def test_the_example_mixes_forms_providers_and_languages() -> None:
    read = [json.loads(line) for line in lines(GOOD)]
    forms = Counter("params" if "params" in each else "body" if "body" in each else "bare" for each in read)
    routed = [LineReader(PROVIDERS).read(line) for line in lines(GOOD)]
    languages = {each["custom_id"].split("-")[1] for each in read if each["custom_id"].startswith("udhr-")}
    assert forms == {"body": 120, "params": 80, "bare": 100}
    assert Counter((each.model, each.endpoint) for each in routed) == {
        ("gpt-4o-mini", "/v1/chat/completions"): 100,
        ("gpt-4o-mini", "/v1/responses"): 25,
        ("claude-haiku-4-5", "/v1/messages"): 135,
        ("text-embedding-3-small", "/v1/embeddings"): 40,
    }
    assert len(languages) == 25
    assert len({each["custom_id"] for each in read}) == 300


def test_the_file_with_mistakes_has_ten_each_of_its_own_kind() -> None:
    assert len(lines(MIXED)) == 100
    assert problems(MIXED) == MISTAKES


@pytest.mark.parametrize(("line", "code"), MISTAKES.items())
def test_the_readme_names_each_mistake(line: int, code: str) -> None:
    assert f"| {line} | `{code}` |" in (ROOT / "examples/README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("path", [GOOD, MIXED])
def test_examples_are_small(path: Path) -> None:
    assert path.stat().st_size < 200_000
