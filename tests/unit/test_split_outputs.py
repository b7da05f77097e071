"""Lines of an output are written one by one or many at once: its pieces are the same."""

import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from batchdrop.outputs.split_outputs import SplitOutput
from faking.assemblies import MemoryFiles
from hypothesis import given
from hypothesis import strategies as st


@given(lengths=st.lists(st.integers(0, 9), min_size=1, max_size=30), piece_bytes=st.integers(1, 40), data=st.data())
def test_lines_that_are_written_at_once_are_cut_as_those_that_are_not(
    lengths: list[int], piece_bytes: int, data: st.DataObject
) -> None:
    lines = [b"x" * length + b"\n" for length in lengths]
    size = data.draw(st.integers(1, len(lines)))

    def written(*, at_once: bool) -> tuple[Any, dict[str, bytes]]:
        files: Any = MemoryFiles()
        services: Any = SimpleNamespace(files=files)
        with tempfile.TemporaryDirectory() as folder:
            output = SplitOutput(Path(folder), "results", "p/", services, piece_bytes)
            for start in range(0, len(lines), size):
                some = list(enumerate(lines[start : start + size], start + 7))
                if at_once:
                    output.write_lines(b"".join(line for _, line in some), [number for number, _ in some])
                else:
                    for number, line in some:
                        output.write(line, number)
            output.seal()
        return output.sealed, files.objects

    assert written(at_once=True) == written(at_once=False)
