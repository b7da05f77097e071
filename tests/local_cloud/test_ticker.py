import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local_cloud.state import Saved
from local_cloud.ticker import Target, run

ENOUGH = 3


class Lambda(ThreadingHTTPServer):
    """Counts what is invoked; fails at first, as an emulator that is being started does."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Invocations)
        self.seen: dict[tuple[str, str], int] = {}
        self.enough = threading.Event()


class Invocations(BaseHTTPRequestHandler):
    server: Lambda

    def do_POST(self) -> None:
        function = self.path.split("/")[3]
        payload = self.rfile.read(int(self.headers["Content-Length"])).decode()
        seen = self.server.seen
        seen[function, payload] = seen.get((function, payload), 0) + 1
        if len(seen) == ENOUGH and min(seen.values()) >= ENOUGH:
            self.server.enough.set()
        self.send_response(503 if seen[function, payload] == 1 else 200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def emulator() -> Iterator[Lambda]:
    with Lambda() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_every_provider_and_sweep_are_invoked_again_and_again_whatever_fails(emulator: Lambda) -> None:
    stop = threading.Event()
    targets = [
        Target(function="poll", payload={"provider": "openai"}),
        Target(function="poll", payload={"provider": "anthropic"}),
        Target(function="sweep", payload={}),
    ]
    cloud = Saved(account="123456789012", endpoint_port=emulator.server_port, simulator_port=1, secret_access_key="s")
    ticking = threading.Thread(
        target=run,
        args=(targets,),
        kwargs={"cloud": cloud, "seconds": 0.01, "stop": stop},
    )
    ticking.start()
    assert emulator.enough.wait(10)
    stop.set()
    ticking.join(10)
    assert not ticking.is_alive()
    assert set(emulator.seen) == {(target.function, json.dumps(target.payload)) for target in targets}
