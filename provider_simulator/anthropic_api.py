"""Anthropic's Message Batches API, and its messages answered at once, as they look on the wire."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from werkzeug.wrappers import Response

from provider_simulator import lifecycle, realtime, scan
from provider_simulator.engine import Seen
from provider_simulator.errors import RefusedError
from provider_simulator.facts import DAY, Batch, Json
from provider_simulator.lifecycle import Phase
from provider_simulator.wire import CHUNK, Call, SpooledRequest, answer, file_answer, spooled

ROUTES = (
    ("/v1/messages/batches", "POST", "create"),
    ("/v1/messages/batches", "GET", "list"),
    ("/v1/messages/batches/<id>", "GET", "retrieve"),
    ("/v1/messages/batches/<id>", "DELETE", "delete"),
    ("/v1/messages/batches/<id>/cancel", "POST", "cancel"),
    ("/v1/messages/batches/<id>/results", "GET", "results"),
    ("/v1/messages", "POST", realtime.OPERATION),
)
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
VERSION = re.compile(r"\d{4}-\d{2}-\d{2}")
KEPT = 29 * DAY  # results, from the creation of their batch


class _Request(msgspec.Struct, forbid_unknown_fields=True):
    custom_id: str
    params: msgspec.Raw


class _Create(msgspec.Struct, forbid_unknown_fields=True):
    requests: list[_Request]


def key_of(request: SpooledRequest) -> str:
    """Raises: RefusedError(401), or 400 for a missing version."""
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    key = request.headers.get("x-api-key") or (bearer if scheme.lower() == "bearer" else "")
    if not key:
        raise RefusedError(401, "x-api-key header is required")
    if not key.startswith("sk-"):
        raise RefusedError(401, "invalid x-api-key")
    version = request.headers.get("anthropic-version")
    if version is None:
        raise RefusedError(400, "anthropic-version: header is required")
    if not VERSION.fullmatch(version):
        raise RefusedError(400, f'anthropic-version: "{version}" is not a valid version')
    return key


def create(call: Call) -> Response:
    limits = call.engine.limits
    body = _spool_body(call.request, limits.anthropic_bytes)
    requests = _requests(body, limits.anthropic_requests)
    if limits.anthropic_queue is not None:
        queued = call.engine.queued_requests(call.org) + len(requests)
        if queued > limits.anthropic_queue:
            message = f"This would exceed your organization's limit of {limits.anthropic_queue} queued batch requests"
            raise RefusedError(429, message).after(60)
    model = scan.decode(bytes(requests[0].params)).get("model")
    wanted = Batch(
        provider="anthropic",
        org=call.org,
        total=len(requests),
        api_version=call.request.headers["anthropic-version"],
        betas="anthropic-beta" in call.request.headers,
    )
    source = _spool_lines(call.request.spool, requests)
    batch = call.engine.create(wanted, delay=call.delay, model=model if isinstance(model, str) else "", source=source)
    return answer(_batch_object(call, Seen(batch, batch.created_at), new=True))


def _spool_body(request: SpooledRequest, most: int) -> Path:
    """The body in a file; it may be large."""
    size = 0
    with spooled(request.spool) as file:
        while piece := request.stream.read(CHUNK):
            size += len(piece)
            if size <= most:
                file.write(piece)
    path = Path(file.name)
    if size > most:
        path.unlink()
        raise RefusedError(413, "Request exceeds the maximum size")
    return path


def _requests(path: Path, most: int) -> list[_Request]:
    """Return the requests of the body, checked as a whole; each request's parameters are looked at only later."""
    body = scan.mapped(path)
    path.unlink()  # the mapping keeps the bytes
    try:
        requests = msgspec.json.decode(body, type=_Create).requests
    except msgspec.ValidationError as error:
        raise RefusedError(400, _in_vendors_words(error)) from None
    except ValueError as error:
        raise RefusedError(400, f"The request body is not valid JSON: {error}") from None
    if not requests:
        raise RefusedError(400, "requests: List should have at least 1 item after validation, not 0")
    if len(requests) > most:
        raise RefusedError(
            413, f"requests: List should have at most {most} items after validation, not {len(requests)}"
        )
    _check_custom_ids(requests)
    return requests


def _in_vendors_words(error: msgspec.ValidationError) -> str:
    message, _, path = str(error).partition(" - at `$")
    where = re.sub(r"\[(\d+)\]", r".\1", path.rstrip("`")).lstrip(".")
    return f"{where}: {message}" if where else message


def _check_custom_ids(requests: list[_Request]) -> None:
    seen: set[str] = set()
    for number, request in enumerate(requests):
        if not CUSTOM_ID.fullmatch(request.custom_id):
            message = f"requests.{number}.custom_id: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
            raise RefusedError(400, message)
        if request.custom_id in seen:
            raise RefusedError(400, f"requests.{number}.custom_id: '{request.custom_id}' is not unique in the batch")
        if bytes(request.params).lstrip()[:1] != b"{":
            raise RefusedError(400, f"requests.{number}.params: Input should be a valid dictionary")
        seen.add(request.custom_id)


def _spool_lines(folder: Path, requests: list[_Request]) -> Path:
    with spooled(folder) as file:
        for request in requests:
            params = bytes(request.params).replace(b"\n", b" ").replace(b"\r", b" ")  # only ever between tokens
            file.write(b'{"custom_id":"%s","params":%s}\n' % (request.custom_id.encode(), params))
    return Path(file.name)


def retrieve(call: Call) -> Response:
    return answer(_batch_object(call, call.engine.batch("anthropic", call.org, call.id)))


def list_batches(call: Call) -> Response:
    limit = call.request.bounded("limit", 20, 1000)
    after, before = call.request.args.get("after_id"), call.request.args.get("before_id")
    if after and before:
        raise RefusedError(400, "Only one of before_id and after_id may be given")
    ids = call.engine.batches("anthropic", call.org)
    page, more = _page_before(ids, before, limit) if before else _page_after(ids, after, limit)
    data = [_batch_object(call, call.engine.look(batch_id)) for batch_id in page]
    first, last = (page[0], page[-1]) if page else (None, None)
    return answer({"data": data, "has_more": more, "first_id": first, "last_id": last})


def _page_after(ids: list[str], after: str | None, limit: int) -> tuple[list[str], bool]:
    if after:
        ids = ids[_position(ids, after, "after_id") + 1 :]
    return ids[:limit], len(ids) > limit


def _page_before(ids: list[str], before: str, limit: int) -> tuple[list[str], bool]:
    newer = ids[: _position(ids, before, "before_id")]
    return newer[-limit:], len(newer) > limit


def _position(ids: list[str], batch_id: str, param: str) -> int:
    if batch_id not in ids:
        raise RefusedError(400, f"{param}: no batch found with id '{batch_id}'")
    return ids.index(batch_id)


def cancel(call: Call) -> Response:
    return answer(_batch_object(call, call.engine.cancel("anthropic", call.org, call.id)))


def delete(call: Call) -> Response:
    call.engine.delete_batch("anthropic", call.org, call.id)
    return answer({"id": call.id, "type": "message_batch_deleted"})


def results(call: Call) -> Response:
    seen = call.engine.batch("anthropic", call.org, call.id)
    if not seen.ended:
        raise RefusedError(404, f"Batch {call.id} has no results yet: it has not ended")
    if _archived(seen):
        raise RefusedError(404, f"The results of batch {call.id} are no longer available")
    return file_answer(call.request, call.engine.results_path(call.id), content_type="application/binary")


def _archived(seen: Seen) -> bool:
    return seen.at >= seen.batch.created_at + KEPT


def _batch_object(call: Call, seen: Seen, *, new: bool = False) -> Json:
    batch, archived = seen.batch, _archived(seen)
    ended = seen.ended and not new
    status = "ended" if ended else "canceling" if seen.phase is Phase.CANCELLING else "in_progress"
    root = call.request.root_url.rstrip("/") + "/anthropic"
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": _counts(batch, ended=ended),
        "created_at": _timestamp(batch.created_at),
        "expires_at": _timestamp(batch.created_at + DAY),
        "ended_at": _timestamp(lifecycle.ends_at(batch)) if ended else None,
        "cancel_initiated_at": _timestamp(batch.cancel_at),
        "archived_at": _timestamp(batch.created_at + KEPT) if archived else None,
        "results_url": f"{root}/v1/messages/batches/{batch.id}/results" if ended and not archived else None,
    }


def _counts(batch: Batch, *, ended: bool) -> dict[str, Any]:
    """All in processing, until all have ended. Requests whose results were lost count as succeeded."""
    outcome = batch.outcome
    if not ended or outcome is None:
        return {"processing": batch.total, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}
    return {
        "processing": 0,
        "succeeded": outcome.succeeded + outcome.lost,
        "errored": outcome.errored,
        "canceled": outcome.canceled,
        "expired": outcome.expired,
    }


def _timestamp(at: float | None) -> str | None:
    return None if at is None else datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")


OPERATIONS: dict[str, Callable[[Call], Response]] = {
    "create": create,
    "list": list_batches,
    "retrieve": retrieve,
    "cancel": cancel,
    "delete": delete,
    "results": results,
    realtime.OPERATION: realtime.answer_now,
}
