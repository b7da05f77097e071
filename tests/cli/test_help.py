"""Help is quick: it imports neither an SDK nor what a command works with."""

import subprocess
import sys

import pytest

_SLOW = (
    "boto3",
    "botocore",
    "openai",
    "anthropic",
    "genai_prices",
    "aws_cdk",
    "werkzeug",
    "starlette",
    "jinja2",
    "msgspec",
    "batchdrop.aws.store",
)
_RUN = f"""
import sys
from batchdrop_cli.main import main
code = main(sys.argv[1:])
print([each for each in {_SLOW} if each in sys.modules], file=sys.stderr)
sys.exit(code)
"""


@pytest.mark.parametrize("arguments", [["--help"], [], ["local", "--help"], ["keys", "--help"], ["--version"]])
def test_help_imports_no_sdk(arguments: list[str]) -> None:
    ran = subprocess.run([sys.executable, "-c", _RUN, *arguments], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stderr) == (0, "[]\n")
