"""The blocks of docs/python.md and README.md, run in order against a stack that is found as anybody finds theirs."""

import re
from typing import TYPE_CHECKING

import pytest
from faking.cloud import jsonl
from faking.lines import chat, wanted
from faking.readme import ROOT

if TYPE_CHECKING:
    from pathlib import Path


PAGE, README = ((ROOT / name).read_text(encoding="utf-8") for name in ("docs/python.md", "README.md"))
BLOCK = re.compile(r"^```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@pytest.mark.usefixtures("deployed")
def test_every_block_of_the_page_runs(capsys: pytest.CaptureFixture[str]) -> None:
    blocks = BLOCK.findall(PAGE)
    assert len(blocks) == PAGE.count("```python") > 5
    names: dict[str, object] = {}
    for number, block in enumerate(blocks, start=1):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)  # noqa: S102 - the project's own page
    out = capsys.readouterr().out
    assert "1 r-1 " in out
    assert "unknown setting 'max_atempts'; did you mean max_attempts?" in out


@pytest.mark.usefixtures("deployed")
def test_the_block_of_the_readme_runs(tmp_path: "Path", capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "reviews.jsonl").write_bytes(jsonl([chat("one"), {"model": "none"}]))
    (block,) = BLOCK.findall(README)
    names: dict[str, object] = {}
    exec(compile(block, "the block of README.md", "exec"), names)  # noqa: S102 - the project's own page
    out = capsys.readouterr().out.splitlines()  # the functions print their metrics at any moment
    answer, error = [line for line in out if not line.startswith('{"_aws"')][-2:]
    assert answer == wanted(chat("one"))[1]
    assert "unknown_model" in error
    assert len(names["df"]) == 2  # type: ignore[arg-type]
