"""The blocks of docs/python.md and README.md, run in order against a stack that is found as anybody finds theirs."""

import re
from collections.abc import Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from faking.cloud import BUCKET, REGION, TABLE, jsonl
from faking.lines import chat, wanted
from faking.readme import ROOT
from faking.stacks import a_stack

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import World

PAGE, README = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/python.md", "README.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.fixture
def _deployed(world: "World", tmp_path: "Path", monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The stack "batchdrop", whose functions run beside the test, in a folder without a local cloud."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    over = Event()
    errors: list[Exception] = []

    def run() -> None:
        while not over.wait(0.1):
            try:
                world.go_on()
            except Exception as error:  # noqa: BLE001 - told below
                errors.append(error)
                return

    with a_stack(bucket=BUCKET, table=TABLE) as address:
        monkeypatch.setenv("AWS_ENDPOINT_URL_CLOUDFORMATION", address)
        functions = Thread(target=run)
        functions.start()
        yield
        over.set()
        functions.join()
    assert errors == []


@pytest.mark.usefixtures("_deployed")
def test_every_block_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```python") > 5
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)  # noqa: S102 - the project's own page
    out = capsys.readouterr().out
    assert "1 r-1 " in out
    assert "unknown setting 'max_atempts'; did you mean max_attempts?" in out


@pytest.mark.usefixtures("_deployed")
def test_the_block_of_the_readme_runs(tmp_path: "Path", capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reviews.jsonl").write_bytes(jsonl([chat("one"), {"model": "none"}]))
    (block,) = BLOCK.findall(README)
    names: dict[str, object] = {}
    exec(compile(block, "the block of README.md", "exec"), names)  # noqa: S102 - the project's own page
    answer, error = capsys.readouterr().out.splitlines()[-2:]
    assert answer == wanted(chat("one"))[1]
    assert "unknown_model" in error
    assert len(names["df"]) == 2  # type: ignore[arg-type]
