"""`make bench`: all tables, then each goal with its figure and their ratio; `ARGS=--full` is the long form.

The long form has latency, too. It ends with 1 only where something could not be measured: a figure that misses its goal
on a machine that others use says little.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import calls
import cold_start
import each_step
import latency
import money
import others
import scale
import size
from deployed import Deployed, deployed
from forms import Form, asked_form
from goals import Goals
from machine import machine

TABLES = (others, size, each_step, money, scale, cold_start)
MOST_MINUTES = 10


def main() -> int:
    form, began = asked_form(), time.monotonic()
    goals = Goals()
    print(machine(), flush=True)
    with deployed() as stand:
        measure_tables(stand, goals, form)
    with telling("calls", goals):
        calls.measure(goals, form=form)
    if form is Form.FULL:
        latency.measure_all(form)
    minutes = (time.monotonic() - began) / 60
    goals.at_most("make bench", minutes, MOST_MINUTES, "minutes")
    goals.show()
    return 0 if goals.are_measured else 1


def measure_tables(stand: Deployed, goals: Goals, form: Form) -> None:
    for table in TABLES:
        with telling(table.__name__, goals):
            table.measure(stand, goals, form=form)


@contextmanager
def telling(table: str, goals: Goals) -> Iterator[None]:
    """Let the other tables be measured where one cannot be."""
    began = time.monotonic()
    try:
        yield
    except (Exception, SystemExit) as error:  # noqa: BLE001 - whatever it is, it is told
        print(f"   {table} was not measured: {error}", flush=True)
        goals.not_measured(table, 0, "", f"{type(error).__name__}: {str(error)[:200]!r}")
    print(f"   ({time.monotonic() - began:.0f} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main())
