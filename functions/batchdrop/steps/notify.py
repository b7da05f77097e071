"""Notify: send one event to one place, a topic or a webhook.

The deployment's settings name the places. A message is for one of them, so that a failure at one place does not
repeat the others. A message may come twice; a webhook's id is the event's, so that its receiver can
recognise it.
"""

import msgspec

from batchdrop.aws.deliveries import Deliveries
from batchdrop.notices import KINDS, notice_of


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the place that gets it, as the EventBridge rule writes them. One of `topic` and `webhook`."""

    id: str
    type: str
    time: str
    detail: msgspec.Raw
    topic: str | None = None
    webhook: str | None = None


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """The body of a webhook, as Standard Webhooks recommends."""

    type: str
    timestamp: str
    data: msgspec.Raw


def notify(message: str, deliveries: Deliveries, *, now: int) -> None:
    """Send one event to its place."""
    delivery = msgspec.json.decode(message, type=Delivery)
    if delivery.type not in KINDS:
        return
    if delivery.topic is not None:
        deliveries.publish(delivery.topic, notice_of(delivery.type, delivery.detail))
    if delivery.webhook is not None:
        kind = delivery.type.lower().replace(" ", ".")
        payload = _Payload(type=kind, timestamp=delivery.time, data=delivery.detail)
        deliveries.post(delivery.webhook, delivery.id, msgspec.json.encode(payload), now=now)
