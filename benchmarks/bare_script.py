"""The floor: what somebody writes in half an hour. Run by `others.py`: provider, folder for results, file."""

import itertools
import json
import sys
import time
from pathlib import Path

from machine import resident_mb

BATCH_LINES = 50_000  # OpenAI's most
LOOK_SECONDS = 1


def run_openai(results: Path, lines: Path) -> int:
    from openai import OpenAI  # noqa: PLC0415 - one contestant loads one SDK

    client, batches, count = OpenAI(), [], 0
    with lines.open("rb") as file:
        while piece := list(itertools.islice(file, BATCH_LINES)):
            count += len(piece)
            upload = client.files.create(file=("requests.jsonl", b"".join(piece)), purpose="batch")
            batches.append(
                client.batches.create(
                    input_file_id=upload.id, endpoint="/v1/chat/completions", completion_window="24h"
                ).id
            )
    for batch_id in batches:
        while (batch := client.batches.retrieve(batch_id)).status != "completed":
            time.sleep(LOOK_SECONDS)
        with client.files.with_streaming_response.content(str(batch.output_file_id)) as answer:
            answer.stream_to_file(results / f"{batch_id}.jsonl")
    return count


def run_anthropic(results: Path, lines: Path) -> int:
    from anthropic import Anthropic  # noqa: PLC0415 - the same

    client, batches, count = Anthropic(), [], 0
    with lines.open("rb") as file:
        while piece := [json.loads(line) for line in itertools.islice(file, BATCH_LINES)]:
            count += len(piece)
            batches.append(client.messages.batches.create(requests=piece).id)
    for batch_id in batches:
        while client.messages.batches.retrieve(batch_id).processing_status != "ended":
            time.sleep(LOOK_SECONDS)
        with (
            client.messages.batches.with_streaming_response.results(batch_id) as answer,
            (results / f"{batch_id}.jsonl").open("wb") as out,
        ):
            out.writelines(answer.iter_bytes())
    return count


def main() -> None:
    provider, results, lines = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    results.mkdir()
    count = {"openai": run_openai, "anthropic": run_anthropic}[provider](results, lines)
    print(json.dumps({"lines": count, "cpu_seconds": time.process_time(), "peak_mb": resident_mb()}))


if __name__ == "__main__":
    main()
