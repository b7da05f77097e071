"""docs/reading-results.md and its notebook, run on what the command of the page fetches."""

import json
import re
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from faking.readme import ROOT

from batchdrop_cli.main import main

PAGE = (ROOT / "docs/reading-results.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "examples/table_to_table.ipynb"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


def run(code: str, name: str, names: dict[str, Any]) -> None:
    exec(compile(code, name, "exec"), names)  # noqa: S102 - the project's own page


@pytest.mark.usefixtures("deployed")
def test_every_block_of_the_page_reads_the_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "examples").mkdir()
    shutil.copy(ROOT / "examples/reviews.csv", tmp_path / "examples")
    (command,) = blocks("sh")
    assert main(shlex.split(command)[1:]) == 0
    names: dict[str, Any] = {}
    for number, block in enumerate(blocks("python"), start=1):
        run(block, f"block {number} of docs/reading-results.md", names)
    assert "reviews/answers.parquet" in capsys.readouterr().out
    assert len(names["answers"].collect()) == len(names["same"]) == 8


@pytest.mark.usefixtures("deployed")
def test_the_notebook_goes_from_a_table_to_a_table(tmp_path: Path) -> None:
    notebook = json.loads(NOTEBOOK.read_bytes())
    shutil.copy(ROOT / "examples/reviews.csv", tmp_path)
    names: dict[str, Any] = {}
    cells = [each for each in notebook["cells"] if each["cell_type"] == "code"]
    assert [each["outputs"] for each in cells] == [[]] * len(cells)  # nothing of anybody's run is committed
    for number, cell in enumerate(cells, start=1):
        run("".join(cell["source"]), f"cell {number} of {NOTEBOOK.name}", names)
    table = names["table"]
    assert list(table.columns) == ["id", "lang", "text", "sentiment", "error_code"]
    assert (list(table["id"]), table["sentiment"].notna().all()) == ([f"r-{n}" for n in range(1, 9)], True)
    assert (tmp_path / "reviews_with_sentiment.csv").exists()
