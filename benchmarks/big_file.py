"""`make big-file`: a file of 4 million lines and 2 GB goes through the local cloud, and is checked line by line.

Everything streams: the file is made while it is uploaded, and made again beside its results. Each result must stand in
its line's place, carry its line's id, and hold the answer that only its own request gets. Nothing may be paid twice.

The limits are the project's own, so that batches wait for one another. ARGS="--lines 40000" is a small one.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import httpx2
import msgspec
from deployed import PROVIDERS, scratch
from lines import chat_lines
from machine import machine, resident_mb

import local_cloud
from local_cloud import LocalCloud
from local_cloud.aws import client
from provider_simulator import answers

LINES, LINE_BYTES = 4_000_000, 500
PART_BYTES = 16 * 1024 * 1024
LOOK_SECONDS, SAY_SECONDS = 2, 30
NAME = "big"


class Response(msgspec.Struct):
    body: dict[str, Any]


class Result(msgspec.Struct):
    custom_id: str
    line: int
    error: msgspec.Raw | None
    response: Response | None


class Request(msgspec.Struct):
    custom_id: str
    body: dict[str, Any] | None = None
    params: dict[str, Any] | None = None


class Wrong(Exception):  # noqa: N818 - a finding
    """A result is not what its line should have got."""


def upload(cloud: LocalCloud, lines: Iterator[bytes]) -> int:
    """Upload a file while it is made; its bytes."""
    s3, sent, parts, buffer = _s3(cloud), 0, [], bytearray()
    place = {"Bucket": cloud.bucket, "Key": f"input/{NAME}.jsonl"}
    started = s3.create_multipart_upload(**place)["UploadId"]

    def flush() -> None:
        number = len(parts) + 1
        answer = s3.upload_part(**place, UploadId=started, PartNumber=number, Body=bytes(buffer))
        parts.append({"PartNumber": number, "ETag": answer["ETag"]})
        buffer.clear()

    for line in lines:
        buffer += line
        sent += len(line)
        if len(buffer) >= PART_BYTES:
            flush()
    if buffer:
        flush()
    s3.complete_multipart_upload(**place, UploadId=started, MultipartUpload={"Parts": parts})
    return sent


def manifest_of(cloud: LocalCloud, seconds: float) -> dict[str, Any]:
    """Wait for the manifest, saying how far the job is."""
    s3, began, said = _s3(cloud), time.monotonic(), 0.0
    while time.monotonic() - began < seconds:
        found = s3.list_objects_v2(Bucket=cloud.bucket, Prefix=f"output/{NAME}/").get("Contents", [])
        for each in found:
            if each["Key"].endswith("/manifest.json"):
                read: dict[str, Any] = json.loads(s3.get_object(Bucket=cloud.bucket, Key=each["Key"])["Body"].read())
                return read
        if time.monotonic() - said > SAY_SECONDS:
            said = time.monotonic()
            print(f"  {said - began:5.0f} s: {_progress(cloud)}", flush=True)
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"no manifest after {seconds:.0f} s")


def _progress(cloud: LocalCloud) -> str:
    url = f"{cloud.simulator_url}/control/batches"
    batches = httpx2.get(url, headers=cloud.simulator_headers, timeout=60).json()
    ended = sum(batch["status"] in {"completed", "ended"} for batch in batches)
    return f"{len(batches)} batches, {ended} ended, {sum(batch['answered'] for batch in batches):,} lines answered"


def check(cloud: LocalCloud, manifest: dict[str, Any], lines: Iterator[bytes]) -> int:
    """Compare every result with its line; how many there are.

    Raises:
        Wrong: One is not in its place, or not its line's.
    """
    results, number = _results(cloud, manifest), 0
    decode, read = msgspec.json.Decoder(Result).decode, msgspec.json.Decoder(Request).decode
    for number, line in enumerate(lines, start=1):
        text = next(results, None)
        if text is None:
            raise Wrong(f"line {number} has no result")
        result, request = decode(text), read(line)
        if (result.line, result.custom_id) != (number, request.custom_id):
            raise Wrong(f"in the place of line {number} stands line {result.line}")
        endpoint, body = ("anthropic", request.params) if request.params else ("openai", request.body)
        if result.error is not None or result.response is None or body is None:
            raise Wrong(f"line {number} has no answer")
        if answers.content(endpoint, result.response.body) != answers.expected(endpoint, body):
            raise Wrong(f"line {number} has another's answer")
    if next(results, None) is not None:
        raise Wrong(f"there are results beyond line {number}")
    return number


def _results(cloud: LocalCloud, manifest: dict[str, Any]) -> Iterator[bytes]:
    s3, rest = _s3(cloud), b""
    for part in manifest["files"]["results"]:
        for start in range(0, part["bytes"], PART_BYTES):
            span = f"bytes={start}-{start + PART_BYTES - 1}"
            body = s3.get_object(Bucket=cloud.bucket, Key=part["key"], Range=span)["Body"].read()
            *whole, rest = (rest + body).split(b"\n")
            yield from whole
    if rest:
        raise Wrong("the last result has no line end")


def check_bill(cloud: LocalCloud, lines: int) -> None:
    url = f"{cloud.simulator_url}/control/charges"
    bill = httpx2.get(url, headers=cloud.simulator_headers, timeout=600).json()
    paid = sum(bill[name]["requests"] for name in PROVIDERS)
    most = max(bill[name]["max_charged_per_request"] for name in PROVIDERS)
    if (paid, most) != (lines, 1):
        raise Wrong(f"{paid:,} answers were paid for {lines:,} lines, one request up to {most} times")


class Peaks:
    """The most that each process of the cloud had resident, and the functions' workers below the emulator."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._emulator = cloud.pids["emulator"]
        self.worker_mb = self.emulator_mb = 0.0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(LOOK_SECONDS):
            self.emulator_mb = max(self.emulator_mb, _peak_mb(self._emulator))
            for child in _children(self._emulator):
                self.worker_mb = max(self.worker_mb, _peak_mb(child))


def _children(pid: int) -> list[int]:
    found = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for path in found for child in _read(path).split()]


def _peak_mb(pid: int) -> float:
    lines = [line for line in _read(Path(f"/proc/{pid}/status")).splitlines() if line.startswith("VmHWM")]
    return int(lines[0].split()[1]) * 1024 / 1e6 if lines else 0.0


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:  # the process has ended
        return ""


def _s3(cloud: LocalCloud) -> Any:  # noqa: ANN401 - boto3 makes its clients at run time
    return client("s3", cloud, read_timeout=600)


def run(cloud: LocalCloud, count: int, size: int, seconds: float) -> None:
    began = time.monotonic()
    with Peaks(cloud) as peaks:
        sent = upload(cloud, chat_lines(count, *PROVIDERS, size=size))
        print(f"{count:,} lines, {sent / 1e9:.2f} GB, uploaded after {time.monotonic() - began:.0f} s", flush=True)
        manifest = manifest_of(cloud, seconds)
        took = time.monotonic() - began
    print(
        f"{manifest['status']} after {took:.0f} s, {sent / 1e6 / took:.1f} MB/s; resident at most: a function "
        f"{peaks.worker_mb:.0f} MB, the emulator {peaks.emulator_mb:.0f} MB",
        flush=True,
    )
    checked = check(cloud, manifest, chat_lines(count, *PROVIDERS, size=size))
    check_bill(cloud, count)
    print(f"{checked:,} results are their lines' own, in order, each paid once ({resident_mb():.0f} MB to check them)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--lines", type=int, default=LINES)
    parser.add_argument("--size", type=int, default=LINE_BYTES, help="bytes of a line")
    parser.add_argument("--hours", type=float, default=6, help="to wait for the manifest")
    asked = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory(dir=scratch()) as folder:
        try:
            run(local_cloud.up(Path(folder)), asked.lines, asked.size, asked.hours * 3_600)
        except Wrong as wrong:
            sys.exit(f"WRONG: {wrong}")
        finally:
            local_cloud.down(Path(folder))


if __name__ == "__main__":
    main()
