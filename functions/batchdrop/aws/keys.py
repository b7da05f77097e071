"""The keys of the bucket: this module alone builds and reads S3 keys and the ids of jobs."""

import hashlib
import re

from batchdrop.records import Batch, Job, Split

INPUT, OUTPUT, WORK = "input/", "output/", "work/"
SETTINGS_FILE = "batchdrop.toml"
MANIFEST, REPORT = "manifest.json", "report.html"
SETTINGS_ENDING = f".{SETTINGS_FILE}"  # of the settings of single files, which their metadata name
SCHEMA_ENDING = ".schema.json"  # of output schemas, which settings name
COMPRESSED = (".jsonl.gz", ".jsonl.zst", ".csv.gz", ".csv.zst", ".tsv.gz", ".tsv.zst")
ROWS = "/rows.jsonl"  # how the key of what a table was rewritten to ends
ENDINGS = (".jsonl", ".csv", ".tsv", *COMPRESSED)
MAX_KEY_BYTES = 1024  # S3's limit
_LONGEST_NAME = len("results-00001.jsonl")
_ENDING = re.compile(r"\.(?P<kind>jsonl|csv|tsv)(\.gz|\.zst)?$")
# S3 names the key in what it answers about an upload in parts, as XML 1.0: that cannot hold these, and reads \r as \n.
_NOT_IN_XML = re.compile(r"[^\t\n\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_JOB_ID = re.compile(r"[0-9]{8}T[0-9]{6}Z-[0-9a-f]{10}")


# Beside their data, Spark, Hadoop and Databricks write `_SUCCESS`, checksums, marks of folders and of commits, and
# files that are moved when they are whole; macOS and Windows write what they show a folder by.
_NO_JOBS = frozenset({SETTINGS_FILE, "_SUCCESS", ".DS_Store", "Thumbs.db", "desktop.ini"})
_NO_JOBS_BEGIN = ("._", "_started_", "_committed_")
_NO_JOBS_END = ("_$folder$", ".crc", "._COPYING_", SETTINGS_ENDING, SCHEMA_ENDING)


def job_id(bucket: str, key: str, version_id: str | None, last_modified: str) -> str:
    """Sortable by the drop's time (`YYYYMMDDTHHMMSSZ`), and the same for the same version."""
    return f"{last_modified}-{version_digest(bucket, key, version_id)[:10]}"


def version_digest(bucket: str, key: str, version_id: str | None) -> str:
    """Names a version of an object, whenever it was written: 64 hex digits."""
    return hashlib.sha256("\0".join((bucket, key, version_id or "null")).encode()).hexdigest()


def is_job_id(text: str) -> bool:
    return _JOB_ID.fullmatch(text) is not None


def output_prefix(job: Job) -> str:
    """Where a job's answers lie: `output/<path>/<name>/<job>/`, or `output/<job>/` where S3 could not write there."""
    path = _ENDING.sub("", job.key.removeprefix(INPUT))
    prefix = f"{OUTPUT}{path}/{job.id}/"
    fits = len(prefix.encode()) + _LONGEST_NAME <= MAX_KEY_BYTES and _NOT_IN_XML.search(prefix) is None
    return prefix if fits else f"{OUTPUT}{job.id}/"


def retry_key(job: Job, number: int) -> str:
    """Return where a retry of a job's lines is dropped: beside the file, so that the same settings apply."""
    return f"{_ENDING.sub('', job.key)}.retry-{number}.jsonl"


def retry_lines_key(job: Job, digest: str) -> str:
    """Return where the line numbers of a retry lie: beside the results, or in `output/<job>/`.

    The latter where the key would be too long, or no value of S3's metadata, which is printable ASCII.
    """
    name = f"retry-lines/{digest}.jsonl"
    key = f"{output_prefix(job)}{name}"
    fits = len(key.encode()) <= MAX_KEY_BYTES and key.isascii() and key.isprintable()
    return key if fits else f"{OUTPUT}{job.id}/{name}"


def is_compressed(key: str) -> bool:
    return key.endswith(COMPRESSED)


def top_folder(key: str) -> str:
    """The first folder below `input/` that a file lies in: what is below may be a folder for each day."""
    return "/".join(key.split("/")[:-1][:2])


def table_delimiter(key: str) -> str | None:
    """Return the delimiter of a table, by its name: a comma (`.csv`) or a tab (`.tsv`); None for JSONL."""
    ending = _ENDING.search(key)
    return None if ending is None else {"csv": ",", "tsv": "\t"}.get(ending["kind"])


def is_table(key: str) -> bool:
    return table_delimiter(key) is not None


def is_rewritten(key: str) -> bool:
    """Return whether an object is read once, and its lines from then on from what was made of it."""
    return is_compressed(key) or is_table(key)


def beside_key(key: str, name: str) -> str:
    """Return the key of a file beside an object, such as the settings of a single file."""
    return f"{key.rpartition('/')[0]}/{name}"


def template_key(job: str, digest: str) -> str:
    """Return where a job's template lies, as it was when the file was dropped."""
    return f"{work_prefix(job)}template-{digest}.json"


def schema_key(job: str, digest: str) -> str:
    """Return where a job's output schema lies, as it was when the file was dropped."""
    return f"{work_prefix(job)}schema-{digest}.json"


def settings_keys(key: str) -> list[str]:
    """The settings files that a key's folders can have, the nearest last."""
    folders = key.split("/")[:-1]
    keys = ("/".join([*folders[:depth], SETTINGS_FILE]) for depth in range(1, len(folders) + 1))
    return [each for each in keys if len(each.encode()) <= MAX_KEY_BYTES]


def work_prefix(job: str) -> str:
    return f"{WORK}{job}/"


def attempt_prefix(split: Split, step: str) -> str:
    """Return where one attempt of a step writes: the epoch is in it, so that a late writer overwrites nothing."""
    return f"{work_prefix(split.job)}{split.index:05}/{step}-{split.round}-{split.epoch}/"


def plan_key(job: str, split: int, round_: int) -> str:
    """One plan a round of a split; the first that is written wins."""
    return f"{work_prefix(job)}{split:05}/plan-{round_}.json"


def copies_prefix(batch: Batch) -> str:
    """Return the prefix of the keys of all raw copies of a batch, and of the pieces that it was cut into."""
    return f"{work_prefix(batch.job)}{batch.split:05}/collected-{batch.id}-"


def pieces_key(batch: Batch) -> str:
    """The smaller batches that a batch is replaced by; the first that are written stay."""
    return f"{work_prefix(batch.job)}{batch.split:05}/pieces-{batch.id}.json"


def collected_prefix(batch: Batch) -> str:
    return f"{copies_prefix(batch)}{batch.epoch}/"


def called_prefix(batch: Batch) -> str:
    """Return the prefix of the keys of a batch's answers at real time, whichever worker got them."""
    return f"{work_prefix(batch.job)}{batch.split:05}/realtime-{batch.id}/"


def called_key(batch: Batch, position: int) -> str:
    """Return where the result row of one request lies; its number ends the key."""
    return f"{called_prefix(batch)}{position:09}"


def refusal_key(batch: Batch) -> str:
    """Return where the provider's words lie that refused a batch."""
    return f"{work_prefix(batch.job)}{batch.split:05}/refused-{batch.id}-{batch.epoch}.json"


def refused_model_key(ledger: str, endpoint: str) -> str:
    """Where the provider's words lie that does not take a model in batches: no job's own, for others name it too."""
    return f"{WORK}refused-models/{hashlib.sha256(f'{ledger} {endpoint}'.encode()).hexdigest()}.json"


def line_numbering_key(job: str) -> str:
    return f"{work_prefix(job)}opened.json"


def quote_key(job: str) -> str:
    return f"{work_prefix(job)}quote.json"


def is_job(key: str) -> bool:
    """Whether an object is one to process: all under `input/`, but folder markers, settings, and tools' own files."""
    folder, _, name = key.rpartition("/")
    if not key.startswith(INPUT) or not name or name in _NO_JOBS or "_temporary" in folder.split("/"):
        return False
    return not name.startswith(_NO_JOBS_BEGIN) and not name.endswith(_NO_JOBS_END)
