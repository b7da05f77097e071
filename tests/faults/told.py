"""A topic and a webhook that are told of events: at each delivery something may go wrong."""

from batchdrop.errors import Transient
from batchdrop.notices import Notice

from faults.outside import CONFLICTS, AwsClients, Fault

PLACES = ({"topic": "topic"}, {"webhook": "webhook"})


class Told:
    """In place of `Deliveries`. `said` is what was told to whom."""

    def __init__(self, clients: AwsClients) -> None:
        self._clients = clients
        self.said: list[tuple[str, str]] = []

    def publish(self, topic: str, notice: Notice) -> None:
        self._deliver(topic, notice.text)

    def post(self, url: str, message_id: str, body: bytes, *, now: int) -> None:  # noqa: ARG002 - nothing is signed
        self._deliver(url, body.decode())

    def _deliver(self, place: str, text: str) -> None:
        def refuse(fault: Fault) -> None:
            if fault not in CONFLICTS:
                raise Transient(f"the {place} answered 503")

        self._clients.outside.pass_(
            f"notify {place}",
            lambda: self.said.append((place, text)),
            lost=lambda: Transient(f"the {place} did not answer"),
            refused=refuse,
        )
