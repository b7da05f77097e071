"""Crash exploration: every call to the outside of a whole job, with every fault; prints what was broken.

make crash-test                                        all points, in as many processes as there are processors
make crash-test ARGS='--point "17:DIES_AFTER"'         one point, by the number of its call and its fault
make crash-test ARGS='--pairs 500 --seed 100'          pairs of faults, drawn from the seeds 100 and following
"""

import argparse
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator
from itertools import islice

from faults.points import Point, every_point, parse_point, random_pair, undisturbed, violations
from faults.world import new_world


def explored(points: list[Point]) -> Iterator[tuple[Point, list[str]]]:
    with new_world() as world:
        wanted, _ = undisturbed(world)
        for point in points:
            yield point, violations(point, wanted, world)


def main() -> int:
    asked = _arguments()
    begun = time.monotonic()
    with new_world() as world:
        _, calls = undisturbed(world)
    points = _points(asked, calls)
    counts, broken = Counter[str](), Counter[str]()
    for point, found in _everywhere(points, asked.processes):
        kind = "+".join(fault.name for _, fault in point.faults) if len(point.faults) == 1 else "pairs"
        counts[kind] += 1
        if found:
            broken[kind] += 1
            print(f"\n{point.name} · {point}")
            print(f"  again: make crash-test ARGS='--point \"{point}\"'")
            print("".join(f"  {each[:1500]}\n" for each in found), flush=True)
    for kind in counts:
        print(f"{kind:32} {counts[kind]:5} points, {broken[kind]} violations")
    print(f"{len(calls)} calls in a job, {time.monotonic() - begun:.0f} seconds")
    print(f"{sum(counts.values())} points, {sum(broken.values())} violations")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--point", help="only this one")
    parser.add_argument("--pairs", type=int, default=0, help="so many pairs of faults instead of all single ones")
    parser.add_argument("--seed", type=int, default=0, help="the first seed of the pairs")
    parser.add_argument("--fault", help="only points of this fault")
    parser.add_argument("--call", default="", help="only points of calls whose name holds this")
    parser.add_argument("--every", type=int, default=1, help="only every so many points")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    return parser.parse_args()


def _points(asked: argparse.Namespace, calls: list[str]) -> list[Point]:
    if asked.point:
        return [parse_point(asked.point)]
    if asked.pairs:
        return [random_pair(seed, calls) for seed in range(asked.seed, asked.seed + asked.pairs)]
    points = (
        each for each in every_point(calls) if asked.fault in {None, each.faults[0][1].name} and asked.call in each.name
    )
    return list(islice(points, 0, None, asked.every))


def _everywhere(points: list[Point], processes: int) -> Iterator[tuple[Point, list[str]]]:
    if processes == 1 or len(points) < 100:
        yield from explored(points)
        return
    shares = [points[number :: processes * 4] for number in range(processes * 4)]
    with multiprocessing.get_context("spawn").Pool(processes) as pool:
        for found in pool.imap_unordered(_explored, shares):
            yield from found


def _explored(points: list[Point]) -> list[tuple[Point, list[str]]]:
    return list(explored(points))


if __name__ == "__main__":
    sys.exit(main())
