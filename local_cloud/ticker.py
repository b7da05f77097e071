"""`python -m local_cloud.ticker`: what EventBridge's schedules do on AWS, but every two seconds.

EventBridge's shortest schedule is a minute. A run that is still going is waited for: runs of one target never overlap.
"""

import argparse
import json
import logging
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

from botocore.exceptions import BotoCoreError, ClientError

from local_cloud.aws import client
from local_cloud.state import Access

INVOKE_SECONDS = 90  # longer than a function may take
logger = logging.getLogger("ticker")


class _FromEnvironment:
    """The cloud of the environment: a key in the arguments would be shown to every user of the machine."""

    endpoint = property(lambda _: os.environ["AWS_ENDPOINT_URL"])
    access_key_id = property(lambda _: os.environ["AWS_ACCESS_KEY_ID"])
    secret_access_key = property(lambda _: os.environ["AWS_SECRET_ACCESS_KEY"])


@dataclass(frozen=True, kw_only=True)
class Target:
    function: str
    payload: dict[str, str]


def tick(target: Target, *, cloud: Access, seconds: float, stop: threading.Event) -> None:
    """Invoke a function again and again until told to stop. Nothing that goes wrong ends it."""
    functions = client("lambda", cloud, read_timeout=INVOKE_SECONDS)
    trouble = ""
    while not stop.is_set():
        began = time.monotonic()
        try:
            answer = functions.invoke(FunctionName=target.function, Payload=json.dumps(target.payload))
            now = answer["Payload"].read().decode() if "FunctionError" in answer else ""
        except (BotoCoreError, ClientError) as error:
            now = str(error)
        if now and now != trouble:
            logger.warning("%s %s: %s", target.function, target.payload, now)
        trouble = now
        stop.wait(max(0.0, seconds - (time.monotonic() - began)))


def run(targets: Sequence[Target], *, cloud: Access, seconds: float, stop: threading.Event) -> None:
    """Tick for all targets, each in a thread of its own."""
    threads = [
        threading.Thread(
            target=tick,
            args=(target,),
            kwargs={"cloud": cloud, "seconds": seconds, "stop": stop},
            daemon=True,
        )
        for target in targets
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def main() -> None:
    parser = argparse.ArgumentParser(prog="local_cloud.ticker", description=__doc__)
    parser.add_argument("--seconds", type=float, required=True)
    parser.add_argument("--poll", required=True, help="name of the poll function")
    parser.add_argument("--provider", action="append", default=[], help="polled; may be repeated")
    parser.add_argument("--sweep", required=True, help="name of the sweep function")
    options = parser.parse_args()
    logging.basicConfig(format="%(asctime)s %(message)s")
    targets = [Target(function=options.poll, payload={"provider": name}) for name in options.provider]
    targets.append(Target(function=options.sweep, payload={}))
    run(targets, cloud=_FromEnvironment(), seconds=options.seconds, stop=threading.Event())


if __name__ == "__main__":
    main()
