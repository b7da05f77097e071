"""One request, in a batch or at real time: is it taken, and what is its answer? The same for both."""

from provider_simulator import answers, anthropic_rules, openai_rules
from provider_simulator.errors import RefusedError
from provider_simulator.facts import UNKNOWN_MODEL, Json, Style, Terms
from provider_simulator.instances import SchemaError
from provider_simulator.vendor_schemas import Violation, first_violation

NO_SAMPLING_SINCE = "2026-10-21"  # Anthropic's API version that refuses temperature, top_p and top_k
SAMPLING = ("temperature", "top_p", "top_k")


def answer_to(terms: Terms, body: Json, *, created: int, style: Style) -> Json:
    """The provider's body of the answer.

    Raises:
        RefusedError: 400, or 404 for a model that does not exist.
    """
    _refuse(terms, body)
    try:
        return answers.respond(terms.endpoint, body, created=created, style=style)
    except SchemaError as error:
        raise RefusedError(400, f"Invalid schema: {error}") from None


def _refuse(terms: Terms, body: Json) -> None:
    endpoint = terms.endpoint
    if terms.provider == "anthropic":
        _refuse_at_anthropic(terms, body)
        endpoint = f"beta:{endpoint}" if terms.betas else endpoint
    violation = first_violation(endpoint, body)
    if violation is None:
        _refuse_by_rules(terms, body)
        return
    if terms.provider == "openai":
        raise _openai_violation(violation)
    message = "Extra inputs are not permitted" if violation.unknown else violation.message
    raise RefusedError(400, f"{violation.at}: {message}" if violation.at else message)


def _refuse_by_rules(terms: Terms, body: Json) -> None:
    if terms.provider == "anthropic":
        said = anthropic_rules.refusal(body)
        if said is not None:
            raise RefusedError(400, said)
        return
    broken = openai_rules.refusal(terms.endpoint, body)
    if broken is not None:
        raise RefusedError(400, broken.message, code=broken.code, param=broken.param)


def _openai_violation(violation: Violation) -> RefusedError:
    param = violation.at or None
    if violation.unknown:
        return RefusedError(400, f"Unknown parameter: '{param}'.", code="unknown_parameter", param=param)
    return RefusedError(400, f"Invalid value for '{param}': {violation.message}", code="invalid_value", param=param)


def _refuse_at_anthropic(terms: Terms, params: Json) -> None:
    model = params.get("model")
    if isinstance(model, str) and model.endswith(UNKNOWN_MODEL):
        raise RefusedError(404, f"model: {model}")
    if params.get("stream"):
        raise RefusedError(400, "stream: streaming is not supported")
    if "speed" in params:
        raise RefusedError(400, "speed: not supported")
    if "max_tokens" not in params:
        raise RefusedError(400, "max_tokens: Field required")
    if params["max_tokens"] == 0:
        raise RefusedError(400, "max_tokens: must be greater than 0")
    sampling = next((name for name in SAMPLING if name in params), None)
    if sampling and terms.api_version >= NO_SAMPLING_SINCE:
        raise RefusedError(400, f"{sampling}: not supported since {NO_SAMPLING_SINCE}")
