"""`python -m provider_simulator --port N --data DIR`: prints one line of JSON with its URLs, serves until SIGTERM."""

import argparse
import json
import os
import signal
import sys
import threading
from pathlib import Path

from provider_simulator.app import Simulator
from provider_simulator.door import KEY_VARIABLE
from provider_simulator.server import serve


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="provider_simulator", description="OpenAI's and Anthropic's batch APIs, and requests answered at once."
    )
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0, help="0: any free port")
    parser.add_argument("--data", type=Path, help="folder that holds everything; without it nothing is kept")
    parser.add_argument("--seconds-to-complete", type=float, default=0.0)
    options = parser.parse_args()
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    with (
        Simulator(data=options.data, seconds_to_complete=options.seconds_to_complete) as simulator,
        serve(simulator, host=options.host, port=options.port, key=os.environ.get(KEY_VARIABLE)) as url,
    ):
        urls = {"url": url, "openai": f"{url}/openai/v1", "anthropic": f"{url}/anthropic", "control": f"{url}/control"}
        sys.stdout.write(json.dumps(urls) + "\n")
        sys.stdout.flush()
        stop.wait()


if __name__ == "__main__":
    main()
