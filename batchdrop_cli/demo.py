"""The whole path once, on this machine: a cloud of its own, a file of real text, and the answers of both providers."""

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

from batchdrop_cli import drop, fetch, jobs, local, progress, report
from batchdrop_cli.answers import Line, read_lines, text_of
from batchdrop_cli.cloud import Target, find_cloud, in_folder
from batchdrop_cli.say import say
from batchdrop_cli.state_dir import own_state_dir, remember_state_dir
from batchdrop_cli.words import exit_code_of

FILE = Path(__file__).resolve().parent.parent / "examples" / "reviews_and_rights.jsonl"
_SHOWN = 3  # answers of each provider
_WIDTH = 100


def run(state_dir: Path) -> int:
    """Bring the local cloud up, drop the example, wait, fetch, and show some of it. The cloud stays up."""
    say("1. AWS on this machine, the provider simulator, and the stack")
    own_state_dir(state_dir)
    found, was_up = local.up(state_dir)
    remember_state_dir(state_dir)
    local.say_up(found, as_json=False, was_up=was_up, options=in_folder(state_dir))
    cloud = find_cloud(Target(state_dir=state_dir))
    say()
    say(f"2. {FILE.name}: real text, two providers, three forms of a line")
    job_id = drop.upload(cloud, FILE, drop.default_key(FILE), lambda _: None)
    with progress.shown() as display:
        job = progress.wait_for_job(cloud, job_id, display=display, clock=progress.Clock())
    manifest = jobs.read_manifest(cloud, job)
    paths = fetch.fetch(cloud, job, manifest, fetch.folder_for(job))
    say()
    say("3. Some answers (the simulator's: it spends nothing and knows little)")
    asked = FILE.read_bytes().splitlines()
    for line in some_answers(read_lines(fetch.results_paths(manifest, fetch.folder_for(job)))):
        say(f"  line {line.line}, {line.model}: {question(asked[line.line - 1])[:_WIDTH]}")
        say(f"    {text_of(line)[:_WIDTH]}", style="bold")
    say()
    say("4. The counts")
    report.say_over(job, manifest)
    report.say_summary(manifest, cloud.prices)
    report.say_files(paths)
    say(f"In the bucket: s3://{cloud.bucket}/{jobs.shown(cloud, job).output}")
    say(f"The local cloud stays up. End it with: .venv/bin/batchdrop local down{in_folder(state_dir)}")
    return exit_code_of(manifest)


def question(request: bytes) -> str:
    """Return the question of an example's line, in any of the three forms."""
    line = json.loads(request)
    body = line.get("body") or line.get("params") or line
    text: str = body["input"] if "input" in body else body["messages"][-1]["content"]
    return text


def some_answers(lines: Iterable[Line]) -> Iterator[Line]:
    """The first answers with a text, of each provider as many, in the order of the file."""
    taken: dict[str, int] = {}
    for line in lines:
        provider = line.provider or ""
        if text_of(line) and taken.get(provider, 0) < _SHOWN:
            taken[provider] = taken.get(provider, 0) + 1
            yield line
