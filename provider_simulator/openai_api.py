"""OpenAI's Files and Batch APIs, and what is answered at once, as they look on the wire."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from werkzeug.wrappers import Response

from provider_simulator import lifecycle, realtime
from provider_simulator.engine import Seen, output_file_id
from provider_simulator.errors import RefusedError
from provider_simulator.facts import DAY, Batch, Json, Outcome, StoredFile
from provider_simulator.lifecycle import Phase
from provider_simulator.vendor_schemas import batch_create_violation
from provider_simulator.wire import Call, SpooledRequest, answer, file_answer

ROUTES = (
    ("/files", "POST", "upload"),
    ("/files", "GET", "file_list"),
    ("/files/<id>", "GET", "file_retrieve"),
    ("/files/<id>", "DELETE", "delete"),
    ("/files/<id>/content", "GET", "results"),
    ("/batches", "POST", "create"),
    ("/batches", "GET", "list"),
    ("/batches/<id>", "GET", "retrieve"),
    ("/batches/<id>/cancel", "POST", "cancel"),
    ("/chat/completions", "POST", realtime.OPERATION),
    ("/responses", "POST", realtime.OPERATION),
    ("/embeddings", "POST", realtime.OPERATION),
)
SHORTEST, LONGEST = 3_600, 2_592_000  # seconds; what expires_after allows
DEFAULT_EXPIRY = 30 * DAY  # of batch inputs and outputs
MOST_METADATA, LONGEST_KEY, LONGEST_VALUE = 16, 64, 512


def key_of(request: SpooledRequest) -> str:
    """Raises: RefusedError(401)."""
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        raise RefusedError(401, "You didn't provide an API key.", kind="invalid_request_error")
    if not key.startswith("sk-"):
        message = f"Incorrect API key provided: {key[:3]}***."
        raise RefusedError(401, message, kind="invalid_request_error", code="invalid_api_key")
    return key


# --- files ---


def upload(call: Call) -> Response:
    request = call.request
    sent = request.files.get("file")
    purpose = request.form.get("purpose")
    if sent is None or not sent.filename:
        raise RefusedError(400, "'file' is a required property", param="file")
    if not purpose:
        raise RefusedError(400, "'purpose' is a required property", param="purpose")
    if purpose == "batch" and not sent.filename.endswith(".jsonl"):
        message = f"Invalid file format for Batch API. Must be .jsonl, not {sent.filename}"
        raise RefusedError(400, message, param="file", code="invalid_file_format")
    seconds = _expiry(request.form, purpose)
    sent.stream.flush()
    source = Path(str(sent.stream.name))
    if source.stat().st_size > call.engine.limits.openai_upload_bytes:
        raise RefusedError(413, "The file is too large.", code="file_too_large")
    if source.stat().st_size == 0:
        raise RefusedError(400, "File is empty.", param="file", code="empty_file")
    file = call.engine.add_file(call.org, source, filename=sent.filename, purpose=purpose, seconds=seconds)
    return answer(_file_object(file))


def _expiry(form: Mapping[str, str], purpose: str) -> float | None:
    anchor, seconds = form.get("expires_after[anchor]"), form.get("expires_after[seconds]")
    if anchor is None and seconds is None:
        return DEFAULT_EXPIRY if purpose == "batch" else None
    if anchor != "created_at" or seconds is None or not seconds.isdigit():
        raise RefusedError(400, "Invalid 'expires_after'.", param="expires_after")
    return _within_expiry(int(seconds), "expires_after.seconds")


def _within_expiry(seconds: int, param: str) -> float:
    if not SHORTEST <= seconds <= LONGEST:
        raise RefusedError(400, f"Invalid '{param}': must be from {SHORTEST} to {LONGEST}.", param=param)
    return float(seconds)


def file_list(call: Call) -> Response:
    limit = call.request.bounded("limit", 10_000, 10_000)
    purpose = call.request.args.get("purpose")
    files = [file for file in call.engine.files(call.org) if purpose in {None, file.purpose}]
    if call.request.args.get("order") == "asc":
        files.reverse()
    page, more = _page([file.id for file in files], call.request.args.get("after"), limit)
    return answer(_listing([_file_object(file) for file in files if file.id in page], more=more))


def file_retrieve(call: Call) -> Response:
    return answer(_file_object(call.engine.file(call.org, call.id)))


def delete(call: Call) -> Response:
    call.engine.delete_file(call.org, call.id)
    return answer({"id": call.id, "object": "file", "deleted": True})


def results(call: Call) -> Response:
    file = call.engine.file(call.org, call.id)
    return file_answer(call.request, call.engine.store.file_path(file.id), content_type="application/octet-stream")


def _file_object(file: StoredFile) -> Json:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": _second(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
        "status_details": None,
    }


# --- batches ---


def create(call: Call) -> Response:
    body = call.request.json()
    window = body.get("completion_window")
    is_taken = window in call.engine.limits.openai_windows  # the document has one window only
    violation = batch_create_violation(body | {"completion_window": "24h" if is_taken else window})
    if violation is not None:
        raise RefusedError(400, f"Invalid '{violation.at}': {violation.message}", param=violation.at or None)
    _check_metadata(body.get("metadata"))
    expiry = body.get("output_expires_after")
    seconds = DEFAULT_EXPIRY
    if expiry is not None:
        seconds = _within_expiry(expiry["seconds"], "output_expires_after.seconds")
    wanted = Batch(
        provider="openai",
        org=call.org,
        input_file_id=body["input_file_id"],
        endpoint=body["endpoint"],
        metadata=body.get("metadata"),
        output_seconds=seconds,
        window=body["completion_window"],
    )
    batch = call.engine.create(wanted, delay=call.delay)
    return answer(_batch_object(Seen(batch, batch.created_at), new=True))


def _check_metadata(metadata: dict[str, Any] | None) -> None:
    pairs = metadata or {}
    if len(pairs) > MOST_METADATA:
        raise RefusedError(400, f"Invalid 'metadata': too many properties, at most {MOST_METADATA}.", param="metadata")
    for key, value in pairs.items():
        if len(key) > LONGEST_KEY or len(value) > LONGEST_VALUE:
            raise RefusedError(400, f"Invalid 'metadata': '{key[:64]}' or its value is too long.", param="metadata")


def retrieve(call: Call) -> Response:
    return answer(_batch_object(call.engine.batch("openai", call.org, call.id)))


def list_batches(call: Call) -> Response:
    limit = call.request.bounded("limit", 20, 100)
    page, more = _page(call.engine.batches("openai", call.org), call.request.args.get("after"), limit)
    return answer(_listing([_batch_object(call.engine.look(batch_id)) for batch_id in page], more=more))


def cancel(call: Call) -> Response:
    return answer(_batch_object(call.engine.cancel("openai", call.org, call.id)))


def _page(ids: list[str], after: str | None, limit: int) -> tuple[list[str], bool]:
    if after is not None:
        if after not in ids:
            raise RefusedError(404, f"No object found with id '{after}'.", param="after")
        ids = ids[ids.index(after) + 1 :]
    return ids[:limit], len(ids) > limit


def _listing(data: list[Json], *, more: bool) -> Json:
    first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
    return {"object": "list", "data": data, "first_id": first, "last_id": last, "has_more": more}


def _batch_object(seen: Seen, *, new: bool = False) -> Json:
    """The batch as it is shown; a new one is being validated, however soon it will be done."""
    batch = seen.batch
    phase = Phase.VALIDATING if new else seen.phase
    started = phase not in {Phase.VALIDATING, Phase.FAILED}
    finished = phase in {Phase.FINALIZING, Phase.COMPLETED, Phase.EXPIRED}
    ended = lifecycle.ends_at(batch)
    return {
        "id": batch.id,
        "object": "batch",
        "endpoint": batch.endpoint,
        "model": batch.scan.model if batch.scan else None,
        "errors": _errors(batch) if phase is Phase.FAILED else None,
        "input_file_id": batch.input_file_id,
        "completion_window": batch.window,
        "status": phase.value,
        "output_file_id": _output(batch, "output"),
        "error_file_id": _output(batch, "errors"),
        "created_at": int(batch.created_at),
        "in_progress_at": _second(lifecycle.validated_at(batch)) if started else None,
        "expires_at": int(batch.created_at + lifecycle.window_seconds(batch)),
        "finalizing_at": _second(lifecycle.finalizing_at(batch)) if finished else None,
        "completed_at": _second(ended) if phase is Phase.COMPLETED else None,
        "failed_at": _second(ended) if phase is Phase.FAILED else None,
        "expired_at": _second(ended) if phase is Phase.EXPIRED else None,
        "cancelling_at": _second(batch.cancel_at),
        "cancelled_at": _second(ended) if phase is Phase.CANCELLED else None,
        "request_counts": _counts(seen),
        "usage": _usage(batch.outcome) if batch.outcome else None,
        "metadata": batch.metadata,
    }


def _errors(batch: Batch) -> Json:
    errors = batch.scan.errors if batch.scan else ()
    data = [{"code": each.code, "message": each.message, "param": each.param, "line": each.line} for each in errors]
    return {"object": "list", "data": data}


def _output(batch: Batch, name: str) -> str | None:
    if batch.outcome is None or batch.shape.files == "none":
        return None
    size = batch.outcome.output_bytes if name == "output" else batch.outcome.error_bytes
    return output_file_id(batch, name) if size or batch.shape.files == "both" else None


def _counts(seen: Seen) -> Json:
    """As shown: requests whose results were lost count as completed."""
    batch = seen.batch
    outcome = batch.outcome
    if outcome is not None:
        return {"total": batch.total, "completed": outcome.succeeded + outcome.lost, "failed": outcome.errored}
    if batch.scan is None or lifecycle.failed(batch):
        return {"total": 0, "completed": 0, "failed": 0}
    at = seen.at if batch.cancel_at is None else batch.cancel_at
    return {"total": batch.total, "completed": int(batch.total * lifecycle.progress(batch, at)), "failed": 0}


def _usage(outcome: Outcome) -> Json:
    return {
        "input_tokens": outcome.input_tokens,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": outcome.output_tokens,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": outcome.input_tokens + outcome.output_tokens,
    }


def _second(at: float | None) -> int | None:
    return None if at is None or at == float("inf") else int(at)


OPERATIONS: dict[str, Callable[[Call], Response]] = {
    "upload": upload,
    "file_list": file_list,
    "file_retrieve": file_retrieve,
    "delete": delete,
    "results": results,
    "create": create,
    "list": list_batches,
    "retrieve": retrieve,
    "cancel": cancel,
    realtime.OPERATION: realtime.answer_now,
}
