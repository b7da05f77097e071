"""No function is long or deep, and no file is a hall.

What is declared to AWS (`infra/`) is left out: a bucket's thirty properties are one thing.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import batchdrop
import pytest

ROOT = Path(batchdrop.__file__).parents[2]
FOLDERS = ("functions", "batchdrop_cli", "batchdrop_client", "batchdrop_console", "local_cloud", "provider_simulator")
MOST_LINES, MOST_BODY, DEEPEST = 350, 30, 3
TABLES = {  # of data: as long as what they list
    "functions/batchdrop/records.py",
}
NESTING = (ast.For, ast.While, ast.If, ast.With, ast.Try, ast.Match)
SCOPES = (ast.FunctionDef, ast.ClassDef, ast.Lambda)


def files() -> list[Path]:
    return sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def functions_of(source: str) -> Iterator[ast.FunctionDef]:
    return (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.FunctionDef))


def body_lines(function: ast.FunctionDef) -> int:
    """From the first statement behind the docstring to the last."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    return (body[-1].end_lineno or 0) - body[0].lineno + 1 if body else 0


def depth(node: ast.AST, above: int = 0) -> int:
    """How many blocks stand in one another; an `elif` is as deep as its `if`."""
    deepest = above
    for child in ast.iter_child_nodes(node):
        if not isinstance(child, SCOPES):
            is_elif = isinstance(node, ast.If) and isinstance(child, ast.If) and child in node.orelse
            deepest = max(deepest, depth(child, above + (isinstance(child, NESTING) and not is_elif)))
    return deepest


def findings(source: str) -> list[str]:
    found = []
    for function in functions_of(source):
        if body_lines(function) > MOST_BODY:
            found.append(f"{function.name}: {body_lines(function)} lines")
        if depth(function) > DEEPEST:
            found.append(f"{function.name}: {depth(function)} blocks deep")
    return found


def test_no_function_is_longer_than_a_screen_or_deeper_than_three_blocks() -> None:
    found = {str(path.relative_to(ROOT)): findings(path.read_text(encoding="utf-8")) for path in files()}
    assert {name: each for name, each in found.items() if each} == {}


def test_no_file_is_longer_than_what_one_reads_at_once() -> None:
    lines = {str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in files()}
    assert len(lines) > len(FOLDERS)
    assert {name: each for name, each in lines.items() if each > MOST_LINES and name not in TABLES} == {}


DEEP = "def f():\n    if a:\n        for b in c:\n            with d:\n                x\n"


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("def f():\n    x\n", []),
        ("def f():\n" + "    x\n" * 30, []),
        ("def f():\n" + "    x\n" * 31, ["f: 31 lines"]),
        ('def f():\n    """A docstring.\n\n\n\n    """\n' + "    x\n" * 30, []),
        (DEEP, []),
        (DEEP + "                if e:\n                    x\n", ["f: 4 blocks deep"]),
        ("def f():\n    if a:\n        x\n" + "    elif b:\n        x\n" * 5, []),
        ("class C:\n    def f(self):\n" + "        x\n" * 31, ["f: 31 lines"]),
    ],
)
def test_what_is_too_long_or_too_deep_is_found(source: str, found: list[str]) -> None:
    assert findings(source) == found
