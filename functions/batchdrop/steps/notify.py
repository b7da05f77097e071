"""Notify: an event of ours is told to one place, a topic or a webhook.

Who deploys names the places; a message brings one of them, so that one that fails does not have the others told twice.
A message may come twice: a webhook's id is the event's, by which its receiver knows it again.
"""

import msgspec

from batchdrop.aws.deliveries import Deliveries
from batchdrop.notices import KINDS, notice_of


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """An event and the place that is told: the rule that sends it writes it so. One of `topic` and `webhook`."""

    id: str
    type: str
    time: str
    detail: msgspec.Raw
    topic: str | None = None
    webhook: str | None = None


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """What a webhook is sent, as Standard Webhooks recommends."""

    type: str
    timestamp: str
    data: msgspec.Raw


def notify(message: str, deliveries: Deliveries, *, now: int) -> None:
    """Tell one place of one event."""
    told = msgspec.json.decode(message, type=Told)
    if told.type not in KINDS:
        return
    if told.topic is not None:
        deliveries.publish(told.topic, notice_of(told.type, told.detail))
    if told.webhook is not None:
        kind = told.type.lower().replace(" ", ".")
        payload = _Payload(type=kind, timestamp=told.time, data=told.detail)
        deliveries.post(told.webhook, told.id, msgspec.json.encode(payload), now=now)
