"""Someone outside: Python with boto3, nothing of this project, and the few values that `local up --json` prints.

`put` drops a file; `fetch` waits for its manifest and copies the files that it names.
"""

import json
import sys
import time
from pathlib import Path

import boto3

WAIT_SECONDS = 900  # a few are enough on a machine that does nothing else
LOOK_EVERY_SECONDS = 0.05

cloud = json.load(sys.stdin)
s3 = boto3.client(
    "s3",
    endpoint_url=cloud["endpoint"],
    region_name=cloud["region"],
    aws_access_key_id=cloud["access_key_id"],
    aws_secret_access_key=cloud["secret_access_key"],
)


def put(name: str, file: str) -> None:
    s3.put_object(Bucket=cloud["bucket"], Key=f"input/{name}.jsonl", Body=Path(file).read_bytes())


def fetch(name: str, folder: str) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while (key := manifest_key(name)) is None and time.monotonic() < deadline:
        time.sleep(LOOK_EVERY_SECONDS)
    if key is None:
        sys.exit(f"no manifest of {name} within {WAIT_SECONDS} s")
    manifest = read(key)
    Path(folder, "manifest.json").write_bytes(manifest)
    files = json.loads(manifest)["files"]
    for file in [*files["results"], files["errors"], files["failed"]]:
        if file is not None:
            Path(folder, file["key"].rpartition("/")[2]).write_bytes(read(file["key"]))


def manifest_key(name: str) -> str | None:
    found = s3.list_objects_v2(Bucket=cloud["bucket"], Prefix=f"output/{name}/").get("Contents", [])
    return next((each["Key"] for each in found if each["Key"].endswith("/manifest.json")), None)


def read(key: str) -> bytes:
    return s3.get_object(Bucket=cloud["bucket"], Key=key)["Body"].read()


if __name__ == "__main__":
    {"put": put, "fetch": fetch}[sys.argv[1]](*sys.argv[2:])
