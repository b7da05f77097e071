"""What functions load while they start: an SDK takes a second, and only those that call providers pay for it."""

import json
import subprocess
import sys

LOADED = """
import importlib, json, sys
for step in sys.argv[1:]:
    importlib.import_module("handlers." + step)
print(json.dumps(sorted({"openai", "anthropic"} & set(sys.modules))))
"""


def sdks_of(*steps: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, *steps], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_functions_that_call_no_provider_load_no_sdk() -> None:
    assert sdks_of("intake", "plan", "assemble", "publish", "sweep") == []


def test_functions_that_call_one_in_each_run_load_both_while_they_start() -> None:
    assert [sdks_of(step) for step in ("submit", "poll", "collect")] == [["anthropic", "openai"]] * 3
