"""One input line: its form, its route, its body byte for byte, or its error."""

import itertools
import json
from collections.abc import Callable
from typing import Any, get_args, get_type_hints

import anthropic.types.beta.message_create_params as beta_messages
import anthropic.types.message_create_params as messages
import pytest
from anthropic.types.beta.beta_content_block_param import BetaContentBlockParam as BetaRequestContentBlockParam
from anthropic.types.beta.beta_tool_union_param import BetaToolUnionParam
from anthropic.types.content_block_param import ContentBlockParam
from anthropic.types.tool_union_param import ToolUnionParam
from batchdrop.inputs.request_lines import LineError, LineReader, Request, is_blank
from batchdrop.protocols import anthropic, claude_betas, openai
from batchdrop.providers import config
from batchdrop.providers.config import Providers, parse_providers
from batchdrop.result_line import ErrorCode
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

CHAT = {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "Hi"}]}
CLAUDE = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "Hi"}]}
NULL = Raw(b"null")
HEADER = "it looks like a header or plain text: remove the line"
NATIVE = '{"custom_id", "method", "url", "body"}, {"custom_id", "params"} or a bare body'


def read(line: object, providers: Providers, *, api_version: str | None = None) -> Request | LineError:
    text = line if isinstance(line, bytes) else json.dumps(line).encode()
    return LineReader(providers, api_version=api_version).read(text)


def request(line: object, providers: Providers) -> Request:
    found = read(line, providers)
    assert isinstance(found, Request), found
    return found


def code(line: object, providers: Providers, *, api_version: str | None = None) -> tuple[str, str]:
    found = read(line, providers, api_version=api_version)
    assert isinstance(found, LineError), found
    return found.code, found.message


def openai_line(body: Any, url: str = "/v1/chat/completions", **more: object) -> dict[str, Any]:
    return {"custom_id": "r-1", "method": "POST", "url": url, "body": body, **more}


# The three forms


def test_openais_form_is_read(providers: Providers) -> None:
    line = (
        b'{"custom_id":"r-1","method":"POST","url":"/v1/chat/completions","body": {"model":"gpt-4o","messages":[1]} }'
    )
    assert read(line, providers) == Request(
        provider="openai",
        endpoint="/v1/chat/completions",
        model="gpt-4o",
        wire_model="gpt-4o",
        custom_id=Raw(b'"r-1"'),
        body=Raw(b'{"model":"gpt-4o","messages":[1]}'),
        inputs=0,
    )


def test_anthropics_form_is_read(providers: Providers) -> None:
    line = b'{"params":{"model":"claude-x","max_tokens":1,"messages":[1]},"custom_id":{"any":"value"}}'
    assert read(line, providers) == Request(
        provider="anthropic",
        endpoint="/v1/messages",
        model="claude-x",
        wire_model="claude-x",
        custom_id=Raw(b'{"any":"value"}'),
        body=Raw(b'{"model":"claude-x","max_tokens":1,"messages":[1]}'),
        inputs=0,
    )


def test_a_bare_body_is_read(providers: Providers) -> None:
    line = b' {"messages" : [1], "model":"claude-x","max_tokens":7 }\t'
    assert read(line, providers) == Request(
        provider="anthropic",
        endpoint="/v1/messages",
        model="claude-x",
        wire_model="claude-x",
        custom_id=NULL,
        body=Raw(line),
        inputs=0,
    )


def test_a_messages_url_with_a_claude_body_is_native(providers: Providers) -> None:
    assert request(openai_line(CLAUDE, "/v1/messages"), providers).endpoint == "/v1/messages"


@pytest.mark.parametrize("custom_id", [b"5", b"1e300", b'"\\u00e9"', b"[1, 2]", b"null", b'{"a" : 1}', b"true"])
def test_a_custom_id_is_any_json_value_as_it_was_written(custom_id: bytes, providers: Providers) -> None:
    line = b'{"custom_id": %b ,"params":{"model":"claude-x","max_tokens":1,"messages":[1]}}' % custom_id
    assert bytes(request(line, providers).custom_id) == custom_id


def test_a_line_without_a_method_is_a_post(providers: Providers) -> None:
    assert request({"url": "/v1/chat/completions", "body": CHAT}, providers).custom_id == NULL


@pytest.mark.parametrize(
    ("bare", "endpoint"),
    [
        ({"model": "gpt-4o", "messages": [1]}, "/v1/chat/completions"),
        ({"model": "o3-mini", "messages": [1]}, "/v1/chat/completions"),
        ({"model": "gpt-5", "input": "x"}, "/v1/responses"),
        ({"model": "o3", "input": [{"role": "user"}]}, "/v1/responses"),
        ({"model": "text-embedding-3-small", "input": "x"}, "/v1/embeddings"),
        ({"model": "omni-moderation-latest", "input": "x"}, "/v1/moderations"),
        ({"model": "gpt-3.5-turbo-instruct", "prompt": "x"}, "/v1/completions"),
        ({"model": "dall-e-3", "prompt": "x"}, "/v1/images/generations"),
        ({"model": "sora-2", "prompt": "x"}, "/v1/videos"),
    ],
)
def test_a_bare_body_goes_where_its_content_and_model_say(
    bare: dict[str, Any], endpoint: str, providers: Providers
) -> None:
    assert request(bare, providers).endpoint == endpoint


@pytest.mark.parametrize(
    "bare", [{"model": "ft:x", "input": "x"}, {"model": "gpt-4o"}, {"model": "gpt-4o", "prompt": 1}]
)
def test_a_bare_body_that_does_not_tell_its_endpoint_is_shown_the_first_form(
    bare: dict[str, Any], providers: Providers
) -> None:
    assert code(bare, providers) == (
        "ambiguous_endpoint",
        'the body does not determine its endpoint: write {"custom_id", "method": "POST", "url": "/v1/…", "body": {…}}',
    )


FOREIGN = [
    ({"input": "x"}, '"input" is OpenAI\'s'),
    ({"max_completion_tokens": 5}, '"max_completion_tokens" is OpenAI\'s'),
    ({"response_format": {}}, '"response_format" is OpenAI\'s'),
    ({"n": 2}, '"n" is OpenAI\'s'),
    ({"stop": "x"}, '"stop" is OpenAI\'s'),
    ({"messages": [{"role": "developer", "content": "x"}]}, 'a message of role "developer" is OpenAI\'s'),
    ({"messages": [{"role": "tool", "content": "x"}]}, 'a message of role "tool" is OpenAI\'s'),
    (
        {"messages": [{"role": "assistant", "content": None, "tool_calls": []}]},
        'a message of role "assistant" is OpenAI\'s',
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]},
        'a part of type "image_url" is OpenAI\'s',
    ),
]


@pytest.mark.parametrize(("content", "finding"), FOREIGN)
def test_a_bare_claude_body_with_openais_content_is_refused_with_what_it_is(
    content: dict[str, Any], finding: str, providers: Providers
) -> None:
    assert code(CLAUDE | content, providers) == (
        "ambiguous_endpoint",
        (
            f"{finding}: a bare Claude body is a Messages body; for OpenAI's form write "
            '{"custom_id", "method": "POST", "url": "/v1/chat/completions", "body": {…}}'
        ),
    )


def test_the_envelope_decides_so_a_claude_body_in_its_own_form_is_not_searched_for_openais(
    providers: Providers,
) -> None:
    assert request({"params": CLAUDE | {"stop": ["x"]}}, providers).endpoint == "/v1/messages"


# Null is absent: frames (pandas, polars, Spark) write every column of every row

NULL_COLUMNS = ("custom_id", "method", "url", "body", "params", "model")
IN_FORMS: dict[str, tuple[dict[str, Any], str]] = {
    "openai": ({"url": "/v1/chat/completions", "body": CHAT}, "/v1/chat/completions"),
    "anthropic": ({"params": CLAUDE}, "/v1/messages"),
    "bare chat": (CHAT, "/v1/chat/completions"),
    "bare claude": (CLAUDE, "/v1/messages"),
    "bare input": ({"model": "text-embedding-3-small", "input": "x"}, "/v1/embeddings"),
    "bare responses": ({"model": "gpt-5", "input": "x"}, "/v1/responses"),
    "bare prompt": ({"model": "dall-e-3", "prompt": "x"}, "/v1/images/generations"),
}
SUBSETS = [names for size in range(len(NULL_COLUMNS) + 1) for names in itertools.combinations(NULL_COLUMNS, size)]


@pytest.mark.parametrize("form", IN_FORMS)
def test_a_null_column_of_the_envelope_is_absent_in_any_combination(form: str, providers: Providers) -> None:
    line, endpoint = IN_FORMS[form]
    body = next((line[name] for name in ("body", "params") if name in line), line)
    for names in SUBSETS:
        found = request(dict.fromkeys(names) | line, providers)
        assert (found.endpoint, found.custom_id) == (endpoint, NULL)
        assert bytes(found.body) == json.dumps(body).encode() or json.loads(bytes(found.body)) == body


@pytest.mark.parametrize("form", [form for form in IN_FORMS if form.startswith("bare")])
def test_a_null_that_would_tell_another_endpoint_is_absent_and_not_sent(form: str, providers: Providers) -> None:
    line, endpoint = IN_FORMS[form]
    for name in ("messages", "input", "prompt"):
        found = request({name: None} | line, providers)
        assert (found.endpoint, json.loads(bytes(found.body))) == (endpoint, line)


def test_a_null_column_of_openais_is_taken_out_of_a_bare_claude_line(providers: Providers) -> None:
    found = request(dict.fromkeys(anthropic.FOREIGN_PARAMETERS) | CLAUDE, providers)
    assert (found.endpoint, json.loads(bytes(found.body))) == ("/v1/messages", CLAUDE)


NULLS = ["temperature", "top_p", "seed", "system", "dimensions", "thinking", "timeout", "extra_body", "stop", "tools"]


@pytest.mark.parametrize("form", IN_FORMS)
def test_columns_that_are_null_are_sent_in_no_form(form: str, providers: Providers) -> None:
    line, endpoint = IN_FORMS[form]
    name = next((name for name in ("body", "params") if name in line), None)
    body = line if name is None else line[name]
    nulls = dict.fromkeys(name for name in NULLS if name not in body)
    found = request(nulls | body if name is None else line | {name: body | nulls}, providers)
    assert (found.endpoint, json.loads(bytes(found.body))) == (endpoint, body)


def test_a_null_within_a_value_is_sent_as_it_is(providers: Providers) -> None:
    body = b'{ "model":"gpt-4o","messages":[{"role":"assistant","content" : null}],"metadata":{"a":null}}'
    assert bytes(request(body, providers).body) == body


def test_null_is_no_parameter_that_a_vendor_refuses(providers: Providers) -> None:
    line = CLAUDE | dict.fromkeys(["speed", "temperature", "top_p", "top_k", "betas", "mcp_servers"])
    assert isinstance(read(line, providers, api_version="2026-10-21"), Request)


# Where a line goes

TWO = """
[providers.openai]
protocol = "openai"
base_url = "https://one"
secret = "one"
models = ["gpt-*"]
[providers.groq]
protocol = "openai"
base_url = "https://two"
secret = "two"
models = ["gpt-oss-*", "llama-[0-9]"]
"""


@pytest.mark.parametrize(
    ("model", "provider", "wire"),
    [
        ("gpt-4o", "openai", "gpt-4o"),
        ("gpt-oss-1", "openai", "gpt-oss-1"),  # the first pattern that fits, in the order of the file
        ("llama-3", "groq", "llama-3"),
        ("groq/openai/gpt-oss-120b", "groq", "openai/gpt-oss-120b"),  # only the first segment is taken off
        ("groq/anything", "groq", "anything"),
        ("openai/claude-x", "openai", "claude-x"),
        ("gpt-4/x", "openai", "gpt-4/x"),  # `gpt-4` is no provider: the pattern decides
    ],
)
def test_the_provider_follows_from_the_model(model: str, provider: str, wire: str) -> None:
    found = request(openai_line({"model": model, "messages": [1]}), parse_providers(TWO))
    assert (found.provider, found.model, found.wire_model, json.loads(bytes(found.body))["model"]) == (
        provider,
        model,
        wire,
        wire,
    )


def test_a_model_that_fits_nothing_is_told_how_to_name_a_provider() -> None:
    assert read(openai_line({"model": "phi-4", "messages": [1]}), parse_providers(TWO)) == LineError(
        code=ErrorCode.UNKNOWN_MODEL,
        message='model "phi-4" fits no provider\'s patterns; write "<provider>/phi-4" (configured: openai, groq)',
        custom_id=Raw(b'"r-1"'),
        model="phi-4",
    )


def test_a_prefix_that_is_no_provider_is_named() -> None:
    assert read(openai_line({"model": "grok/x", "messages": [1]}), parse_providers(TWO)) == LineError(
        code=ErrorCode.UNKNOWN_PROVIDER,
        message='model "grok/x": no provider is named "grok" and no pattern fits; configured: openai, groq',
        custom_id=Raw(b'"r-1"'),
        model="grok/x",
    )


def test_a_models_name_is_case_sensitive(providers: Providers) -> None:
    assert code({"model": "GPT-4o", "messages": [1]}, providers)[0] == "unknown_model"


def test_a_very_long_model_is_refused_without_being_quoted(providers: Providers) -> None:
    found = read({"model": "gpt-" + "x" * 5_000, "messages": [1]}, providers)
    assert isinstance(found, LineError)
    assert (found.code, found.message, found.model) == (
        "invalid_parameter",
        '"model" is 5,004 bytes long; at most 256 are accepted',
        None,
    )


# Bodies travel byte for byte

plain_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
space = st.text(" \t\r", max_size=2)
number = st.sampled_from(["1E5", "1.0", "-0", "0.10e-3", "1e300", "100000000000000000000000000000000001"])


@st.composite
def written(draw: st.DrawFn) -> bytes:
    """A JSON value as somebody may write it: spaces, escapes and numbers of every kind."""
    value = draw(plain_json)
    text = draw(
        st.one_of(
            st.just(json.dumps(value, ensure_ascii=draw(st.booleans()))),
            st.just(json.dumps(value, ensure_ascii=False, separators=(" , ", " : "))),
            number,
            st.just('"\\u0041\\/\\ud83d\\ude00\\u2028 "'),
            st.just('"\u2028\u2029\u0085\u000b😀"'.replace("\u000b", "")),
        )
    )
    try:
        return (draw(space) + text + draw(space)).encode()
    except UnicodeEncodeError:  # a lone surrogate is no UTF-8
        return b"1"


def is_not_null(value: bytes) -> bool:
    return value.strip() != b"null"


repeated = st.sampled_from([b'{"b":1,"a":2,"b":3}', b'[{"a": {"" : 1, "":2}}]', b'{"\\u0061":1,"a":1}'])


def members(head: bytes, extra: list[bytes]) -> bytes:
    return b"{" + b",".join([head, *(b'"x%d":%b' % (number, each) for number, each in enumerate(extra))]) + b"}"


@given(st.lists(written().filter(is_not_null), max_size=4), st.booleans())
def test_a_body_travels_byte_for_byte(extra: list[bytes], is_claude: bool) -> None:  # noqa: FBT001 - drawn
    head = (
        b'"max_tokens" : 5, "model":"claude-x","messages":[ 1]' if is_claude else b'"model":"gpt-4o", "messages":[1 ]'
    )
    body = members(head, extra)
    url = b"/v1/messages" if is_claude else b"/v1/chat/completions"
    forms = [body, b'{"url":"%b","body":%b}' % (url, body)] + [b'{"params": %b}' % body] * is_claude
    assert [bytes(request(form, PROJECT).body) for form in forms] == [body] * len(forms)


@given(st.lists(written().filter(is_not_null), max_size=4))
def test_taking_off_a_prefix_or_a_custom_id_leaves_every_other_value_byte_for_byte(extra: list[bytes]) -> None:
    line = members(b'"model":"openai/gpt-4o","custom_id":"r" ,"messages":[ 1 ]', extra)
    whole = b'{"model":"gpt-4o","messages":[ 1 ]%b}'
    rest = b"".join(b',"x%d":%b' % (number, each.strip(b" \t\r")) for number, each in enumerate(extra))
    assert bytes(request(line, PROJECT).body) == whole % rest


def in_form(form: str, body: bytes, *, is_claude: bool) -> bytes:
    if form == "bare":
        return body
    url = b"/v1/messages" if is_claude else b"/v1/chat/completions"
    return b'{"params":%b}' % body if form == "params" else b'{"custom_id":null,"url":"%b","body":%b}' % (url, body)


@given(
    st.lists(written() | st.just(b"null"), max_size=5),
    st.sampled_from([("url", False), ("url", True), ("params", True), ("bare", False), ("bare", True)]),
)
def test_a_null_parameter_is_left_out_and_every_other_value_keeps_its_bytes(
    extra: list[bytes], form: tuple[str, bool]
) -> None:
    kind, is_claude = form
    head = b'"model":"claude-x","max_tokens":5' if is_claude else b'"model":"gpt-4o"'
    body = members(head + b',"messages":[{"content":"null","x" : null} ]', extra)
    values = [(b"x%d" % number, each.strip(b" \t\r")) for number, each in enumerate(extra)]
    kept = b"".join(b',"%b":%b' % (name, value) for name, value in values if value != b"null")
    rewritten = members(head + b',"messages":[{"content":"null","x" : null} ]', [])[:-1] + kept + b"}"
    has_nulls = any(value == b"null" for _, value in values)
    sent = bytes(request(in_form(kind, body, is_claude=is_claude), PROJECT).body)
    assert sent == (rewritten if has_nulls else body)


def test_a_prefix_is_taken_off_inside_an_envelope_too(providers: Providers) -> None:
    line = (
        b'{"custom_id":"r","url":"/v1/chat/completions","body":{"custom_id":1,"model":"openai/gpt-4o","messages":[1]}}'
    )
    found = request(line, providers)
    assert bytes(found.body) == b'{"custom_id":1,"model":"gpt-4o","messages":[1]}'


def test_a_custom_id_of_null_is_taken_out_of_a_bare_body(providers: Providers) -> None:
    found = request(b'{"model":"gpt-4o","custom_id":null,"messages":[1]}', providers)
    assert (bytes(found.body), found.custom_id) == (b'{"model":"gpt-4o","messages":[1]}', NULL)


@given(st.binary(max_size=60) | st.lists(written(), max_size=3).map(lambda each: members(b'"model":"gpt-4o"', each)))
def test_no_line_stops_the_others(line: bytes) -> None:
    found = LineReader(PROJECT).read(line)
    assert isinstance(found, Request) or (found.code in ErrorCode and found.message)


# Lines that are no JSON

MARK = "a byte-order mark, which may stand only where the file begins,"
HALF = "half of a surrogate pair (a character cut in two)"
DEEP = "nested too deeply to be read: more than 500 levels"
LARGE = "not JSON for every reader: the number"


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (b"{", ("invalid_json", "not JSON: it ends in the middle")),
        (b'{"model" "x"}', ("invalid_json", "not JSON: expected ':' at byte 9")),
        (
            b"{'model': 'x'}",
            (
                "invalid_json",
                "not JSON: it is written as Python prints it, with single quotes: write it with json.dumps",
            ),
        ),
        (b'{"a":{b:1}}', ("invalid_json", "not JSON: object keys must be strings at byte 6")),
        (b'{"a":1,}', ("invalid_json", "not JSON: trailing comma in object at byte 7")),
        (b'{"a":1}{"b":2}', ("invalid_json", "not JSON: trailing characters at byte 8")),
        (b"\xef\xbb\xbf{}", ("invalid_json", f"not JSON: {MARK} at byte 0")),
        (b'{"a":NaN}', ("invalid_json", "not JSON: NaN, which is not JSON (null is), at byte 5")),
        (b'{"a":-Infinity}', ("invalid_json", "not JSON: Infinity, which is not JSON (null is), at byte 6")),
        (b'{"a":nothing}', ("invalid_json", "not JSON: invalid character at byte 6")),
        (b'{"model":"gpt-4o","messages":[01]}', ("invalid_json", "not JSON: invalid number at byte 31")),
        (b'{"a":"\\ud800\\u0041"}', ("invalid_json", f"not JSON: {HALF} at byte 18")),
        (b'{"a":"\\udc00 and more"}', ("invalid_json", f"not JSON: {HALF} at byte 12")),
        (b'{"a":"\\ud800 and more"}', ("invalid_json", f"not JSON: {HALF} at byte 12")),
        (b'{"a":"\\uD83d"}', ("invalid_json", f"not JSON: {HALF}")),
        (b'{"a":"\t"}', ("invalid_json", "not JSON: a control character that is not escaped (\\u0009) at byte 6")),
        (b'{"a":"\xff"}', ("invalid_utf8", "not UTF-8: byte 0xff at byte 6")),
        (b'{"a":"\xed\xa0\x80"}', ("invalid_utf8", "not UTF-8: byte 0xed at byte 6")),  # a surrogate, encoded
        (b'{"a":"\xe2\x82', ("invalid_utf8", "not UTF-8: byte 0xe2 at byte 6")),
        (b'{"a":' + b"[" * 200_000, ("too_deep", DEEP)),
        (b'{"a":' + b"[" * 501 + b"]" * 501 + b"}", ("too_deep", DEEP)),
        (b'{"a":[1,-1.5E+400]}', ("invalid_json", f"{LARGE} -1.5E+400 at byte 8 is too large")),
        (b'{"a":' + b"1" * 30 + b"e999}", ("invalid_json", f"{LARGE} {'1' * 20}… at byte 5 is too large")),
        (b"[1]", ("not_a_request", "not a JSON object")),
        (b'"x"', ("not_a_request", f"not a JSON object: {HEADER}")),
        (b"null", ("not_a_request", "not a JSON object")),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_line_that_is_no_json_object_says_what_is_wrong_and_where(
    line: bytes, error: tuple[str, str], providers: Providers
) -> None:
    assert code(line, providers) == error


def chat_with(value: bytes) -> bytes:
    return b'{"custom_id":7,"model":"gpt-4o","messages":[' + value + b"]}"


@pytest.mark.parametrize(
    "value",
    [
        b"1e308",
        b"0e999",
        b"0.001e310",
        b'"1e400 [[["',
        b'"\\\\"',
        b"9" * 308,
        b"-" + b"1" * 309,
        b"1" + b"0" * 5_000 + b"e-4990",
        b"0." + b"1" * 5_000,
        b'"' + b"9" * 5_000 + b'"',
        b"[" * 498 + b"]" * 498,
        b"[" + b"[],{}," * 600 + b"1]",
    ],
    ids=lambda value: repr(value)[:20],
)
@pytest.mark.parametrize("long", [b"", b'"' + b"e400[" * 300_000 + b'",'], ids=["short", "long"])
def test_what_every_reader_takes_is_sent(value: bytes, long: bytes, providers: Providers) -> None:
    assert isinstance(read(chat_with(long + value), providers), Request)


@pytest.mark.parametrize("long", [b"", b'"' + b"e400[" * 300_000 + b'",'], ids=["short", "long"])
def test_a_number_that_no_double_holds_is_refused_with_its_custom_id(long: bytes, providers: Providers) -> None:
    found = read(chat_with(long + b"1e400"), providers)
    assert isinstance(found, LineError)
    assert (found.code, bytes(found.custom_id)) == ("invalid_json", b"7")


@pytest.mark.parametrize(
    "number",
    [b"1e309", b"-2e308", b"9" * 309, b"-1" + b"0" * 400, b"9" * 5_000, b"9" * 400 + b".5", b"1" * 300 + b"E+10"],
)
@pytest.mark.parametrize("long", [b"", b'"' + b"e400[" * 300_000 + b'",'], ids=["short", "long"])
def test_one_rule_holds_for_numbers_however_they_are_written(number: bytes, long: bytes, providers: Providers) -> None:
    found = code(chat_with(long + b"[1," + number + b"]"), providers)
    shown = number.decode() if len(number) <= 23 else f"{number[:20].decode()}…"
    assert found == ("invalid_json", f"{LARGE} {shown} at byte {47 + len(long)} is too large")


@pytest.mark.parametrize(
    "custom_id", [b"9" * 5_000, b"1e400", b'{"a":[-1e999]}', b"[" * 501 + b"]" * 501], ids=["digits", "1", "2", "deep"]
)
def test_a_custom_id_that_would_spoil_the_results_is_left_out_of_them(custom_id: bytes, providers: Providers) -> None:
    found = read(b'{"custom_id":' + custom_id + b',"model":"gpt-4o","messages":[1]}', providers)
    assert isinstance(found, LineError)
    assert found.custom_id == NULL


def test_the_byte_of_an_error_counts_from_the_lines_first_byte(providers: Providers) -> None:
    line = '{"model":"gpt-4o","ä":x}'.encode()
    assert code(line, providers) == ("invalid_json", f"not JSON: invalid character at byte {line.index(b'x')}")


TWICE = "is there twice, the second time at byte"
# In one object, "x" is written twice.
REPEATED = {
    "at the top": b'{"model":"gpt-4o","x":1,"messages":[1],"x":1}',
    "in the body": b'{"url":"/v1/chat/completions","body":{"x":1,"model":"gpt-4o","messages":[1],"x":{}}}',
    "in a message": b'{"model":"gpt-4o","messages":[{"a":[]},{"x":"[{","role":"user", "x" : "1"}]}',
    "in a schema": b'{"model":"gpt-4o","messages":[1],"tools":[{"a":{"b":{"x":1,"y":[{}],"x":2}}}]}',
    "in another spelling": b'{"model":"gpt-4o","messages":[1],"x":1,"\\u0078":2}',
    "in a custom_id": b'{"model":"gpt-4o","messages":[1],"custom_id":{"x":1,"x":1}}',
    "beside text that looks like it": b'{"model":"gpt-4o","messages":["\\"x\\": \\u0022:"],"x":1,"x":1}',
    "beside colons in escapes": b'{"model":"gpt-4o","messages":["\\u003ax","\\u0020:x","\\u005c"],"x":1,"x":2}',
    "beside texts that begin with what vanishes": b'{"model":"gpt-4o","messages":["\\u0022: hi"],"x":1,"x":2}',
    "beside a backslash in escapes": b'{"model":"gpt-4o","messages":["\\u005C:"],"x":1,"x":2}',
    "with the same length": b'{"model":"gpt-4o","messages":[1],"x":1.0e0,"x":1,"y":1E5}',
    "in another script": '{"model":"gpt-4o","messages":["é"],"x":1,"x":1}'.encode(),
}


@pytest.mark.parametrize("size", [0, 2 * 1024 * 1024], ids=["short", "long"])
@pytest.mark.parametrize("name", REPEATED)
def test_a_key_that_is_written_twice_is_refused_at_any_depth(name: str, size: int, providers: Providers) -> None:
    line = REPEATED[name] if not size else REPEATED[name][:-1] + b',"long":"' + b"y" * size + b'"}'
    found, message = code(line, providers)
    assert (found, message.rpartition(" ")[0]) == ("invalid_json", f'not JSON for every reader: "x" {TWICE}')
    at = int(message.rpartition(" ")[2])
    assert line[at : at + 3] == b'"x"' or line.startswith(b'"\\u0078"', at)


@pytest.mark.parametrize("size", [0, 2 * 1024 * 1024], ids=["short", "long"])
@pytest.mark.parametrize(
    "line",
    [
        b'{"model":"gpt-4o","messages":[{"x":1},{"x":2}],"x":{"x":{"x":1}}}',
        b'{"model":"gpt-4o","messages":["x\\",\\"x\\":1"],"x":1e5,"X":1,"x ":2," x":3}',
        '{"model":"gpt-4o","messages":["\\u00e9é"],"é":1,"\\u00e8":2}'.encode(),
    ],
)
def test_the_same_key_in_different_objects_is_no_repetition(line: bytes, size: int, providers: Providers) -> None:
    whole = line if not size else line[:-1] + b',"long":"' + b"y" * size + b'"}'
    assert bytes(request(whole, providers).body) == whole


@given((written() | repeated).map(lambda each: b'{"model":"gpt-4o","messages":[%b]}' % each))
def test_a_key_is_written_twice_where_pythons_reader_meets_it_twice(line: bytes) -> None:
    pairs: list[list[str]] = []
    json.loads(line, object_pairs_hook=lambda found: pairs.append([key for key, _ in found]))
    is_repeated = any(len(keys) != len(set(keys)) for keys in pairs)
    found = LineReader(PROJECT).read(line)
    assert (isinstance(found, LineError) and TWICE in found.message) == is_repeated


@pytest.mark.parametrize("line", [b"", b" ", b"\t \r", b"\x0b\x0c"])
def test_a_line_of_white_space_is_blank(line: bytes) -> None:
    assert is_blank(line)


@pytest.mark.parametrize("line", [b"{}", b"\xc2\xa0", b"\x00", b"\xef\xbb\xbf"])
def test_a_line_with_anything_else_is_not_blank(line: bytes) -> None:
    assert not is_blank(line)


# Lines that cannot be sent


@pytest.mark.parametrize(
    ("line", "error"),
    [
        ({"body": CHAT}, ("missing_parameter", '"body" without "url"')),
        ({"url": "/v1/messages"}, ("missing_parameter", '"url" without "body"')),
        (
            {"params": CLAUDE, "body": CHAT},
            ("not_a_request", 'has both "params" (Anthropic\'s form) and "body" or "url"'),
        ),
        (openai_line(CHAT, method="GET"), ("invalid_parameter", '"method" must be "POST"')),
        ({"url": 5, "body": CHAT}, ("invalid_parameter", '"url" is not a string')),
        (openai_line(["text"]), ("not_a_request", '"body" is not a JSON object')),
        ({"params": None}, ("no_model", f'no "model": a line is {NATIVE}')),
        (openai_line({"messages": [1]}), ("no_model", '"body" has no "model"')),
        ({"params": {}}, ("no_model", '"params" has no "model"')),
        ({"model": "", "messages": [1]}, ("no_model", 'the line has an empty "model"')),
        ({"model": "openai/", "messages": [1]}, ("no_model", 'no model after "openai/"')),
        ({"model": 5}, ("invalid_parameter", '"model" is not a string')),
        ({"model": None}, ("no_model", f'no "model": a line is {NATIVE}')),
        (
            {"params": CHAT},
            ("not_a_request", '"params" is Anthropic\'s form, but this model goes to openai'),
        ),
        (
            openai_line(CHAT, "/v1/messages"),
            ("unknown_endpoint", "\"/v1/messages\" is Anthropic's, but this model goes to OpenAI's"),
        ),
        (
            openai_line(CLAUDE, "/v1/responses"),
            (
                "unknown_endpoint",
                '"url" must be "/v1/messages", or "/v1/chat/completions" to be translated, for a Claude model',
            ),
        ),
    ],
)
def test_a_line_of_no_form_says_what_is_missing(line: object, error: tuple[str, str], providers: Providers) -> None:
    assert code(line, providers) == error


def test_a_line_with_nothing_of_a_request_is_shown_the_three_forms(providers: Providers) -> None:
    found = code({"text": "hello"}, providers)
    assert (found[0], NATIVE in found[1]) == ("no_model", True)


def test_a_url_that_no_batch_takes_is_answered_with_those_that_are(providers: Providers) -> None:
    assert code(openai_line(CHAT, "/v1/audio/speech"), providers) == (
        "unknown_endpoint",
        (
            '"url" must be one of /v1/chat/completions, /v1/completions, /v1/embeddings, /v1/images/edits, '
            "/v1/images/generations, /v1/moderations, /v1/responses, /v1/videos"
        ),
    )


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"stream": True}, ("unsupported_parameter", '"stream" is not possible in a batch: leave it out')),
        ({"stream": "no"}, ("unsupported_parameter", '"stream" is not possible in a batch: leave it out')),
        (
            {"extra_body": {}},
            (
                "unsupported_parameter",
                '"extra_body" is an argument of the SDK, not of the API: write its keys into the body itself',
            ),
        ),
        (
            {"extra_headers": {}},
            ("unsupported_parameter", '"extra_headers" is an argument of the SDK, not of the API: leave it out'),
        ),
        (
            {"extra_query": {}},
            ("unsupported_parameter", '"extra_query" is an argument of the SDK, not of the API: leave it out'),
        ),
        (
            {"timeout": 60},
            ("unsupported_parameter", '"timeout" is an argument of the SDK, not of the API: leave it out'),
        ),
        ({"messages": []}, ("invalid_parameter", '"messages" is empty')),
        ({"messages": "Hi"}, ("invalid_parameter", '"messages" is not an array')),
    ],
)
@pytest.mark.parametrize("body", [CHAT, CLAUDE], ids=["openai", "anthropic"])
def test_what_fails_at_both_vendors_is_an_error_of_its_line(
    body: dict[str, Any], change: dict[str, Any], error: tuple[str, str], providers: Providers
) -> None:
    assert code(body | change, providers) == error


@pytest.mark.parametrize("stream", [False, None])
def test_a_stream_that_is_off_is_no_stream(stream: object, providers: Providers) -> None:
    assert request(CHAT | {"stream": stream}, providers).endpoint == "/v1/chat/completions"
    assert request(CLAUDE | {"stream": stream}, providers).endpoint == "/v1/messages"


def without(body: dict[str, Any], name: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != name}


@pytest.mark.parametrize(
    ("line", "error"),
    [
        (without(CLAUDE, "max_tokens"), ("missing_parameter", '"max_tokens" is missing')),
        (CLAUDE | {"max_tokens": None}, ("missing_parameter", '"max_tokens" is missing')),
        (CLAUDE | {"messages": None}, ("missing_parameter", '"messages" is missing')),
        (without(CLAUDE, "messages"), ("missing_parameter", '"messages" is missing')),
        (CLAUDE | {"speed": "fast"}, ("unsupported_parameter", '"speed" is not possible in a batch: leave it out')),
        *(
            (CLAUDE | {"max_tokens": bad}, ("invalid_parameter", '"max_tokens" must be a whole number above 0'))
            for bad in (0, -1, 1.5, "5", True)
        ),
        (openai_line({"model": "gpt-4o"}), ("missing_parameter", '"messages" is missing')),
        (openai_line(CHAT | {"model": "openai/x"}, "/v1/embeddings"), ("missing_parameter", '"input" is missing')),
        (openai_line(CHAT | {"model": "openai/x"}, "/v1/moderations"), ("missing_parameter", '"input" is missing')),
        (openai_line(CHAT, "/v1/completions"), ("missing_parameter", '"prompt" is missing')),
    ],
)
def test_what_a_vendor_would_refuse_is_found_before_it_is_paid(
    line: object, error: tuple[str, str], providers: Providers
) -> None:
    assert code(line, providers) == error


@pytest.mark.parametrize(("number", "hint"), [(b"50.0", ": write 50, not 50.0"), (b"50.5", ""), (b"5e1", "")])
def test_a_whole_number_with_a_point_is_shown_as_it_must_be_written(
    number: bytes, hint: str, providers: Providers
) -> None:
    body = json.dumps(CLAUDE).encode().replace(b'"max_tokens": 5', b'"max_tokens": ' + number)
    assert code(body, providers)[1] == f'"max_tokens" must be a whole number above 0{hint}'
    line = b'{"url":"/v1/chat/completions","body":' + body + b"}"
    assert code(line, providers)[1] == f'"max_tokens" must be a whole number from 1 to 999,999,999{hint}'


def test_a_number_of_hundreds_of_digits_is_the_providers_to_refuse(providers: Providers) -> None:
    line = b'{"model":"claude-x","messages":[1],"max_tokens":' + b"9" * 300 + b"}"
    assert bytes(request(line, providers).body) == line


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_sampling_is_refused_from_the_api_version_that_refuses_it(name: str, providers: Providers) -> None:
    line = CLAUDE | {name: 1}
    assert isinstance(read(line, providers, api_version="2023-06-01"), Request)
    assert isinstance(read(line, providers), Request)  # the provider's own is 2023-06-01
    assert code(line, providers, api_version="2026-10-21") == (
        "unsupported_parameter",
        f'"{name}" is refused by Anthropic\'s API version 2026-10-21: leave it out, or set anthropic_version',
    )


@pytest.mark.parametrize(
    ("model", "url", "known"),
    [
        ("text-embedding-3-small", "/v1/chat/completions", "/v1/embeddings"),
        ("omni-moderation-latest", "/v1/embeddings", "/v1/moderations"),
        ("dall-e-3", "/v1/videos", "/v1/images/edits, /v1/images/generations"),
        ("sora-2", "/v1/images/generations", "/v1/videos"),
        ("openai/gpt-4o", "/v1/embeddings", "/v1/chat/completions, /v1/completions, /v1/responses"),
        ("o3", "/v1/moderations", "/v1/chat/completions, /v1/completions, /v1/responses"),
    ],
)
def test_a_model_that_has_no_such_endpoint_by_its_name_is_refused(
    model: str, url: str, known: str, providers: Providers
) -> None:
    found, message = code(openai_line({"model": model, "messages": [1], "input": "x"}, url), providers)
    assert (found, message.partition(" ")[0]) == ("unknown_endpoint", "models")
    assert message.endswith(f' do not answer at "{url}": the "url" may be {known}')


@pytest.mark.parametrize(
    ("model", "url"),
    [
        ("ft:gpt-4o:a::b", "/v1/embeddings"),
        ("openai/gpt-image-1", "/v1/images/edits"),
        ("openai/own", "/v1/embeddings"),
    ],
)
def test_a_model_whose_name_tells_nothing_may_go_to_any_endpoint(model: str, url: str, providers: Providers) -> None:
    assert request(openai_line({"model": model, "input": "x", "prompt": "x"}, url), providers).endpoint == url


IMAGES = "/v1/images/generations"


def test_an_image_model_whose_name_begins_like_a_chat_models_makes_images(providers: Providers) -> None:
    body = {"model": "chatgpt-image-latest", "prompt": "a lighthouse in fog"}
    assert request(body, providers).endpoint == IMAGES
    assert request(openai_line(body, IMAGES), providers).endpoint == IMAGES
    assert request(openai_line(body, "/v1/images/edits"), providers).endpoint == "/v1/images/edits"
    assert code(openai_line(body | {"messages": [1]}), providers)[0] == "unknown_endpoint"


def test_where_a_model_answers_is_overruled_by_the_configuration() -> None:
    providers = parse_providers(
        TWO.replace(
            'models = ["gpt-*"]', f'models = ["gpt-*"]\nendpoints = {{ "gpt-9-*" = ["{IMAGES}", "/v1/moderations"] }}'
        )
    )
    assert request(openai_line({"model": "gpt-9-x", "prompt": "x"}, IMAGES), providers).endpoint == IMAGES
    assert request({"model": "openai/gpt-9-x", "prompt": "x"}, providers).endpoint == IMAGES
    assert request({"model": "gpt-9-x", "input": "x"}, providers).endpoint == "/v1/moderations"
    assert request({"model": "gpt-8-x", "input": "x"}, providers).endpoint == "/v1/responses"
    assert code({"model": "gpt-9-x", "messages": [1]}, providers) == (
        "unknown_endpoint",
        (f'model "gpt-9-x" does not answer at "/v1/chat/completions": the "url" may be {IMAGES}, /v1/moderations'),
    )


def test_the_endpoints_that_may_be_configured_are_those_of_batches() -> None:
    assert set(get_args(config._Endpoint)) == openai.ENDPOINTS  # noqa: SLF001 - it is a type for the file only


@pytest.mark.parametrize(
    ("name", "betas", "known"),
    [
        ("mcp_servers", ("mcp-client-2026-09-15",), '"mcp-…"'),
        ("context_management", ("compact-2026-01-12",), '"context-management-…" or "compact-…"'),
        ("compaction", ("compact-2026-09-04",), '"compact-…"'),
        ("fallbacks", ("other", "server-side-fallback-2026-07-01"), '"server-side-fallback-…"'),
        ("fallback_credit_token", ("fallback-credit-2026-07-01",), '"fallback-credit-…" or "server-side-fallback-…"'),
        ("thread", ("message-threads-2026-08-12",), '"message-threads-…"'),
    ],
)
def test_what_needs_a_beta_is_refused_until_the_job_names_it(
    name: str, betas: tuple[str, ...], known: str, providers: Providers
) -> None:
    line = json.dumps(CLAUDE | {name: {}}).encode()
    assert isinstance(LineReader(providers, betas=betas).read(line), Request)
    assert isinstance(read(CLAUDE | {name: None}, providers), Request)
    refused = LineReader(providers, betas=("output-300k-2026-03-24",)).read(line)
    assert isinstance(refused, LineError)
    assert (refused.code, refused.message) == (
        "unsupported_parameter",
        f'"{name}" needs a beta: add {known} to "betas" in batchdrop.toml or providers.toml',
    )


def in_content(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": "Hi"}, {"role": "user", "content": [block]}]}


def in_tool_result(block: dict[str, Any]) -> dict[str, Any]:
    return in_content({"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": ""}, block]})


BETA_PLACES: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "a message": in_content,
    "a tool's result": in_tool_result,
    "the tools": lambda block: {"tools": [{"name": "f", "input_schema": {"type": "object"}}, block]},
}


@pytest.mark.parametrize("place", BETA_PLACES)
@pytest.mark.parametrize("name", claude_betas.TYPES)
def test_a_block_that_needs_a_beta_is_refused_at_any_depth_until_the_job_names_it(
    name: str, place: str, providers: Providers
) -> None:
    line = json.dumps({"params": CLAUDE | BETA_PLACES[place]({"type": name})}).encode()
    for prefix in claude_betas.TYPES[name]:
        assert isinstance(LineReader(providers, betas=[f"{prefix}2026-01-01"]).read(line), Request)
    known = " or ".join(f'"{prefix}…"' for prefix in claude_betas.TYPES[name])
    assert code(line, providers) == (
        "unsupported_parameter",
        f'"{name}" needs a beta: add {known} to "betas" in batchdrop.toml or providers.toml',
    )


@pytest.mark.parametrize(
    ("change", "beta"),
    [
        ({"output_config": {"task_budget": {"type": "tokens", "total": 1}}}, "task-budgets-2026-03-13"),
        ({"thinking": {"type": "adaptive", "block_binding": {}}}, "thinking-binding-controls-2026-08-01"),
    ],
)
def test_a_nested_parameter_that_needs_a_beta_is_refused_until_the_job_names_it(
    change: dict[str, Any], beta: str, providers: Providers
) -> None:
    line = json.dumps(CLAUDE | {"model": "anthropic/claude-x"} | change).encode()
    assert isinstance(LineReader(providers, betas=[beta]).read(line), Request)
    assert code(line, providers)[0] == "unsupported_parameter"


def test_a_schema_and_a_text_that_name_such_a_block_are_none(providers: Providers) -> None:
    tool = {"name": "f", "input_schema": {"type": "object", "properties": {"type": {"enum": ["mcp_tool_use"]}}}}
    text = {"type": "text", "text": '{"type": "compaction"}'}
    assert isinstance(read({"params": CLAUDE | in_content(text) | {"tools": [tool]}}, providers), Request)


def test_skills_need_the_tool_that_runs_them(providers: Providers) -> None:
    skills = CLAUDE | {"container": {"skills": [{"type": "anthropic", "skill_id": "xlsx", "version": "latest"}]}}
    tool = {"type": "code_execution_20250825", "name": "code_execution"}
    assert isinstance(read({"params": skills | {"tools": [tool]}}, providers), Request)
    assert code({"params": skills}, providers) == (
        "missing_parameter",
        '"skills" need the code execution tool: add one of type "code_execution_…" to "tools"',
    )
    assert isinstance(read({"params": CLAUDE | {"container": "container_1"}}, providers), Request)


def test_the_blocks_that_need_a_beta_are_those_of_the_beta_api_alone() -> None:
    beta = types_of(BetaRequestContentBlockParam, BetaToolUnionParam)
    plain = types_of(ContentBlockParam, ToolUnionParam)
    assert beta - plain == set(claude_betas.TYPES)


def types_of(*unions: Any) -> set[str]:
    """The values of `type` of a union's members."""
    members = [member for union in unions for member in get_args(union) if isinstance(member, type)]
    hints = [get_type_hints(member).get("type") for member in members]
    return {value for hint in hints for value in _literals(hint)}


def _literals(hint: Any) -> set[str]:
    return {value for each in get_args(hint) for value in ({each} if isinstance(each, str) else _literals(each))}


def test_betas_in_a_body_are_pointed_to_the_settings(providers: Providers) -> None:
    assert code(CLAUDE | {"betas": ["x"]}, providers) == (
        "unsupported_parameter",
        '"betas" belong to a whole batch: set them in batchdrop.toml or providers.toml',
    )


def test_the_parameters_that_need_a_beta_are_those_of_the_beta_api_alone() -> None:
    """A parameter that a new version of the SDK knows elsewhere needs none any more."""
    params = [each.MessageCreateParamsNonStreaming for each in (beta_messages, messages)]
    beta, plain = (each.__required_keys__ | each.__optional_keys__ for each in params)
    needs_none = {"betas", "billing_policy"}  # a header; no beta is known to bring the other
    assert beta - plain - needs_none == set(claude_betas.PARAMETERS)


@pytest.mark.parametrize("body", [CHAT, CLAUDE], ids=["openai", "anthropic"])
def test_an_unknown_parameter_passes(body: dict[str, Any], providers: Providers) -> None:
    line = json.dumps(body | {"a_parameter_of_tomorrow": [1]}).encode()
    assert bytes(request(line, providers).body) == line


def test_an_error_says_where_its_line_would_have_gone(providers: Providers) -> None:
    assert read(openai_line(CHAT | {"stream": True}), providers) == LineError(
        code=ErrorCode.UNSUPPORTED_PARAMETER,
        message='"stream" is not possible in a batch: leave it out',
        custom_id=Raw(b'"r-1"'),
        provider="openai",
        model="gpt-4o-mini",
        endpoint="/v1/chat/completions",
    )


# Embeddings


@pytest.mark.parametrize(
    ("texts", "inputs"),
    [("one", 1), ("", 1), (["one", "two"], 2), ([5, 6, 7], 1), ([[5, 6], [7]], 2), (["x"] * 50_000, 50_000)],
    ids=lambda value: repr(value)[:20],
)
def test_the_texts_of_an_embeddings_request_are_counted(texts: object, inputs: int, providers: Providers) -> None:
    assert request({"model": "text-embedding-3-small", "input": texts}, providers).inputs == inputs


@pytest.mark.parametrize(
    ("texts", "message"),
    [([], '"input" is empty'), (["x"] * 50_001, '"input" holds 50,001 texts; a batch takes 50,000: use more lines')],
    ids=["none", "many"],
)
def test_texts_that_no_batch_takes_are_refused(texts: object, message: str, providers: Providers) -> None:
    assert code({"model": "text-embedding-3-small", "input": texts}, providers) == ("invalid_parameter", message)


PROJECT = parse_providers(
    """
    [providers.openai]
    protocol = "openai"
    base_url = "https://one"
    secret = "one"
    models = ["gpt-*"]
    [providers.anthropic]
    protocol = "anthropic"
    base_url = "https://two"
    secret = "two"
    models = ["claude-*"]
    """
)
