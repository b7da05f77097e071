"""`docs/rules.md`: each rule, the file that keeps it, and the test that fails without it, from the list of mutations.

`PYTHONPATH=tests .venv/bin/python -m faults.rules_page` writes it.
"""

import sys
from itertools import groupby

from faults.mutations import MUTATIONS, ROOT, Mutation, source_of

DOCUMENT = ROOT / "docs" / "rules.md"
_BEGIN = """# Rules, and the tests that hold them

Each rule of the code, by the file that keeps it, with the test that fails when the rule is broken there. \
`make mutations` breaks each in a copy of the sources and runs its test; `make mutations ARGS="create"` does so for \
the rules or files that hold a word. This page is made from `tests/faults/mutations.py`.
"""


def document() -> str:
    by_file = groupby(sorted(MUTATIONS, key=_file), key=_file)
    return "\n".join([_BEGIN, *(_section(file, list(rules)) for file, rules in by_file)])


def _file(mutation: Mutation) -> str:
    return str(source_of(mutation).relative_to(ROOT))


def _section(file: str, rules: list[Mutation]) -> str:
    rows = (
        f"| {_cell(each.rule)} | [{each.test.partition('::')[2]}](../{each.test.partition('::')[0]}) |"
        for each in rules
    )
    return "\n".join([f"## `{file}`\n", "| rule | test |\n|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    sys.exit(DOCUMENT.write_text(document(), encoding="utf-8") and None)
