"""How much is measured: enough to see that a benchmark runs at all, what `make bench` takes, or all of it."""

import sys
from enum import StrEnum


class Form(StrEnum):
    """What a script is asked for as `--smoke` or `--full`."""

    SMOKE = "smoke"
    SHORT = "short"
    FULL = "full"


def asked_form() -> Form:
    return next((form for form in Form if f"--{form}" in sys.argv), Form.SHORT)
