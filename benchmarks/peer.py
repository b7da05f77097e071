"""Run by `others.py` in batchwizard's own environment: provider, folder for results, files of a batch each."""

import json
import sys
import time
from pathlib import Path

from batchwizard.cli import app
from machine import resident_mb


def main() -> None:
    provider, results, *files = sys.argv[1:]
    command = ["process", *files, "--provider", provider, "--output-directory", results, "--check-interval", "1"]
    app(command, standalone_mode=False)
    lines = sum(Path(file).read_bytes().count(b"\n") for file in files)
    print("\n" + json.dumps({"lines": lines, "cpu_seconds": time.process_time(), "peak_mb": resident_mb()}))


if __name__ == "__main__":
    main()
