"""Requests that are answered at once, at both vendors, each charged by itself, at the standard rate."""

from werkzeug.wrappers import Response

from provider_simulator import answers, one_request, scan
from provider_simulator.errors import RefusedError
from provider_simulator.facts import UNKNOWN_MODEL, Json, RealtimeCharge, Style, Terms
from provider_simulator.wire import Call, SpooledRequest, answer

OPERATION = "realtime"
_CUT = {  # why an answer ends that is cut off, in each endpoint's words
    "/v1/chat/completions": "length",
    "/v1/responses": "max_output_tokens",
    "/v1/messages": "max_tokens",
}


def answer_now(call: Call) -> Response:
    """The answer that the same body gets in a batch; it is charged before it is given.

    Raises:
        RefusedError: 400 and 404 as for a batch's lines, 413, 429 above a limit. Nothing was charged.
    """
    terms, body, now = _terms(call), _body(call), call.engine.now()
    style = Style(stop=call.stop, misfits=call.misfits, service_tier="standard")
    given = one_request.answer_to(terms, body, created=int(now), style=style)
    input_tokens, output_tokens = answers.usage_of(given)
    charge = RealtimeCharge(
        provider=call.provider,
        org=call.org,
        at=now,
        body_key=answers.body_key(body),
        input_tokens=input_tokens,
        output_tokens=output_tokens,
    )
    headers = call.engine.rates.charge(charge, call.engine.limits)
    response = answer(given)
    response.headers.update(headers)
    return response


def cut_stop(call: Call) -> str | None:
    """Return why the answer to this call would end if it were cut off; None for vectors."""
    return _CUT.get(_endpoint(call))


def canonical_body(request: SpooledRequest) -> bytes:
    """Return the bytes that faults match: the same for any spelling of the same request."""
    raw = request.get_data()
    try:
        return answers.canonical(scan.decode(raw))
    except ValueError:
        return raw


def _endpoint(call: Call) -> str:
    return call.request.path.removeprefix(f"/{call.provider}")


def _terms(call: Call) -> Terms:
    headers = call.request.headers
    version, betas = headers.get("anthropic-version", ""), "anthropic-beta" in headers
    return Terms(call.provider, _endpoint(call), api_version=version, betas=betas)


def _body(call: Call) -> Json:
    if call.provider == "anthropic" and (call.request.content_length or 0) > call.engine.limits.anthropic_message_bytes:
        raise RefusedError(413, "Request exceeds the maximum size")
    body = call.request.json()
    if body.get("stream"):
        raise RefusedError(400, "stream: this simulator streams no answers; leave it out", param="stream")
    if call.provider == "openai":
        _check_model(body.get("model"))
    return body


def _check_model(model: object) -> None:
    if not isinstance(model, str):
        raise RefusedError(
            400, "Missing required parameter: 'model'.", code="missing_required_parameter", param="model"
        )
    if model.endswith(UNKNOWN_MODEL):
        message = f"The model `{model}` does not exist or you do not have access to it."
        raise RefusedError(404, message, code="model_not_found")
