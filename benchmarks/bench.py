"""`make bench`: all tables, goals beside the figures; `make bench ARGS=--full` is what docs/performance.md holds."""

import sys
import time

import cold_start
import each_step
import latency
import money
import others
import scale
import size
from deployed import deployed
from machine import machine


def main() -> None:
    full, began = "--full" in sys.argv, time.monotonic()
    print(machine())
    with deployed() as stand:
        for table in (others, size, each_step, money, scale, cold_start):
            table.measure(stand, full=full)
    latency.measure_all(full=full)
    print(f"\n{(time.monotonic() - began) / 60:.0f} minutes")


if __name__ == "__main__":
    main()
