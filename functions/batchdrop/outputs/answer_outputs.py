"""Writes a split's answers as rows, where the settings ask for them: beside its results, in pieces of their own."""

from collections.abc import Callable
from pathlib import Path

import msgspec

from batchdrop.batches.sources import answer_check, read_template
from batchdrop.outputs.answer_rows import AnswerRows, Cell, CsvWriter
from batchdrop.outputs.sealed_parts import Sealed
from batchdrop.outputs.split_outputs import SplitOutput
from batchdrop.providers.price_list import never_failing, settled_prices
from batchdrop.records import Job, JobSettings, Split
from batchdrop.services import Services

_encoder = msgspec.json.Encoder()


def published_kinds(settings: JobSettings) -> list[str]:
    """The files of answers that are published: of JSON lines the command makes Parquet."""
    return sorted({"jsonl" if kind == "parquet" else kind for kind in settings.answers})


class AnswerOutputs:
    """The files of answers of a split; none where none is asked for."""

    def __init__(self, job: Job, split: Split, services: Services, folder: Path, prefix: str) -> None:
        self._files: list[tuple[str, SplitOutput, Callable[[dict[str, Cell]], bytes]]] = []
        if not job.settings.answers:
            return
        template = read_template(job, services)
        prices = never_failing(settled_prices(services.providers))
        keep = () if template is None else template.keep
        self._rows = AnswerRows(keep, prices, answer_check(job, services))
        table = CsvWriter(self._rows.columns, formulas=job.settings.csv_formulas)
        lines = {"jsonl": lambda row: _encoder.encode(row) + b"\n", "csv": table.line}
        for kind in published_kinds(job.settings):
            output = SplitOutput(folder, f"answers-{kind}", prefix, services, services.settings.piece_bytes)
            if kind == "csv" and not split.index and not split.assembled:  # the header, once
                output.write_head(table.head(bom=job.settings.csv_bom))
            self._files.append((kind, output, lines[kind]))

    def write(self, results: bytes) -> None:
        """Write the rows of whole result lines."""
        if not self._files:
            return
        for row in self._rows.read(results):
            for _, output, line in self._files:
                output.write(line(row))

    def seal(self) -> dict[str, list[Sealed]]:
        """The pieces by the kind of file."""
        for _, output, _ in self._files:
            output.seal()
        return {kind: output.sealed for kind, output, _ in self._files}
