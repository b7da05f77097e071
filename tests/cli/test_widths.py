"""What is printed on narrow terminals: ids and commands whole, tables readable."""

import io
import re
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import TYPE_CHECKING

import msgspec
import pytest
from batchdrop.manifest import Files, Manifest, ModelCounts, Usage
from batchdrop.records import Batch, Job
from batchdrop.states import BatchState, JobState
from faking.outputs import a_manifest
from hypothesis import given
from hypothesis import strategies as st

from batchdrop_cli.say import paragraph, say_table, wrap

if TYPE_CHECKING:
    from conftest import Aws, Run

WIDTHS = [80, 60]
MODELS = ["gpt-4o-mini", "claude-haiku-4-5-20251001", "ft:gpt-4o-mini-2024-07-18:my-org:custom:abcdefgh"]


@pytest.fixture
def finished(aws: "Aws", a_job: Callable[..., Job]) -> Manifest:
    models = [
        ModelCounts(
            provider="openai",
            model=model,
            endpoint="/v1/chat/completions",
            requests=1_000_000,
            answered=999_999,
            failed=1,
            batches=1,
            usage=Usage(input_tokens=123_456_789, output_tokens=12_345_678),
        )
        for model in MODELS
    ]
    manifest = a_manifest(a_job().id, Files(results=[], errors=None, failed=None), models=models)
    aws.drop("output/m.json", msgspec.json.encode(manifest))
    aws.store.add(a_job(state=JobState.COMPLETED, manifest_key="output/m.json", due_at=None))
    return manifest


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("command", ["jobs", "show", "results", "wait"])
def test_ids_and_commands_are_never_broken(run: "Run", finished: Manifest, command: str, width: int) -> None:
    ran = run(command, width=width)
    lines = (ran.out + ran.err).splitlines()
    assert any(finished.job in line for line in lines)
    assert re.sub(r"\s", "", ran.out).count(finished.job) == ran.out.count(finished.job)
    too_long = [line for line in lines if len(line) > width and len(line.split()) > 1]
    assert [line for line in too_long if not re.match(r" *batchdrop ", line)] == []


@pytest.mark.parametrize("width", WIDTHS)
def test_the_cost_table_is_readable(run: "Run", finished: Manifest, width: int) -> None:
    out = run("results", finished.job, width=width).out
    for model in MODELS:
        assert f"model {model}" in out
    assert out.count("tokens in 123,456,789") == len(MODELS)
    assert out.count("tokens out 12,345,678") == len(MODELS)
    assert out.count("cost ") >= len(MODELS)
    assert all(len(line) <= width for line in out.splitlines() if "model" in line or "tokens" in line)


@pytest.mark.parametrize("width", WIDTHS)
def test_a_running_job_is_shown_whole(
    aws: "Aws", run: "Run", a_job: Callable[..., Job], a_batch: Callable[..., Batch], width: int
) -> None:
    aws.store.add(a_job())
    aws.store.add(a_batch(model=MODELS[2], state=BatchState.IN_FLIGHT))
    out = run("show", width=width).out
    assert a_job().id in out
    assert MODELS[2] in out
    assert "state at the provider" in out


def test_a_pipe_gets_whole_lines(run: "Run", finished: Manifest) -> None:
    out = run("jobs").out.splitlines()
    assert len(out) == 2
    assert out[1].startswith(finished.job)


def test_json_is_never_wrapped(run: "Run", finished: Manifest) -> None:
    assert msgspec.json.decode(run("show", "--json", width=60).out)["job"] == finished.job


@given(
    st.lists(st.lists(st.text("ab0", min_size=1, max_size=30), min_size=3, max_size=3), min_size=1), st.integers(20, 99)
)
def test_no_table_is_cut_at_any_width(rows: list[list[str]], width: int) -> None:
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as out:
        patch.setenv("COLUMNS", str(width))
        say_table(("one", "two", "three"), rows)
    assert "…" not in out.getvalue()
    words = out.getvalue().split()
    assert all(words.count(cell) >= 1 for row in rows for cell in row)


LETTERS = "abc-/.:0123"
WORDS = st.text(LETTERS, min_size=1, max_size=9) | st.text(LETTERS, min_size=30, max_size=60)  # as ids and keys are


@given(st.lists(WORDS, min_size=1), st.integers(20, 80))
def test_wrapped_lines_hold_every_word_whole_and_are_short_where_words_are(words: list[str], width: int) -> None:
    lines = wrap(" ".join(words), width)
    assert " ".join(lines).split() == words
    assert all(len(line) <= width or len(line.split()) == 1 for line in lines)


def test_a_command_is_never_broken() -> None:
    text = "There is no key. Set it with: batchdrop keys set openai --stack mine - or wait for it to come by itself."
    assert wrap(text, 50) == [
        "There is no key. Set it with:",
        "batchdrop keys set openai --stack mine - or wait",
        "for it to come by itself.",
    ]


def test_a_label_keeps_its_text_to_the_right() -> None:
    assert wrap("waits    one two three four five", 20) == ["waits    one two", "         three four", "         five"]


CELLS = st.text(alphabet="abc 0", max_size=40).map(str.strip)


@given(st.lists(CELLS, min_size=2, max_size=6), st.integers(20, 80))
def test_a_row_as_a_paragraph_holds_every_cell_in_order(cells: list[str], width: int) -> None:
    headings = [f"h{number}" for number in range(len(cells))]
    text = " ".join(paragraph(headings, cells, width))
    wanted = [cells[0], *(f"{heading} {cell}" for heading, cell in zip(headings[1:], cells[1:], strict=True) if cell)]
    assert text.split() == " ".join(wanted).split()
