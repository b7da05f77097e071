"""The options that several commands share."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from batchdrop_cli.cloud import Where

ANYWHERE = Where()

Again = Annotated[bool, Parameter(negative="", help="Also when the same bytes are running already, and pay again.")]
AsCsv = Annotated[bool, Parameter(name="--csv", negative="", help="Write results.csv as well.")]
AsJson = Annotated[bool, Parameter(name="--json", negative="", help="One JSON value on standard output.")]
File = Annotated[Path, Parameter(help="A file of JSON lines: .jsonl, .jsonl.gz or .jsonl.zst.")]
Folder = Annotated[
    Path | None,
    Parameter(
        name=["-o", "--output"],
        help="The folder; results/NAME if left out, or results/NAME-JOB.",
    ),
]
JobId = Annotated[str, Parameter(help='A job\'s id, or "latest".')]
Key = Annotated[str | None, Parameter(help="Where in the bucket; input/NAME if left out.")]
ProvidersFile = Annotated[
    Path | None,
    Parameter(help="Another providers.toml; if left out, the local cloud's as deployed, or for AWS the project's."),
]
