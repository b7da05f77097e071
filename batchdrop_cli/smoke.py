"""Six short requests to the real providers, paid with the user's keys, through a local cloud of its own."""

import os
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from batchdrop.costs import price_of
from batchdrop.manifest import Usage
from batchdrop.providers.config import Providers
from batchdrop.providers.price_list import settled_prices

import local_cloud
from batchdrop_cli import drop, fetch, jobs, local, progress, report
from batchdrop_cli.answers import Line, read_lines, text_of
from batchdrop_cli.cloud import Target, find_cloud
from batchdrop_cli.exit_codes import FAILED, OK, WRONG_USE
from batchdrop_cli.say import asked, say
from batchdrop_cli.state_dir import own_state_dir
from batchdrop_cli.user_errors import UserError

STATE_DIR = Path(".local/paid")
KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY")
_CHAT, _EMBEDDING, _CLAUDE = "gpt-4o-mini", "text-embedding-3-small", "claude-haiku-4-5"
_MAX_TOKENS = 10
_TOKENS_IN = 25  # of each request, counted generously
_WORDS = {"chat": "amber", "responses": "birch", "bare-chat": "cedar", "params": "delta", "bare-claude": "ember"}


def run(state_dir: Path, *, asked: bool) -> int:
    """Ask, send, wait, check. 0 when all six were answered and each with its own answer.

    Raises:
        UserError: A key is missing, or the answer was no.
    """
    need_keys(os.environ)
    if not asked:
        _ask()
    own_state_dir(state_dir)
    local.up(state_dir, real=True)
    try:
        wrong = _send(state_dir)
    finally:
        local_cloud.down(state_dir)
    for custom_id in wrong:
        say(f"wrong: {custom_id}", style="red")
    say(
        "All six requests were answered."
        if not wrong
        else f"{len(wrong)} of six requests did not get their own answer."
    )
    return FAILED if wrong else OK


def need_keys(environment: Mapping[str, str]) -> None:
    missing = [name for name in KEYS if not environment.get(name)]
    if missing:
        raise UserError(f"smoke-paid needs your keys in the environment: set {' and '.join(missing)}.", code=WRONG_USE)


def _ask() -> None:
    say(f"This sends six requests to OpenAI and Anthropic, paid with your keys: about ${estimate():.4f}.")
    if not sys.stdin.isatty():
        raise UserError(
            "smoke-paid asks first, and needs a terminal for it. To agree beforehand: batchdrop smoke-paid --yes",
            code=WRONG_USE,
        )
    if asked("Go on? [y/N]") not in {"y", "yes"}:
        raise UserError("Nothing was sent.")


def estimate() -> float:
    """The cost in dollars, at most, as the price list knows it."""
    answered = Usage(input_tokens=_TOKENS_IN, output_tokens=_MAX_TOKENS)
    asked = [("openai", _CHAT, answered)] * 3 + [("anthropic", _CLAUDE, answered)] * 2
    asked += [("openai", _EMBEDDING, Usage(input_tokens=_TOKENS_IN))]
    listed = settled_prices(Providers({}))
    prices = [price_of(listed, *each) for each in asked]
    return float(sum(price.dollars for price in prices if price is not None))


def requests() -> Iterator[dict[str, object]]:
    """All three forms, both providers, four endpoints; each asks for a word of its own."""

    def ask(name: str) -> str:
        return f"Answer with the single word {_WORDS[name]} and nothing else."

    def messages(name: str) -> list[dict[str, str]]:
        return [{"role": "user", "content": ask(name)}]

    chat = {"model": _CHAT, "max_completion_tokens": _MAX_TOKENS}
    claude = {"model": _CLAUDE, "max_tokens": _MAX_TOKENS}
    yield _form("chat", "/v1/chat/completions", {**chat, "messages": messages("chat")})
    # OpenAI's responses take no fewer than 16 tokens.
    yield _form("responses", "/v1/responses", {"model": _CHAT, "max_output_tokens": 16, "input": ask("responses")})
    yield {"custom_id": "bare-chat", **chat, "messages": messages("bare-chat")}
    yield {"custom_id": "params", "params": {**claude, "messages": messages("params")}}
    yield {"custom_id": "bare-claude", **claude, "messages": messages("bare-claude")}
    yield _form("embedding", "/v1/embeddings", {"model": _EMBEDDING, "input": "amber"})


def _form(name: str, url: str, body: dict[str, object]) -> dict[str, object]:
    return {"custom_id": name, "method": "POST", "url": url, "body": body}


def _send(state_dir: Path) -> list[str]:
    cloud = find_cloud(Target(state_dir=state_dir))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "smoke.jsonl"
        file.write_bytes(b"".join(msgspec.json.encode(request) + b"\n" for request in requests()))
        job_id = drop.upload(cloud, file, drop.default_key(file), lambda _: None)
        with progress.shown() as display:
            job = progress.wait_for_job(cloud, job_id, display=display, clock=progress.Clock())
        manifest = jobs.read_manifest(cloud, job)
        report.say_over(job, manifest)
        fetch.fetch(cloud, job, manifest, Path(folder))
        report.say_summary(manifest, cloud.prices)
        answered = set(map(right, read_lines(fetch.results_paths(manifest, Path(folder)))))
    return [name for name in (*_WORDS, "embedding") if name not in answered]


def right(line: Line) -> str | None:
    """The custom_id of a line with its own answer; None for any other."""
    custom_id = msgspec.json.decode(line.custom_id, type=str)
    if line.error is not None or line.response is None:
        return None
    if custom_id == "embedding":
        return custom_id if b'"embedding"' in bytes(line.response.body) else None
    return custom_id if _WORDS[custom_id] in text_of(line).lower() else None
