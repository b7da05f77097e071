"""Blocks of usual lines are planned as each of their lines would be alone, whatever stands between them."""

import json
import random
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from batchdrop.batches.request_files import one_line
from batchdrop.batches.split_plan import Plan
from batchdrop.errors import Unprocessable
from batchdrop.inputs.request_lines import LineReader, Request
from batchdrop.inputs.usual_lines import UsualReader
from batchdrop.jsonl import Block
from batchdrop.protocols.token_estimates import NO_MEDIA, measure_media
from batchdrop.providers.config import parse_providers
from batchdrop.records import JobSettings, Source, Split
from batchdrop.states import SplitState
from batchdrop.steps.plan import PlanWriter
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

PROVIDERS = parse_providers("""
[providers.openai]
protocol = "openai"
base_url = "https://api.openai.com/v1"
secret = "o"
models = ["gpt-*", "text-embedding-*"]
limits.requests_per_batch = 45
limits.bytes_per_batch = 30_000

[providers.anthropic]
protocol = "anthropic"
base_url = "https://api.anthropic.com"
secret = "a"
models = ["claude-*"]
limits.requests_per_batch = 35

[providers.local]
protocol = "openai"
base_url = "https://llm.example.com/v1"
secret = "l"
models = ["llama-*"]
escape_line_separators = true
""")


@dataclass
class Memory:
    """`Files` over one object that is read in pieces; what is put is kept."""

    data: bytes
    piece: int
    put_: dict[str, bytes] = field(default_factory=dict)

    def stream(
        self, _key: str, *, start: int = 0, end: int | None = None, version_id: str | None = None
    ) -> Iterator[bytes]:
        assert version_id == "v"
        wanted = self.data[start:end]
        yield from (wanted[at : at + self.piece] for at in range(0, len(wanted), self.piece))

    def get(self, _key: str) -> bytes:
        return SCHEMA

    def put(self, key: str, body: bytes | Path, **_: str) -> None:
        assert key not in self.put_
        self.put_[key] = body.read_bytes() if isinstance(body, Path) else body


SCHEMA = b'{"type":"object","properties":{"a":{"type":"string"}},"required":["a"],"additionalProperties":false}'


class CarefulWriter(PlanWriter):
    """Takes no block: each line is read alone."""

    def read_block(self, block: Block) -> bytes | None:  # noqa: ARG002 - whatever it holds
        return None


class CountingWriter(PlanWriter):
    """Counts the blocks that are read at once."""

    blocks = 0

    def read_block(self, block: Block) -> bytes | None:
        rows = super().read_block(block)
        self.blocks += rows is not None
        return rows


@dataclass
class File:
    """A file, in which the split begins at a byte, and how it is read."""

    data: bytes
    start: int = 0
    end: int = 0
    piece: int = 1_000_000
    job: JobSettings = field(default_factory=JobSettings)
    most_lines: int = 10_000_000
    schema_key: str | None = None

    def planned(self, kind: type[PlanWriter]) -> tuple[Plan | str, dict[str, bytes], PlanWriter]:
        files = Memory(self.data, self.piece)
        source = Source(key="input/f.jsonl", version_id="v", bytes=len(self.data))
        job: Any = SimpleNamespace(
            id="j",
            key="input/f.jsonl",
            source=source,
            settings=self.job,
            schema_key=self.schema_key,
            deadline_at=None,
            late_reason=None,
            outcome=None,
        )
        end = self.end or len(self.data)
        split = Split(job="j", state=SplitState.PENDING, index=0, start=self.start, end=end)
        limits = SimpleNamespace(deployment="bd", lines_per_split=self.most_lines)
        services: Any = SimpleNamespace(files=files, providers=PROVIDERS, settings=limits)
        with tempfile.TemporaryDirectory() as folder:
            writer = kind(job, split, services, Path(folder))
            try:
                return writer.write(), files.put_, writer
            except Unprocessable as error:
                return str(error), {}, writer


def assert_planned_alike(file: File) -> int:
    """How many blocks were read at once."""
    plan, put, writer = file.planned(CountingWriter)
    assert (plan, put) == file.planned(CarefulWriter)[:2]
    assert isinstance(writer, CountingWriter)
    return writer.blocks


# Lines that are usual, and some that nearly are

# Words that stand where more is asked for than a prompt of a known length, if they are names.
WORDS = ["file_id", "cache_control", "conversation", "previous_response_id", "document", "url", "prompt", "type"]
SAID = ['{"type": "web_search"}', '"file_id": 1', '"cache_control":{"ttl":"1h"}', '"type": "document"', "mcp"]
texts = st.sampled_from([*WORDS, *SAID]) | st.sampled_from(
    ["Hi", "", "}, {", 'Say "a": 1', "Grüße, 😀", "a\nb\t: {", "null", "\\", ":", '":', "\x7f\u2028", "x" * 300]
)
plain: dict[str, st.SearchStrategy[Any]] = {
    "max_tokens": st.sampled_from([1, 20, 99, 2 * 10**9]),
    "max_completion_tokens": st.integers(1, 99),
    "max_output_tokens": st.integers(1, 99),
    "n": st.integers(-1, 3),
    "temperature": st.sampled_from([0, 1, 0.5, 2]),
    "top_p": st.just(0.9),
    "stop": st.sampled_from(["x", ["a", "b"]]),
    "metadata": st.dictionaries(st.sampled_from(["a", "b:", "é", *WORDS]), texts, max_size=2),
    "user": texts,
    "seed": st.integers(-5, 2**60),
    "response_format": st.sampled_from(
        [{"type": "json_object"}, {"type": "json_schema", "a": [{"b": None, "c": 1e3}]}, {"file_id": {"type": "url"}}]
    ),
    "tools": st.sampled_from([[{"type": "function", "function": {"name": "f"}}], [{"type": "web_search_preview"}]]),
    "tool_choice": st.just("auto"),
}
odd: dict[str, st.SearchStrategy[Any]] = {
    "stream": st.sampled_from([True, False]),
    "extra_body": st.just({}),
    "timeout": st.just(3),
    "speed": st.just("fast"),
    "betas": st.just([]),
    "thinking": st.just({"type": "enabled", "budget_tokens": 1}),
    "output_config": st.just({"task_budget": 1}),
    "mcp_servers": st.just([]),
    "top_k": st.just(1),
    "images": st.just([{"image_url": "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB" * 3}]),
    "dimensions": st.none(),
    "anything": st.just({"a": 10**400}),
}
parts = st.sampled_from(
    [
        {"type": "text", "text": "a"},
        {"type": "text", "text": "a", "cache_control": {"type": "ephemeral"}},
        {"type": "image_url", "image_url": {"url": "https://a.b/c.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgoAAAANSUhEUgAAAAEAAAAB" * 40}},
        {"type": "image", "source": {"type": "url", "url": "http://a.b/c.png"}},
        {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgoAAAANSUhEUgAA"}},
        {"type": "advisor_tool_result", "content": []},
    ]
)
messages = st.lists(
    st.fixed_dictionaries(
        {
            "role": st.sampled_from(["user", "user", "system", "assistant"]),
            "content": texts | texts | st.lists(parts, max_size=2),
        },
        optional={"name": texts},
    ),
    min_size=1,
    max_size=3,
)
SIMPLE = [{"role": "user", "content": "Hi"}]
URLS = ["/v1/chat/completions", "/v1/messages", "/v1/responses", "/v1/embeddings", "/v1/completions", "/v1/nothing"]
MODELS = [
    "gpt-4o-mini",
    "claude-haiku-4-5",
    "claude-sonnet-5-5",
    "claude-opus-4-6",
    "text-embedding-3-small",
    "gpt-5",
    "openai/gpt-5",
    "llama-3",
    "nobody-1",
]
HOLDS_INPUT = ("/v1/responses", "/v1/embeddings")
# Strategies are made here: one that is made for each draw takes longer to make than to draw from.
inputs = texts | st.lists(texts, max_size=2)
USUAL_ROUTES = [
    ("/v1/chat/completions", "gpt-4o-mini"),
    ("/v1/chat/completions", "gpt-4o-mini"),
    (None, "claude-haiku-4-5"),
    ("/v1/messages", "claude-haiku-4-5"),
    ("/v1/responses", "gpt-5"),
    ("/v1/embeddings", "text-embedding-3-small"),
    (None, "claude-opus-4-6"),
]
usual_routes = st.sampled_from(USUAL_ROUTES)
routes = st.sampled_from([*USUAL_ROUTES, ("/v1/chat/completions", "llama-3"), (None, "claude-sonnet-5-5")])
simple = st.just(SIMPLE)
simple_or_not = simple | messages


def up_to_two(names: list[str]) -> st.SearchStrategy[list[str]]:
    """None of these in two of three draws."""
    name = st.sampled_from(names)
    return st.one_of(st.just([]), st.just([]), st.lists(name, max_size=2, unique=True))


usual_names, all_names = up_to_two(["metadata", "temperature", "user"]), up_to_two(sorted(plain))


@st.composite
def requests(draw: st.DrawFn, *, is_plain: bool = False) -> dict[str, Any]:
    """A line that can be sent, most often; a plain one is usual."""
    url, model = draw(usual_routes if is_plain else routes)
    body = {"model": model}
    if url in HOLDS_INPUT:
        body["input"] = draw(inputs)
    else:
        body |= {"messages": draw(simple if is_plain else simple_or_not)}
        if "claude" in model:
            body |= {"max_tokens": 9}
    body |= {name: draw(plain[name]) for name in draw(usual_names if is_plain else all_names)}
    line = {"custom_id": draw(texts)}
    return line | ({"params": body} if url is None else {"method": "POST", "url": url, "body": body})


def body_of(line: dict[str, Any]) -> dict[str, Any]:
    found = line.get("body", line.get("params", line))
    return found if isinstance(found, dict) else {}


def _change(change: Callable[[dict[str, Any], Any], Any], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    def changed(line: dict[str, Any], value: Any) -> dict[str, Any]:
        copy = json.loads(json.dumps(line))
        found = change(copy, value)
        return found if isinstance(found, dict) else copy

    return values.map(lambda value: lambda line: changed(line, value))


# What may be wrong, or unusual, with what a line says.
said = st.one_of(
    _change(lambda line, url: line.update(url=url), st.sampled_from([*URLS, None, 5])),
    _change(lambda line, model: body_of(line).update(model=model), st.sampled_from([*MODELS, None, 5, "", "x" * 300])),
    _change(lambda line, method: line.update(method=method), st.sampled_from(["GET", "post", None, 1])),
    _change(lambda line, each: line.update(custom_id=each), st.sampled_from([None, 5, [1], {"a": 1}, "same", True])),
    _change(lambda line, name: line.pop(name, None), st.sampled_from(["custom_id", "method", "url", "body", "params"])),
    _change(lambda line, each: line.update(each), st.sampled_from([{"extra": 1}, {"params": {}}, {"body": None}])),
    _change(lambda line, name: body_of(line).pop(name, None), st.sampled_from(["model", "messages", "max_tokens"])),
    _change(lambda line, _: body_of(line), st.none()),
    _change(
        lambda line, each: body_of(line).update(messages=each),
        st.sampled_from([None, [], "Hi", [{"role": "user"}], [{"content": None}], [1], [SIMPLE[0] | {"a": 1}]]),
    ),
    _change(
        lambda line, each: body_of(line).update(each),
        st.sampled_from(
            [{"max_tokens": 0}, {"max_tokens": 5.0}, {"max_tokens": "5"}, {"temperature": None}, {"n": -1}]
        ),
    ),
    st.sampled_from(sorted(odd)).flatmap(
        lambda name: _change(lambda line, value: body_of(line).update({name: value}), odd[name])
    ),
)


some_request, plain_request = requests(), requests(is_plain=True)
many_separators = st.sampled_from([(",", ":"), (", ", ": ")])
few_said = st.sampled_from([st.just([])] * 6 + [st.lists(said, max_size=most) for most in (1, 2)])
seldom = st.sampled_from([False] * 9 + [True])
either = st.booleans()


@st.composite
def written_lines(draw: st.DrawFn) -> bytes:
    """A line as one of many writers has it, some of them careless."""
    line = draw(some_request)
    for fault in draw(draw(few_said)):
        line = fault(line)
    text = json.dumps(line, ensure_ascii=draw(either), separators=draw(many_separators)).encode()
    if draw(seldom):
        text = draw(st.sampled_from(FAULTS))(text, draw(st.integers(0, len(text))))
    return text


written = written_lines()
# What may be wrong, or unusual, with how it is written: of a text and a place in it.
FAULTS: list[Callable[[bytes, int], bytes]] = [
    lambda _, __: b"",
    lambda _, __: b"  ",
    lambda _, __: b"name,prompt",
    lambda text, at: text[:at],
    lambda text, at: text[:at] + text[at + 1 :],
    lambda text, at: text[:at] + b"\n" + text[at:],
    lambda text, at: text[:at] + b"\r" + text[at:],
    lambda text, at: text[:at] + b" " + text[at:],
    lambda text, at: text[:at] + b"\xef\xbb\xbf" + text[at:],
    lambda text, at: text[:at] + b"\xff" + text[at:],
    lambda text, at: text[:at] + b"\x01" + text[at:],
    lambda text, at: text[:at] + b"\xed\xa0\x80" + text[at:],
    lambda text, at: text[:at] + b"\\" + text[at:],
    lambda text, at: text[:at] + b'"' + text[at:],
    lambda text, at: text[:at] + b"}" + text[at:],
    lambda text, _: text + text,
    lambda text, _: text + b" ",
    lambda text, _: b" " + text,
    lambda text, _: b"\xef\xbb\xbf" + text,
    lambda text, _: text + b"\r",
    lambda text, _: text + b"\r\r",
    lambda text, _: text.replace(b"Hi", b"\\ud800"),
    lambda text, _: text.replace(b"Hi", b"\\udc00x"),
    lambda text, _: text.replace(b"Hi", b"\\u003a"),
    lambda text, _: text.replace(b"Hi", b"\\u0048\\/"),
    lambda text, _: text.replace(b'"content"', b'"\\u0063ontent"'),
    lambda text, _: text.replace(b'"POST"', b'"\\u0050OST"'),
    lambda text, _: text.replace(b'"model"', b'"model" '),
    lambda text, _: text.replace(b'"model"', b'"model":"gpt-4o-mini","model"'),
    lambda text, _: text.replace(b'"messages"', b'"messages":[{"role":"user","content":"first"}],"messages"'),
    lambda text, _: text.replace(b'"messages"', b'"model":"gpt-5","messages"'),
    lambda text, _: text.replace(b'"role"', b'"role":"a","role"'),
    lambda text, _: text.replace(b'"role"', b'"role":"\\u003a","role"'),
    lambda text, _: text.replace(b'"custom_id"', b'"custom_id":"a","custom_id"'),
    lambda text, _: text.replace(b'"url"', b'"url":"/v1/responses","url"'),
    lambda text, _: text.replace(b'"model"', b'"response_format":{"a":1,"a":2},"model"'),
    lambda text, _: text.replace(b'"model"', b'"response_format":{"a":1e400},"model"'),
    lambda text, _: text.replace(b'"model"', b'"response_format":{"a":%b},"model"' % (b"9" * 400)),
    lambda text, _: text.replace(b'"model"', b'"response_format":{"a":%b},"model"' % (b"9" * 25)),
    lambda text, _: text.replace(b'"model"', b'"temperature":1e400,"model"'),
    lambda text, _: text.replace(b'"model"', b'"seed":%b,"model"' % (b"9" * 400)),
    lambda text, _: text.replace(b'"model"', b'"tools":%b,"model"' % (b"[" * 600 + b"]" * 600)),
    lambda text, _: text.replace(b'"model"', b'"tools":[{"a":%b}],"model"' % (b"[" * 498 + b"]" * 498)),
    lambda text, _: text.replace(b'"model"', b'"tools":[{"a":%b}],"model"' % (b"[" * 496 + b"]" * 496)),
    lambda text, _: text.replace(b"Hi", b"long " * 30_000),
]


def few(lines: st.SearchStrategy[Any]) -> st.SearchStrategy[list[bytes]]:
    return st.lists(lines.map(lambda line: json.dumps(line).encode()), min_size=1, max_size=3)


few_plain, few_requests, few_written = few(plain_request), few(some_request), st.lists(written, min_size=1, max_size=3)


@st.composite
def files(draw: st.DrawFn) -> File:
    """Many lines, most of them usual: what is not stands between them at random places."""
    usual = draw(few_plain if draw(st.integers(0, 3)) > 0 else few_requests)
    others = draw(few_written)
    dice = random.Random(draw(st.integers(0, 2**32)))  # noqa: S311 - where lines stand is no secret
    share = draw(st.sampled_from([0.04, 0, 0.2]))
    lines = [dice.choice(others if dice.random() < share else usual) for _ in range(dice.randint(1, 140))]
    data = draw(st.sampled_from([b"\n", b"\n", b"\n", b"\r\n"])).join(lines) + draw(st.sampled_from([b"\n", b""]))
    data = draw(st.sampled_from([b"", b"\xef\xbb\xbf", usual[0] + b"\n"])) + data
    start = min(draw(st.sampled_from([1, 400, 1, 1, 1, 1, 1, 0])), len(data) - 1)
    job = JobSettings(
        anthropic_version=draw(st.sampled_from([None, None, "2026-10-21"])),
        betas=draw(st.sampled_from([(), ("mcp-1",)])),
        dedupe=draw(st.booleans()),
    )
    return File(
        data,
        start=start,
        end=len(data) - draw(st.sampled_from([0, 0, 0, 1, 100])) * dice.randrange(1 + len(data) // 200),
        piece=draw(st.sampled_from([2_000, 20_000, 300, 700, 1_300, 5_000, 40_000])),
        job=job,
        most_lines=draw(st.sampled_from([*[10_000_000] * 9, 40])),
        schema_key=draw(st.sampled_from([None, "work/s"])),
    )


@settings(max_examples=400)
@given(files())
def test_a_file_is_planned_as_its_lines_are_one_by_one(file: File) -> None:
    assert_planned_alike(file)


# Readers that know all routes, so that only what a block holds decides

ROUTES = [
    {"method": "POST", "url": url, "body": {"model": model, "messages": SIMPLE, "input": "Hi", "max_tokens": 9}}
    for model in MODELS
    for url in URLS
]


def readers(job: JobSettings) -> tuple[LineReader, UsualReader]:
    careful = LineReader(PROVIDERS, api_version=job.anthropic_version, betas=job.betas)
    usual = UsualReader(PROVIDERS, api_version=job.anthropic_version)
    for line in ROUTES:
        found = careful.read(json.dumps(line).encode())
        if isinstance(found, Request):
            usual.learn(found)
    return careful, usual


READERS = {version: readers(JobSettings(anthropic_version=version)) for version in (None, "2026-10-21")}


def read_at_once(lines: list[bytes], version: str | None = None) -> list[Request] | None:
    """Each line as a block says it, None where it is read line by line; both must say the same."""
    careful, usual = READERS[version]
    found = usual.read(b"".join(line + b"\n" for line in lines))
    if found is None:
        return None
    texts = b"".join(line + b"\n" for line in lines).split(b"\n")[:-1]
    assert found.lengths == [len(text) for text in texts]
    told = [
        msgspec.structs.replace(
            found.routes[kind],
            custom_id=custom_id,
            body=Raw(body),
            inputs=int(found.routes[kind].endpoint == "/v1/embeddings"),
        )
        for kind, custom_id, body in zip(found.kinds, found.custom_ids, found.bodies, strict=True)
    ]
    assert told == [careful.read(text.removesuffix(b"\r")) for text in texts]
    for request in told:
        assert measure_media(bytes(request.body), request.model) == NO_MEDIA
        assert one_line(request.body) == request.body
    return told


USUAL = [json.dumps({"custom_id": "a", "params": {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": SIMPLE}})]
USUAL += [json.dumps({"custom_id": "b", **ROUTES[0]}).replace(', "input": "Hi"', ""), USUAL[0].replace(" ", "")]


@settings(max_examples=1_000)
@given(written, st.integers(0, 3), st.sampled_from([None, "2026-10-21"]))
def test_a_block_says_of_each_line_what_is_said_of_it_alone(line: bytes, place: int, version: str | None) -> None:
    lines = [each.encode() for each in USUAL]
    read_at_once([*lines[:place], line, *lines[place:]], version)


@given(plain_request, st.integers(0, 500), st.integers(0, 3), st.booleans())
@settings(max_examples=100)
def test_no_fault_in_a_usual_line_is_passed_over(line: dict[str, Any], at: int, place: int, is_compact: Any) -> None:
    text = json.dumps(line, separators=(",", ":") if is_compact else None).encode()
    lines = [each.encode() for each in USUAL]
    for number, fault in enumerate(FAULTS):
        faulty = fault(text, (at + 11 * number) % (len(text) + 1))
        read_at_once([*lines[:place], faulty, *lines[place:]])


def line_of(body: dict[str, Any], url: str | None = "/v1/chat/completions", **envelope: Any) -> bytes:
    where = {"params": body} if url is None else {"method": "POST", "url": url, "body": body}
    return json.dumps({"custom_id": "c"} | where | envelope).encode()


GPT = {"model": "gpt-4o-mini", "messages": SIMPLE}
HAIKU = {"model": "claude-haiku-4-5", "max_tokens": 9, "messages": SIMPLE}
RESPOND = {"model": "gpt-5", "input": "Hi", "max_output_tokens": 9}
EMBED = {"model": "text-embedding-3-small", "input": "x" * 200}
NEVER_PREFILLED = HAIKU | {"model": "claude-opus-4-6"}
ASSISTANT = [*SIMPLE, {"role": "assistant", "content": "So"}]
DEEP = b"[" * 497 + b"]" * 497
NOT_USUAL: dict[str, bytes] = {
    "a name twice in the envelope": line_of(GPT).replace(b'"custom_id"', b'"custom_id": "a", "custom_id"'),
    "a name twice in the body": line_of(GPT).replace(b'"model"', b'"model": "gpt-5", "model"'),
    "a name twice in a message": line_of(GPT).replace(b'"role"', b'"role": "a", "role"'),
    "a name twice, and an escaped colon": line_of(GPT)
    .replace(b'"role"', b'"role": "a", "role"')
    .replace(b"Hi", b"\\u003a"),
    "an escaped method": line_of(GPT).replace(b"POST", b"\\u0050OST"),
    "another method": line_of(GPT, method="GET"),
    "a carriage return": line_of(GPT).replace(b'"model"', b'\r"model"'),
    "an unknown parameter": line_of(GPT | {"stream": True}),
    "an unknown name in the envelope": line_of(GPT, extra=1),
    "both forms": line_of(GPT, params=HAIKU),
    "no url": json.dumps({"custom_id": "c", "body": GPT}).encode(),
    "a null parameter": line_of(GPT | {"temperature": None}),
    "a null in the envelope": line_of(GPT, params=None),
    "a custom_id that is no string": line_of(GPT, custom_id=5),
    "a brace in the custom_id": line_of(GPT, custom_id="{"),
    "a brace in the custom_id behind the body": line_of(GPT).replace(b'{"custom_id": "c", ', b"{")[:-1]
    + b', "custom_id": "a}, c"}',
    "half a character in the custom_id": line_of(GPT).replace(b'"c"', b'"\\ud800x"'),
    "no messages": line_of(GPT | {"messages": []}),
    "messages for embeddings": line_of(GPT | {"model": "text-embedding-3-small"}, "/v1/embeddings"),
    "a model that was not met": line_of(GPT | {"model": "gpt-4"}),
    "a provider's prefix": line_of(GPT | {"model": "openai/gpt-5"}),
    "a server that wants escapes": line_of(GPT | {"model": "llama-3"}),
    "a request that is translated": line_of(HAIKU),
    "Anthropic's form for OpenAI": line_of(GPT | {"max_tokens": 9}, None),
    "nested too deeply": line_of(GPT | {"tools": [{"a": 77}]}).replace(b"77", b"[%b]" % DEEP),
    "too large a number": line_of(GPT | {"response_format": {"a": 7}}).replace(b"7", b"7" * 400),
    "no max_tokens": line_of({name: HAIKU[name] for name in ("model", "messages")}, None),
    "max_tokens of 0": line_of(HAIKU | {"max_tokens": 0}, None),
    "a prefilled answer": line_of(NEVER_PREFILLED | {"messages": ASSISTANT}, None),
    "a temperature that is not taken": line_of(HAIKU | {"model": "claude-sonnet-5-5", "temperature": 0}, None),
    "tools for Claude": line_of(HAIKU | {"tools": [{"type": "mcp_toolset"}]}, None),
    "a block that needs a beta": line_of(
        HAIKU | {"messages": [{"role": "user", "content": [{"type": "compaction", "text": "a"}]}]}, None
    ),
    "a picture": line_of(GPT | {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {}}]}]}),
    "a blank line": b"",
    "a byte-order mark": b"\xef\xbb\xbf" + line_of(GPT),
    "what is no UTF-8": line_of(GPT).replace(b"Hi", b"\xff"),
    "two lines in one": line_of(GPT) * 2,
    "two lines in one, and one in two": line_of(GPT) * 2 + b"\n" + line_of(GPT).replace(b'"url"', b'\n"url"'),
}


@pytest.mark.parametrize("name", NOT_USUAL)
def test_what_is_not_usual_is_read_line_by_line(name: str) -> None:
    assert read_at_once([USUAL[0].encode(), NOT_USUAL[name], USUAL[1].encode()]) is None


@pytest.mark.parametrize(
    "line",
    [
        line_of(GPT),
        line_of(GPT | {"tools": [{"type": "function"}], "response_format": {"type": "json_schema", "a": [None, {}]}}),
        line_of(HAIKU, None),
        line_of(HAIKU | {"temperature": 0, "messages": ASSISTANT}, "/v1/messages"),
        line_of(NEVER_PREFILLED, None),
        line_of({"model": "text-embedding-3-small", "input": "null: \\u2028 }{"}, "/v1/embeddings"),
        line_of({"model": "gpt-5", "input": "Grüße"}, "/v1/responses").replace(b": ", b":"),
        line_of(GPT) + b"\r",
        msgspec.json.encode(msgspec.json.decode(line_of(GPT)), order="sorted"),
        line_of(GPT)[:-1] + b" }",
    ],
    ids=lambda line: str(line)[:60],
)
def test_usual_lines_are_read_at_once(line: bytes) -> None:
    assert read_at_once([line, line]) is not None


# Whole files, whose blocks end where batches and splits do


def test_a_block_that_does_not_fit_into_its_batch_fills_it_first() -> None:
    data = b"".join(line_of(GPT, custom_id=str(number)) + b"\n" for number in range(300))
    assert assert_planned_alike(File(data, start=1, piece=1_000)) > 5


def test_requests_of_two_models_stand_in_one_batch_in_their_order() -> None:
    lines = [line_of(HAIKU, None), line_of(NEVER_PREFILLED, None), line_of(GPT)]
    assert assert_planned_alike(File(b"\n".join(lines * 30) + b"\n", start=1, piece=2_000)) > 3


def test_a_file_of_usual_lines_is_planned_in_blocks_but_for_its_first_lines() -> None:
    prompt = [{"role": "user", "content": "x" * 12_000}]
    data = (line_of(HAIKU | {"messages": prompt}, None) + b"\n") * 33
    plan, _, writer = File(data).planned(CountingWriter)
    assert isinstance(plan, Plan)
    assert isinstance(writer, CountingWriter)
    assert plan.lines == 33
    assert writer.blocks > 3


def test_an_unusual_line_costs_its_neighbours_the_block_and_no_others() -> None:
    lines = [line_of(EMBED, "/v1/embeddings", custom_id=str(number)) for number in range(80)]
    odd = line_of(HAIKU | {"stream": False, "system": "x" * 9_000}, None)
    assert (
        assert_planned_alike(File(b"\n".join([*lines[:40], odd, *lines[40:], odd[:-1], b""]), start=1, piece=30_000))
        > 0
    )


def test_a_file_of_other_lines_is_tried_once_for_each_block() -> None:
    odd = line_of(HAIKU | {"stream": False, "system": "x" * 9_000}, None)
    assert assert_planned_alike(File((odd + b"\n") * 30, start=1, piece=60_000)) == 0


@pytest.mark.parametrize(
    "more",
    [
        {"metadata": {"conversation": "c"}},
        {"metadata": {"file_id": "f"}, "messages": [{"role": "user", "content": [{"type": "text", "text": "a"}]}]},
        {"tools": [{"type": "web_search_preview"}]},
        {"response_format": {"type": "json_schema", "a": {"type": "document", "b": {"type": "url"}}}},
    ],
    ids=str,
)
@pytest.mark.parametrize(("url", "body"), [("/v1/chat/completions", GPT), (None, HAIKU), ("/v1/responses", RESPOND)])
def test_a_block_that_may_cost_more_is_counted_as_its_lines_are(
    url: str | None, body: dict[str, Any], more: dict[str, Any]
) -> None:
    if url == "/v1/responses":
        more = {name: value for name, value in more.items() if name == "metadata"}
    data = (line_of(body, url) + b"\n" + line_of(body | more, url) + b"\n") * 10
    assert_planned_alike(File(data, start=1, piece=1_000))


def test_long_requests_are_counted_as_long_in_a_block() -> None:
    long = HAIKU | {"messages": [{"role": "user", "content": "x" * 400_000}]}
    data = b"".join(line_of(each, None) + b"\n" for each in [HAIKU, HAIKU, long, HAIKU, long, HAIKU] * 2)
    file = File(data, start=1)
    assert assert_planned_alike(file) > 0
    plan, _, _ = file.planned(PlanWriter)
    assert isinstance(plan, Plan)
    assert plan.tokens is not None
    assert [sorted(each.loads) for each in plan.tokens] == [["long-none", "short-none"]]


def test_too_many_lines_are_too_many_in_blocks() -> None:
    data = (line_of(GPT) + b"\n") * 40
    files = [File(data, start=1, piece=1_000, most_lines=most_lines) for most_lines in range(10, 35)]
    assert sum(map(assert_planned_alike, files)) > 0
