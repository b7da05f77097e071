"""The blocks of docs/python.md, run one after the other against a stack that is found as anybody finds theirs."""

import re
from collections.abc import Iterator
from threading import Event, Thread
from typing import TYPE_CHECKING

import pytest
from faking.cloud import BUCKET, REGION, TABLE
from faking.readme import ROOT
from faking.stacks import a_stack

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import World

PAGE = (ROOT / "docs/python.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


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
    assert len(BLOCKS) == PAGE.count("```python") > 5
    names: dict[str, object] = {}
    for number, block in enumerate(BLOCKS, start=1):
        exec(compile(block, f"block {number} of docs/python.md", "exec"), names)  # noqa: S102 - the project's own page
    out = capsys.readouterr().out
    assert "1 r-1 " in out
    assert "unknown setting 'max_atempts'; did you mean max_attempts?" in out
