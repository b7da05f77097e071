"""Many requests: facts are kept by batch, and every request is read from disk."""

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openai import OpenAI

from provider_simulator.app import Simulator

type Line = Callable[..., dict[str, Any]]


def test_twenty_thousand_requests_take_a_second_or_two(
    openai: OpenAI, simulator: Simulator, chat: Line, tmp_path: Path
) -> None:
    source = tmp_path / "in.jsonl"
    source.write_bytes(b"\n".join(json.dumps(chat(number)).encode() for number in range(20_000)))
    file = openai.files.create(file=source, purpose="batch")
    created = openai.batches.create(input_file_id=file.id, endpoint="/v1/chat/completions", completion_window="24h")
    started = time.process_time()
    batch = openai.batches.retrieve(created.id)
    assert time.process_time() - started < 5  # 0.4 s when it was written; the rest is for slow machines
    assert batch.request_counts is not None
    assert batch.request_counts.completed == 20_000
    assert simulator.charges()["openai"]["max_charged_per_body"] == 1


def test_the_facts_of_a_batch_do_not_grow_with_its_requests(
    openai: OpenAI, simulator: Simulator, start: Callable[..., Any], chat: Line
) -> None:
    sizes = []
    for count in (10, 1000):
        batch = openai.batches.retrieve(start([chat(number) for number in range(count)]).id)
        sizes.append(len(json.dumps([each for each in simulator.batches() if each["id"] == batch.id])))
    assert sizes[1] - sizes[0] < 10


def test_the_input_of_an_ended_batch_is_kept_only_as_a_file(
    openai: OpenAI, simulator: Simulator, start: Callable[..., Any], chat: Line
) -> None:
    batch = openai.batches.retrieve(start([chat(1)]).id)
    kept = {path.name for path in simulator.engine.store.batch_folder(batch.id).iterdir()}
    assert kept == {"index", "custom_ids", "answered"}
