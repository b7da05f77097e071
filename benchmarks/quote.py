"""What `batchdrop quote` takes: CPU seconds and the most memory, by the number of lines; nothing is sent.

`.venv/bin/python benchmarks/quote.py` quotes 100,000 and 400,000 lines, or as many as `--lines` says. Each file is read
in a process of its own, once as `validate` does and once with its tokens counted and priced.
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lines import CHAT, write_chats
from machine import machine, resident_mb

_LINES = (100_000, 400_000)


def read(path: Path, what: str) -> None:
    """Print the CPU seconds, of them those before the first line, and the resident memory."""
    from batchdrop.providers.config import load_providers  # noqa: PLC0415 - imports are measured

    from batchdrop_cli.check import check_file  # noqa: PLC0415
    from batchdrop_cli.quote import quote_file  # noqa: PLC0415
    from local_cloud import PROVIDERS_FILE  # noqa: PLC0415

    providers = load_providers(PROVIDERS_FILE)
    begun = time.process_time()
    quote_file(path, providers) if what == "quote" else check_file(path, providers)
    print(f"{time.process_time():.2f} {begun:.2f} {resident_mb():.0f}")


def measure(path: Path, what: str) -> tuple[str, str, str]:
    command = [sys.executable, __file__, "--read", str(path), what]
    total, begun, resident = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
    return total, begun, resident


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, nargs="*", default=_LINES)
    parser.add_argument("--read", nargs=2, metavar=("FILE", "WHAT"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        read(Path(options.read[0]), options.read[1])
        return
    print(machine())
    print("| lines | bytes | | CPU | of it imports | resident |\n|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        for lines in options.lines:
            path = write_chats(Path(folder) / "chats.jsonl", lines, "openai", "anthropic")
            for what in ("validate", "quote"):
                total, begun, resident = measure(path, what)
                print(f"| {lines:,} | {lines * CHAT / 1e6:.0f} MB | {what} | {total} s | {begun} s | {resident} MB |")


if __name__ == "__main__":
    main()
