"""The fault matrix: writes docs/faults.md from real runs; ends with 1 where a line is lost or a request is paid twice.

make faults                            all of it
make faults ARGS='--only "reply to"'   only the faults whose title holds this, printed and not written
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from faults.cases import ANTHROPIC, CASES, OPENAI
from faults.matrix import LINES, Row, every_case, rows

PAGE = Path(__file__).parents[1] / "docs" / "faults.md"
NAMES = {OPENAI: "OpenAI", ANTHROPIC: "Anthropic"}
BOTH = "both"
_SHARES = 3  # of each provider's cases: the runs of one world are one after the other

_BEGINNING = f"""# Faults

What becomes of a job of {LINES:,} lines when something goes wrong, measured: `make faults` runs every row anew and
writes this page. It ends with an error where a line is lost or a request is paid twice.

Each row is a job of one batch with one kind of fault, at OpenAI, at Anthropic, or the same at both. The steps, the AWS
client and the vendors' own SDKs are those that are deployed; around them, in one process and on a simulated clock, are
an AWS in memory and the provider simulator, which counts what it accepts and charges. Poll and sweep run every minute,
as on AWS. An undisturbed batch takes ten minutes.

| column | |
|---|---|
| batches | that the provider accepted, those among them that it failed |
| charged | requests that it answered: each is a charge |
| answers | lines that came back with the answer that is their own |
| errors | lines that came back with an error, by its code |
| lost | lines that did not come back |
| paid twice | requests charged twice, or live in two batches at once; *reported*: by the event `Duplicate Batch` |
| healed by | what batchdrop's own log says was done about it; in italics, where nothing had to be, why |
| later | than the undisturbed job, by the simulated clock |

After each row it is also checked that no object is left in `work/`, no row in the table but the job's own, no file and
no batch at the provider (but one that it never ended), and nothing reserved of the limits.

**Not tried**: the paid services themselves, and AWS itself. The simulator behaves as the vendors' documentation, their
SDKs and their users' reports say; `provider_simulator/README.md` lists what of it is not known. Deployed functions
under faults, over real HTTP, are a test of their own (`tests/e2e/test_faults.py`).
"""

_OTHERS = """
## Beside the others

Four faults that were tried on what one would use instead: measured in November 2026 against one fake provider, 1,000
lines, batches accepted and answers kept. batchdrop's two rows are this page's own.

| | reply to create lost | expired half-done | 10 % of lines fail | kill -9 after submit |
|---|---|---|---|---|
{ours}
| batchwizard 0.5.0 | 1 batch, found by hand | 500 answers, none sent again | 900 answers, 100 errors | 1 batch |
| bespokelabs-curator 0.1.31 | **2 batches** | sends the rest again, then ValueError | 1,000 answers | 1 batch |
| steadybatch 0.2.1 | **2 batches** | **paid three times, 0 answers** | 999 answers | 1 batch |
| batchlane 0.2.0 | **2 batches** | **0 answers** | 900 answers, flagged | 1 batch |
| batchata 0.4.7 | **2 batches** | 500 answers, **500 vanish** | **100 vanish** | **2 batches** |
| loom-batch | **2 batches** | **hangs** | 100 silently blank | |
| a bare script, LiteLLM 1.106 | **2 batches** | | | |

Here, "kill -9" strikes between the create and the record of its id, and a tenth of the lines is drawn by their content.
"""

_LATE = """
The two rows of Anthropic that were paid twice are the stated timing assumption: it offers no key to ask by, so that a
create that arrives more than half an hour after its call had ended cannot be told from one that never will. It is
found, and reported. OpenAI's batch finds its file deleted, and costs nothing.
"""

_DOUBTS = """
Here the batch never ends, and the job must be done in six hours: "later" is the time that the deadline left to the
batch. A call that was answered and whose reply is lost is paid twice, since neither vendor can be asked for it; it is a
doubt that the manifest counts, which is what *reported* means here.
"""
_MISFITS = """
Each answer is paid, also one that does not fit: "paid twice" says how many were paid beside the first of each line, and
*reported* that the results' `attempts` count them all. `same` and `with_errors` are the job's `schema_retry`.
"""
_NOTES = {
    "While a batch is created": _LATE,
    "When answers do not fit the output schema": _MISFITS,
    "When a deadline comes near": _DOUBTS,
}


def main() -> int:
    asked = _arguments()
    begun = time.monotonic()
    titles = [title for title in every_case() if asked.only in title]
    found = sorted(_run(titles, asked.processes), key=lambda row: (titles.index(row.title), row.provider != OPENAI))
    if asked.only:
        print("\n".join(_lines(found)))
    else:
        PAGE.write_text(page(found), encoding="utf-8")
    broken = [row for row in found if row.broken]
    print(f"{len(found)} rows, {len(broken)} broken, {time.monotonic() - begun:.0f} seconds")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="only faults whose title holds this")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _run(titles: Sequence[str], processes: int) -> Iterator[Row]:
    shares = [(provider, titles[at::_SHARES]) for provider in NAMES for at in range(_SHARES)]
    with multiprocessing.get_context("forkserver").Pool(processes) as pool:
        for share in pool.imap_unordered(_rows, [each for each in shares if each[1]]):
            yield from share


def _rows(share: tuple[str, Sequence[str]]) -> list[Row]:
    found = []
    for row in rows(*share):
        print(f"{NAMES[row.provider]}: {row.title}: {'BROKEN' if row.broken else 'ok'}", flush=True)
        print("".join(f"  {each[:1500]}\n" for each in row.broken), end="", flush=True)
        found.append(row)
    return found


def page(found: Sequence[Row]) -> str:
    """The page of these rows."""
    parts = [_BEGINNING, _OTHERS.format(ours="\n".join(_ours(found, provider) for provider in NAMES))]
    for group, cases in CASES.items():
        titles = {case.title for case in cases}
        rows_here = [row for row in found if row.title in titles]
        parts.append(f"\n## {group}\n\n{_HEADER}")
        parts.extend(f"{line}\n" for line in _lines(rows_here))
        parts.append(_NOTES.get(group, ""))
    return "".join(parts)


_COLUMNS = ("fault", "provider", "batches", "charged", "answers", "errors", "lost", "paid twice", "healed by", "later")
_HEADER = f"| {' | '.join(_COLUMNS)} |\n|{'---|' * len(_COLUMNS)}\n"


def _lines(found: Sequence[Row]) -> Iterator[str]:
    """The rows of a table; one line for both providers where nothing tells them apart."""
    both = {line_of(row, BOTH) for row in found if row.provider == OPENAI}
    both &= {line_of(row, BOTH) for row in found if row.provider == ANTHROPIC}
    for row in found:
        if line_of(row, BOTH) not in both:
            yield line_of(row, NAMES[row.provider])
        elif row.provider == OPENAI:
            yield line_of(row, BOTH)


def line_of(row: Row, provider: str) -> str:
    """A row of the page."""
    errors = ", ".join(f"{count:,} `{code}`" for code, count in row.reasons.items())
    twice = f"{row.twice:,} *reported*" if row.twice and row.reported else f"{row.twice:,}"
    healed = "; ".join(row.healed) if row.healed else f"*{row.quietly}*"
    numbers = (f"{row.accepted}", f"{row.charged:,}", f"{row.kept:,}", errors or "0", f"{row.lost:,}", twice)
    return f"| {' | '.join((row.title, provider, *numbers, healed, later(row.later)))} |"


def later(seconds: int) -> str:
    if seconds < 30:
        return "0"
    return f"{seconds / 60:.0f} min" if seconds < 2 * 3600 else f"{seconds / 3600:.1f} h"


def _ours(found: Sequence[Row], provider: str) -> str:
    """Our row beside the others'."""
    four = [row for row in found if row.provider == provider and row.title in {each.title for each in _FOUR}]
    return f"| **batchdrop, {NAMES[provider]}** | {' | '.join(map(_in_short, four))} |"


_FOUR = next(iter(CASES.values()))


def _in_short(row: Row) -> str:
    errors = sum(row.reasons.values())
    batches = "1 batch" if row.accepted == 1 else f"{row.accepted} batches"
    said = [batches, f"{row.charged:,} charged", f"{row.kept:,} answers", f"{errors} errors" if errors else ""]
    return ", ".join(filter(None, said))


if __name__ == "__main__":
    sys.exit(main())
