"""Crash exploration: every call to the outside of whole jobs, with every fault; prints what was broken.

make crash-test                                    all points of the main job, and every eighth of each other one
make crash-test ARGS="--every 1"                   all points of all jobs
make crash-test ARGS="--job expired --job lost"    all points of these jobs
make crash-test ARGS="--point 'main: 17:DIES_AFTER'"    one point: the job, the number of its call, the fault
make crash-test ARGS="--pairs 500 --seed 100"      pairs of faults, drawn from the seeds 100 and following

It uses all processors (`--processes`), and ends with 1 when anything was broken.
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from functools import cache
from io import StringIO
from itertools import batched, islice
from typing import NamedTuple

from faults.outside import Fault
from faults.points import Point, Whole, every_point, parse_point, random_pair, undisturbed, violations
from faults.scenarios import MAIN, SCENARIOS
from faults.world import World, new_world

_SHARE = 40  # points that a process takes at a time
_EVERY = 8
_PROGRESS_SECONDS = 20
_stack = ExitStack()


class Found(NamedTuple):
    point: str
    name: str
    violations: list[str]


@cache
def _world() -> World:
    """This process's own; it goes with it."""
    return _stack.enter_context(new_world())


@cache
def _whole(scenario: str) -> Whole:
    with redirect_stdout(StringIO()):  # the steps' metrics
        return undisturbed(_world(), SCENARIOS[scenario])


def explored(points: tuple[str, ...]) -> list[Found]:
    """Run points, each by its text: another process is told them so."""
    found = []
    for text in points:
        point = parse_point(text)
        whole = _whole(point.scenario.name)
        number = point.faults[0][0]
        name = whole.calls[number - 1] if number <= len(whole.calls) else ""
        with redirect_stdout(StringIO()):  # the steps' metrics
            found.append(Found(text, name, violations(point, whole.outcome, _world())))
    return found


def main() -> int:
    asked = _arguments()
    begun = time.monotonic()
    points, said = _points(asked)
    print("\n".join(said), flush=True)
    done, broken, told = Counter[str](), Counter[str](), begun
    for found in _everywhere([str(point) for point in points], asked.processes):
        kind = found.point.partition(":")[0]
        done[kind] += 1
        if found.violations:
            broken[kind] += 1
            _tell(found)
        if time.monotonic() - told > _PROGRESS_SECONDS:
            told = time.monotonic()
            print(f"{done.total():6} of {len(points)} points, {broken.total()} violations", flush=True)
    for kind, number in sorted(done.items()):
        print(f"{kind:12} {number:6} points, {broken[kind]} violations")
    print(f"{time.monotonic() - begun:.0f} seconds in {asked.processes} processes")
    print(f"{done.total()} points, {broken.total()} violations")
    return 1 if broken else 0


def _tell(found: Found) -> None:
    print(f"\n{found.point} · {found.name}")
    print(f"  again: make crash-test ARGS=\"--point '{found.point}'\"")
    print("".join(f"  {each[:1500]}\n" for each in found.violations), flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", help="only this one")
    parser.add_argument("--job", action="append", choices=sorted(SCENARIOS), help="all points of this one")
    parser.add_argument("--every", type=int, help="only every so many points, of the main job too")
    parser.add_argument("--fault", choices=[each.name for each in Fault], help="only points of this fault")
    parser.add_argument("--call", default="", help="only points of calls whose name holds this")
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs of faults instead of single ones")
    parser.add_argument("--seed", type=int, default=0, help="the first seed of the pairs")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _points(asked: argparse.Namespace) -> tuple[list[Point], list[str]]:
    """What is asked for, and what that is, in words."""
    if asked.point:
        return [parse_point(asked.point)], []
    points: list[Point] = []
    said = []
    for name in asked.job or SCENARIOS:
        whole = _whole(name)
        if asked.pairs:
            seeds = range(asked.seed, asked.seed + asked.pairs)
            points += [random_pair(seed, whole) for seed in seeds]
            said.append(f"{name:12} {len(whole.calls):4} calls: pairs of the seeds {seeds.start} to {seeds.stop - 1}")
            continue
        every = list(every_point(whole))
        wanted = [each for each in every if asked.fault in {None, each.faults[0][1].name} and asked.call in each.name]
        step = asked.every or (1 if asked.job or name == MAIN.name else _EVERY)
        points += islice(wanted, 0, None, step)
        chosen = "all of them" if step == 1 else f"every {step}th"
        said.append(f"{name:12} {len(whole.calls):4} calls, {len(every):5} points: {len(wanted):5} asked for, {chosen}")
    return points, said


def _everywhere(points: list[str], processes: int) -> Iterator[Found]:
    shares = list(batched(points, _SHARE, strict=False))
    if processes == 1 or len(shares) == 1:
        yield from (found for share in shares for found in explored(share))
        return
    with multiprocessing.get_context("forkserver").Pool(processes) as pool:
        for found in pool.imap_unordered(explored, shares):
            yield from found


if __name__ == "__main__":
    sys.exit(main())
