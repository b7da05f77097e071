"""How many calls of AWS and of providers a job makes, step by step: jobs of 1, 1,000 and 1,000,000 lines.

In process, on moto. What takes messages from queues is Lambda's part, and is not among them. A million lines are a
thousand, with everything that cuts a file (splits, batches, parts of uploads) a thousand times smaller: as many units,
as many calls. Where a job does not fill a unit, it is the same job.
"""

import logging
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import redirect_stdout
from io import StringIO

os.environ["S3_UPLOAD_PART_MIN_SIZE"] = "1"  # moto's; before it is imported

from batchdrop.aws import multipart
from faking.cloud import TOML, cloud
from faking.counting import PROVIDER, SERVICES, Calls, counted_job, idle_poll
from forms import Form, asked_form
from goals import Goals
from lines import chat_lines
from machine import machine

STEPS = ("intake", "plan", "submit", "poll", "collect", "assemble", "publish")
SCALE = 1_000
_ALL = ((1, 1), (1_000, 1), (1_000_000, SCALE))
SIZES = {Form.SMOKE: ((1, 1),), Form.SHORT: _ALL, Form.FULL: _ALL}  # lines, and how many times finer they are cut
SPLIT_BYTES, PART_BYTES = 64 * 1024 * 1024, multipart.PART_MIN
PROVIDERS = {"openai": ("openai",), "anthropic": ("anthropic",), "both": ("openai", "anthropic")}


MOST = 64  # half of what a job of a line took


def main() -> None:
    print(machine())
    goals = Goals()
    measure(goals, form=asked_form())
    if "--each" in sys.argv:
        for step, calls in count_calls(1, PROVIDERS["openai"]).items():
            print(f"\n{step}\n  " + "\n  ".join(f"{number} {' '.join(call)}" for call, number in calls.items()))
    goals.show()


def measure(goals: Goals, *, form: Form) -> None:
    logging.disable(logging.CRITICAL)
    print("\n8. Calls of AWS, step by step; a million lines are a thousand, cut a thousand times finer")
    for name, providers in PROVIDERS.items():
        print(f"\n| {name} | {' | '.join(STEPS)} | all | of providers |\n|{'---|' * (len(STEPS) + 3)}")
        for count, scale in SIZES[form]:
            print(_row(f"{count:,} line{'s' * (count > 1)}", count_calls(count, providers, scale=scale)), flush=True)
    print(f"\n{'':16}{''.join(f'{service:>10}' for service in SERVICES)}")
    small = count_calls(1, PROVIDERS["openai"])
    for step, calls in small.items():
        print(f"{step:16}{''.join(f'{_of(calls, [service]):10}' for service in SERVICES)}")
    with cloud() as here:
        print(f"\na poll of a provider with nothing in flight: {_of(idle_poll(here, 'openai'), SERVICES)} calls")
    goals.at_most(
        "calls of AWS for a job of one line", sum(_of(each, SERVICES) for each in small.values()), MOST, "calls"
    )
    logging.disable(logging.NOTSET)


def count_calls(count: int, providers: Sequence[str], *, scale: int = 1) -> Calls:
    """The calls of a job of so many lines of 360 bytes; all that cuts a file is `scale` times smaller, and so is it."""
    whole = multipart._PART, multipart.Joining.part_min  # noqa: SLF001 - there is no other way to make parts smaller
    multipart._PART, multipart.Joining.part_min = whole[0] // scale, PART_BYTES // scale  # noqa: SLF001
    try:
        with cloud(unlimited_providers(scale), split_bytes=SPLIT_BYTES // scale) as here, _without_metrics():
            return counted_job(here, b"".join(chat_lines(count // scale, *providers)))
    finally:
        multipart._PART, multipart.Joining.part_min = whole  # noqa: SLF001


def _without_metrics() -> redirect_stdout[StringIO]:
    """The steps' metrics are lines on stdout, where the tables are."""
    return redirect_stdout(StringIO())


def unlimited_providers(scale: int = 1) -> str:
    """The project's, with batches `scale` times smaller, and limits in which any job fits."""
    return "\n".join(_scaled(TOML.read_text(encoding="utf-8").splitlines(), scale))


def _scaled(lines: list[str], scale: int) -> Iterator[str]:
    for line in lines:
        name, _, rest = line.partition(" = ")
        value = rest.partition(" #")[0].replace("_", "")
        if name in {"requests_per_batch", "bytes_per_batch"}:
            yield f"{name} = {int(value) // scale}"
        elif name in {"enqueued_tokens", "queued_requests"}:
            yield f"{name} = {10**12}"
        else:
            yield line


def _row(name: str, calls: Calls) -> str:
    numbers = [_of(calls.get(step, Counter()), SERVICES) for step in STEPS]
    told = sum(_of(each, [PROVIDER]) for each in calls.values())
    return f"| {name} | {' | '.join(map(str, numbers))} | **{sum(numbers)}** | {told} |"


def _of(calls: Counter[tuple[str, str]], services: Sequence[str]) -> int:
    return sum(number for (service, _), number in calls.items() if service in services)


if __name__ == "__main__":
    main()
