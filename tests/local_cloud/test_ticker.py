import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from local_cloud.state import Saved
from local_cloud.ticker import Target, Ticker

ENOUGH = 3
TARGETS = [
    Target(function="poll", payload={"provider": "openai"}),
    Target(function="poll", payload={"provider": "anthropic"}),
    Target(function="sweep", payload={}),
]


class Emulator(ThreadingHTTPServer):
    """Counts what is invoked; fails at first, as a new emulator does. Rows are `due` at these times."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Requests)
        self.due = [int(time.time())]
        self.looks, self.status = 0, 200
        self.seen: dict[tuple[str, str], int] = {}
        self.now, self.most, self.run_seconds = 0, 0, 0.0
        self.lock = threading.Lock()


class Requests(BaseHTTPRequestHandler):
    server: Emulator

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        if self.headers.get("X-Amz-Target", "").endswith(".Scan"):
            asked = json.loads(body)
            assert (asked["TableName"], asked["IndexName"], asked["FilterExpression"]) == (
                "jobs",
                "due",
                "due_at <= :now",
            )
            now = int(asked["ExpressionAttributeValues"][":now"]["N"])
            self.server.looks += 1
            self._answer(self.server.status, {"Count": sum(each <= now for each in self.server.due)})
            return
        function, server = self.path.split("/")[3], self.server
        with server.lock:
            server.seen[function, body] = server.seen.get((function, body), 0) + 1
            server.now += 1
            server.most = max(server.most, server.now)
        time.sleep(server.run_seconds)
        with server.lock:
            server.now -= 1
        self._answer(503 if server.seen[function, body] == 1 else 200, {})

    def _answer(self, status: int, values: object) -> None:
        body = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Keep the test's output clean."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    with Emulator() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def stop(emulator: Emulator, request: pytest.FixtureRequest) -> Iterator[threading.Event]:
    """A ticker of `targets` runs until this is set."""
    targets = getattr(request, "param", TARGETS)
    cloud = Saved(account="123456789012", endpoint_port=emulator.server_port, simulator_port=1, secret_access_key="s")
    ended = threading.Event()
    ticker = Ticker(targets, cloud=cloud, table="jobs", at_once=2)
    ticking = threading.Thread(target=ticker.run, kwargs={"seconds": 0.01, "stop": ended})
    ticking.start()
    yield ended
    ended.set()
    ticking.join(10)
    assert not ticking.is_alive()


def wait(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not true() and time.monotonic() < deadline:
        time.sleep(0.005)
    assert true()


@pytest.mark.usefixtures("stop")
def test_every_provider_and_sweep_are_invoked_again_and_again_whatever_fails(emulator: Emulator) -> None:
    wait(lambda: len(emulator.seen) == len(TARGETS) and min(emulator.seen.values()) >= ENOUGH)
    assert set(emulator.seen) == {(target.function, json.dumps(target.payload)) for target in TARGETS}


@pytest.mark.usefixtures("stop")
def test_nothing_is_invoked_while_nothing_is_due_and_at_once_when_something_is(emulator: Emulator) -> None:
    emulator.due[:] = [int(time.time()) + 86_400]
    wait(lambda: emulator.now == 0)
    looks = emulator.looks
    wait(lambda: emulator.looks > looks + 2)
    before = dict(emulator.seen)
    looks = emulator.looks
    wait(lambda: emulator.looks > looks + 20)
    assert emulator.seen == before
    emulator.due.append(int(time.time()))
    wait(lambda: sum(emulator.seen.values()) > sum(before.values()))


@pytest.mark.usefixtures("stop")
def test_where_it_cannot_be_told_what_is_in_flight_all_are_invoked(emulator: Emulator) -> None:
    emulator.due.clear()
    emulator.status = 400
    wait(lambda: len(emulator.seen) == len(TARGETS) and min(emulator.seen.values()) >= ENOUGH)


MANY = [Target(function="poll", payload={"provider": str(number)}) for number in range(24)]


@pytest.mark.usefixtures("stop")
@pytest.mark.parametrize("stop", [MANY], indirect=True)
def test_many_providers_are_asked_in_turn_so_many_at_once(emulator: Emulator) -> None:
    emulator.run_seconds = 0.02
    wait(lambda: len(emulator.seen) == len(MANY))
    assert emulator.most <= 2
