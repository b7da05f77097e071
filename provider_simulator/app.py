"""The simulator: one WSGI application over one engine, and the same controls as methods and as `/control/…`."""

import hashlib
import tempfile
import time
from collections.abc import Callable, Iterable
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from werkzeug.routing import Map, Rule
from werkzeug.wrappers import Response

from provider_simulator import anthropic_api, charges, dialects, openai_api, realtime
from provider_simulator.compression import compressed, encoded
from provider_simulator.engine import Engine
from provider_simulator.errors import RefusedError
from provider_simulator.facts import Json, Limits, ProviderName, Shape
from provider_simulator.faults import Fault, Faults
from provider_simulator.shape_rules import ShapeRule
from provider_simulator.store import Store
from provider_simulator.wire import (
    WAIT,
    Call,
    DroppedError,
    SilenceError,
    SpooledRequest,
    answer,
    cut,
    in_charset,
    with_status,
)

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

PROVIDERS: dict[str, Any] = {"openai": openai_api, "anthropic": anthropic_api}
PREFIXES = {"openai": "/openai/v1", "anthropic": "/anthropic"}


@cache
def _routes() -> Map:
    rules = [Rule("/control/<name>", endpoint=("control", ""))]
    for provider, api in PROVIDERS.items():
        for path, method, operation in api.ROUTES:
            rules.append(Rule(PREFIXES[provider] + path, methods=[method], endpoint=(provider, operation)))
    return Map(rules)


class Simulator:
    """Both providers in one object: call it as a WSGI application, and control it by its methods.

    Args:
        data: Folder that holds everything; a second simulator on the same folder goes on where the first stopped.
            Without it, a temporary folder that goes with the simulator.
        clock: Seconds since the epoch; `advance` adds to it.
        seconds_to_complete: How long a batch takes unless a shape says otherwise.
        wait: Lets the seconds pass that an answer is slow; without it, `advance` does. On a socket they really pass.
    """

    def __init__(
        self,
        *,
        data: Path | None = None,
        clock: Callable[[], float] = time.time,
        seconds_to_complete: float = 0.0,
        wait: Callable[[float], object] | None = None,
    ) -> None:
        self._temporary = None if data else tempfile.TemporaryDirectory(prefix="provider-simulator-")
        self._store = Store(data or Path(self._temporary.name if self._temporary else ""))
        self.engine = Engine(self._store, clock=clock, seconds_to_complete=seconds_to_complete)
        self._faults = Faults(self._store)
        self._wait = wait or self.advance
        self._controls: dict[tuple[str, str], Callable[..., Any]] = {
            ("POST", "faults"): self.fault,
            ("DELETE", "faults"): self.clear_faults,
            ("POST", "shape"): self.shape,
            ("POST", "enqueued_limit"): self.enqueued_limit,
            ("POST", "limits"): self.limits,
            ("POST", "ids"): self.ids,
            ("POST", "advance"): self.advance,
            ("POST", "reset"): self.reset,
            ("GET", "charges"): self.charges,
            ("GET", "charges_by_body"): self.charges_by_body,
            ("GET", "batches"): self.batches,
            ("GET", "state"): self.state,
        }

    def close(self) -> None:
        self._store.close()
        if self._temporary:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # --- controls ---

    def fault(self, fault: str, **settings: Any) -> None:
        """Let calls go wrong: `fault("reply_lost", provider="openai", operation="create", times=1)`."""
        self._faults.add(msgspec.convert({"fault": fault, **settings}, Fault))

    def shape(
        self,
        *,
        provider: ProviderName | None = None,
        model: str | None = None,
        times: int | None = None,
        **settings: Any,
    ) -> None:
        """Let the batches to come go another way: `shape(model="gpt-*", expire_fraction=0.5, times=1)`."""
        failing = settings.get("failing")
        if isinstance(failing, dict):
            settings["failing"] = [failing]
        if unknown := settings.keys() - set(Shape.__struct_fields__):
            raise msgspec.ValidationError(f"Unknown settings of a shape: {', '.join(sorted(unknown))}")
        msgspec.convert(settings, Shape)
        rule = {"provider": provider, "model": model, "times": times, "shape": settings}
        self.engine.add_shape(msgspec.convert(rule, ShapeRule))

    def clear_faults(self) -> None:
        """No faults, no shapes, no limits and ids but the vendors'."""
        self._faults.clear()
        for name, empty in (("shapes", []), ("enqueued_limits", {}), ("limits", Limits()), ("ids", {})):
            self._store.set(name, empty)

    def enqueued_limit(self, model: str, tokens: int | None) -> None:
        """The enqueued tokens that OpenAI allows for a model (a pattern); None: no limit."""
        limits: dict[str, int] = self._store.setting("enqueued_limits", dict[str, int], {})
        limits.pop(model, None)
        self._store.set("enqueued_limits", limits if tokens is None else {model: tokens, **limits})

    def limits(self, **changes: int | None) -> None:
        """Lower the vendors' limits: `limits(openai_requests=10)`."""
        self._store.set("limits", msgspec.convert(msgspec.structs.asdict(self.engine.limits) | changes, Limits))

    def ids(self, provider: ProviderName, prefix: str) -> None:
        """Let every id that is shown begin with this, and be asked for by it; empty: no more."""
        self._store.set("ids", self._prefixes() | {provider: prefix})

    def _prefixes(self) -> dict[ProviderName, str]:
        return self._store.setting("ids", dict[ProviderName, str], {})

    def advance(self, seconds: float) -> float:
        """Move the clock forward; returns the new time."""
        return self.engine.advance(seconds)

    def reset(self) -> None:
        """As new."""
        self.engine.reset()

    def charges(self) -> Json:
        """Return the bill, and the charges that should not be on it (see `charges`)."""
        return charges.charges(self.engine)

    def charges_by_body(self) -> Json:
        """How often each request's body was charged, in batches and at real time; `answers.body_name` is its name."""
        return charges.charges_by_body(self.engine)

    def batches(self) -> list[Json]:
        """Every batch there was, oldest first, as an operator of the provider would see it."""
        return charges.batches(self.engine)

    def state(self) -> Json:
        """The clock and the controls that are set."""
        return {
            "now": self.engine.now(),
            "seconds_to_complete": self.engine.seconds_to_complete,
            "faults": msgspec.to_builtins(self._faults.pending()),
            "shapes": self._store.setting("shapes", list[Json], []),
            "enqueued_limits": self._store.setting("enqueued_limits", dict[str, int], {}),
            "limits": msgspec.to_builtins(self.engine.limits),
            "ids": self._prefixes(),
        }

    # --- the wire ---

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        path = environ["PATH_INFO"]
        prefix = next((each for name, each in self._prefixes().items() if path.startswith(PREFIXES[name])), "")
        if prefix:
            dialects.without_ids(environ, prefix)
        if "chunked" in environ.get("HTTP_TRANSFER_ENCODING", "").lower():
            return _length_required(path)(environ, start_response)
        request = SpooledRequest(environ)
        request.spool, request.id_prefix = self._store.spool(), prefix
        try:
            response = self._respond(request)
            return response(environ, start_response)
        finally:
            self._forget_uploads(request)

    def _forget_uploads(self, request: SpooledRequest) -> None:
        """Delete uploads that were spooled and not taken."""
        for sent in request.__dict__.get("files", {}).values():
            sent.close()
            Path(sent.stream.name).unlink(missing_ok=True)

    def _respond(self, request: SpooledRequest) -> Response:
        try:
            (provider, operation), values = _routes().bind_to_environ(request.environ).match()
        except HTTPException as error:
            request.drain()
            return _unknown(request, error)
        if provider == "control":
            return self._control(request, values["name"])
        number = self._store.count(f"{provider}.{operation}")
        request_id = "req_" + hashlib.sha256(f"{provider}.{operation}.{number}".encode()).hexdigest()[:24]
        call = Call(self.engine, request, provider, operation, request_id, values.get("id", ""))
        fault = self._faults.strike(provider, operation, cache(partial(_matched_body, request, operation)))
        response = self._struck(call, fault)
        if request.id_prefix:
            dialects.with_ids(response, request.id_prefix)
        response.headers["x-request-id" if provider == "openai" else "request-id"] = request_id
        return compressed(response, request) if fault is None else response

    def _struck(self, call: Call, fault: Fault | None) -> Response:
        """The answer, or what the fault makes of it."""
        if fault is None:
            return _served(call)
        match fault.fault:
            case "connection_reset":
                raise DroppedError("before anything was done")
            case "status":
                call.request.drain()
                return in_charset(_refusal(call, _refused_by(fault)), fault.charset)
            case "garbage":
                call.request.drain()
                return Response("<html><body>This is not what you asked for.</body></html>", content_type="text/html")
            case "late":
                if call.operation == "create":
                    _served(call._replace(delay=fault.seconds))
                raise DroppedError("long before it arrived")
            case "reply_lost":
                _served(call).close()
                raise DroppedError("after everything was done")
            case "timeout":
                _served(call).close()
                self._let_pass(call.request, fault.seconds)
                raise SilenceError("after everything was done")
            case "slow":
                self._let_pass(call.request, fault.seconds)
                return _served(call)
            case _:
                return _spoilt(call, fault)

    def _let_pass(self, request: SpooledRequest, seconds: float) -> None:
        if seconds:
            request.environ.get(WAIT, self._wait)(seconds)

    def _control(self, request: SpooledRequest, name: str) -> Response:
        control = self._controls.get((request.method, name))
        if control is None:
            return answer({"error": f"{request.method} means nothing here."}, 405)
        try:
            settings = request.json() if request.get_data() else {}
            done = control(**settings)
        except (msgspec.ValidationError, RefusedError, TypeError) as error:
            return answer({"error": str(error)}, 400)
        return answer(done if request.method == "GET" else self.state())


def _matched_body(request: SpooledRequest, operation: str) -> bytes | None:
    """Return where faults look for their `match`: in real-time calls alone."""
    return realtime.canonical_body(request) if operation == realtime.OPERATION else None


def _served(call: Call) -> Response:
    api = PROVIDERS[call.provider]
    try:
        org = "org-" + hashlib.sha256(api.key_of(call.request).encode()).hexdigest()[:24]
        response: Response = api.OPERATIONS[call.operation](call._replace(org=org))
    except RefusedError as refused:
        response = _refusal(call, refused)
    call.request.drain()
    return response


def _spoilt(call: Call, fault: Fault) -> Response:
    if fault.fault == "stopped":
        call = call._replace(stop=fault.stop or realtime.cut_stop(call))
    response = _served(call._replace(misfits=fault.fault == "misfit"))
    match fault.fault:
        case "unknown_status":
            return with_status(response, fault.message or "resting")
        case "rewritten":
            return dialects.rewritten(response, fault.values, fault.without)
        case "not_found_as" if response.status_code == 404:  # noqa: PLR2004 - what the fault is about
            return _refusal(call, _refused_by(fault))
        case "cut":
            return cut(response, fault.bytes)
        case "compressed" if response.status_code == 200:  # noqa: PLR2004 - an error is never asked to be compressed
            return encoded(response, fault.encoding)
        case _:
            return response


def _refused_by(fault: Fault) -> RefusedError:
    message = fault.message or f"This call was made to fail with {fault.code}."
    return RefusedError(fault.code, message, kind=fault.type, code=fault.error_code).after(fault.retry_after)


def _refusal(call: Call, refused: RefusedError) -> Response:
    response = answer(refused.body(call.provider, call.request_id), refused.status)
    response.headers.update(refused.headers)
    if refused.retry_after is not None:
        response.headers["retry-after"] = f"{refused.retry_after:g}"
    return response


def _length_required(path: str) -> Response:
    """A body in chunks is not taken, and not read: the connection ends."""
    provider: ProviderName = "anthropic" if path.startswith(PREFIXES["anthropic"]) else "openai"
    refused = RefusedError(411, "A body needs a Content-Length; it may not be chunked.")
    response = answer(refused.body(provider, "req_unknown"), refused.status)
    response.headers["Connection"] = "close"
    return response


def _unknown(request: SpooledRequest, error: HTTPException) -> Response:
    provider: ProviderName = "anthropic" if request.path.startswith(PREFIXES["anthropic"]) else "openai"
    status = 405 if isinstance(error, MethodNotAllowed) else 404
    message = f"Unknown request URL: {request.method} {request.path}."
    return answer(RefusedError(status, message, code="unknown_url").body(provider, "req_unknown"), status)
