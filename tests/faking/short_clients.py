"""Clients of boto3 whose usual calls go from botocore's checks of arguments straight to moto's models.

What botocore does besides (endpoints, headers, signing, hundreds of listeners) takes it half a millisecond a call. A
client that a test listens at is botocore's own from then on.
"""

from copy import copy
from functools import cache, partial
from typing import Any

import boto3
from botocore.validate import validate_parameters

from faking.moto_models import USUAL_CALLS, answer_of

REGION = "us-east-1"


@cache
def common_client(service: str) -> Any:
    """One for all clouds: a client takes as long to make as a step to run."""
    return boto3.client(service, region_name=REGION)


def short_client(service: str) -> Any:
    """A client for one cloud: the one for all, until a test listens at it."""
    common = common_client(service)
    made = object.__new__(type(common))
    made.__dict__ |= common.__dict__ | {"meta": copy(common.meta), "_make_api_call": partial(_call, common)}
    made.meta.events = _Listeners(made)
    return made


class _Listeners:
    """Stands for a client's listeners until somebody asks for them, which are its own then: copies take 2 ms."""

    def __init__(self, client: Any) -> None:
        self._client = client

    def __getattr__(self, name: str) -> Any:
        client = self._client
        if client.meta.events is self:
            client.meta.events = copy(common_client(client.meta.service_model.service_name).meta.events)
            del client._make_api_call  # noqa: SLF001 - where boto3's own stubber reaches in
        return getattr(client.meta.events, name)


def _call(common: Any, operation: str, arguments: dict[str, Any]) -> dict[str, Any]:
    found = _short_answer(common, operation, {**arguments}) if operation in USUAL_CALLS else None
    if found is None:
        return common._make_api_call(operation, arguments)  # type: ignore[no-any-return]  # noqa: SLF001 - the long way
    if "Error" in found:
        raise common.exceptions.from_code(found["Error"]["Code"])(found, operation)
    return found


def _short_answer(common: Any, operation: str, arguments: dict[str, Any]) -> dict[str, Any] | None:
    """What the model says of arguments that botocore has looked at, and changed, as it does in any call."""
    model = common.meta.service_model.operation_model(operation)
    checked = common._emit_api_params(api_params=arguments, operation_model=model, context={})  # noqa: SLF001 - as above
    validate_parameters(checked, model.input_shape)
    return answer_of(operation, checked, REGION)
