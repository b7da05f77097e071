"""What functions load: an SDK takes a second or two, and only a call to its own provider pays for it.

The price list takes a third of a second, and only who asks for a price pays for it.
"""

import json
import subprocess
import sys

import pytest
from batchdrop.records import Protocol

LOADED = """
import importlib, json, sys
for step in sys.argv[1].split(","):
    importlib.import_module("handlers." + step)
if sys.argv[2]:
    from batchdrop.providers.clients import make_api
    from batchdrop.providers.config import parse_providers
    from batchdrop.providers.keys import Key
    text = f'[providers.x]\\nprotocol = "{sys.argv[2]}"\\nbase_url = "https://example.com"\\nsecret = "s"'
    make_api(parse_providers(text)["x"], Key("k"))
print(json.dumps(sorted({"openai", "anthropic", "genai_prices"} & set(sys.modules))))
"""
STEPS = "intake,plan,submit,poll,collect,assemble,publish,sweep"


def sdks_of(steps: str, called: str = "") -> list[str]:
    done = subprocess.run([sys.executable, "-c", LOADED, steps, called], capture_output=True, text=True, check=True)
    found: list[str] = json.loads(done.stdout)
    return found


def test_no_function_loads_an_sdk_or_the_price_list_while_it_starts() -> None:
    assert sdks_of(STEPS) == []


@pytest.mark.parametrize("protocol", Protocol)
def test_a_call_loads_the_sdk_of_its_own_provider_alone(protocol: Protocol) -> None:
    assert sdks_of("poll", protocol) == [protocol]
