"""Sending lines of a finished job again: which ones, from where, and how the new job names the old one.

The lines' numbers are a list of their own beside the results, named by the hash of its content, so that the same choice
is the same list. Numbers and lines go from file to file: nothing is held in memory.
"""

import hashlib
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count as counting
from itertools import takewhile
from pathlib import Path
from types import MappingProxyType

from batchdrop.aws.bucket import Head
from batchdrop.aws.keys import MAX_KEY_BYTES, beside_key, retry_key, retry_lines_key
from batchdrop.errors import Gone
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.inputs.retry_lineage import folder_of
from batchdrop.inputs.sources import read_source
from batchdrop.jsonl import Line, cut_lines
from batchdrop.manifest import File, Manifest
from batchdrop.records import Job
from batchdrop.states import TERMINAL_JOBS

from batchdrop_cli import drop, jobs
from batchdrop_cli.answers import Line as Result
from batchdrop_cli.answers import is_cut, read_line
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.say import count
from batchdrop_cli.settings_names import METADATA, belongs_to_one, named_by, new_name
from batchdrop_cli.user_errors import UserError
from batchdrop_cli.words import noun_of

RETRY_OF, RETRY_LINES = "batchdrop-retry-of", "batchdrop-retry-lines"
_SETTING = re.compile(r"batchdrop[-_](?!retry[-_]|sha256)", re.IGNORECASE)
_CHUNK = 1024 * 1024
_NONE: Mapping[str, str] = MappingProxyType({})
_SHOWN_HOPELESS = 5


@dataclass(kw_only=True)
class Hopeless:
    """Lines that fail again as they are: how many, and the first ones in words."""

    noun: str
    count: int = 0
    first: list[str] = field(default_factory=list)

    def add(self, place: int, line: Result) -> None:
        self.count += 1
        if line.error is not None and len(self.first) < _SHOWN_HOPELESS:
            self.first.append(f"{self.noun} {line.line} ({line.error.code}; line {place} of failed.jsonl)")

    def __str__(self) -> str:
        return ", ".join(self.first) + (", …" if self.count > len(self.first) else "")


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """Lines of a job: those that failed, or (`cut`) those whose answers were cut off.

    Attributes:
        numbers: A file with the number of each, rising, one a line.
        count: How many there are.
        hopeless: Those of them that cannot succeed unless they are changed.
        key: Where the list belongs in the bucket.
        settings: What the retry sets for itself, as metadata; it takes the place of what the job's file was given.
    """

    job: Job
    manifest: Manifest
    cut: bool
    numbers: Path
    count: int
    hopeless: Hopeless
    key: str
    settings: Mapping[str, str]

    def __str__(self) -> str:
        return count(self.count, f"{'cut' if self.cut else 'failed'} {noun_of(self.job)}")


def choose(cloud: Cloud, job: Job, numbers: Path, *, cut: bool, settings: Mapping[str, str] = _NONE) -> Chosen:
    """Find the lines of a job that may be sent again, and write their numbers to a file.

    Raises:
        UserError: The job is not over, or failed as a whole, or has no such line.
    """
    manifest = _of_finished(cloud, job)
    digest, total, hopeless = hashlib.sha256(), 0, Hopeless(noun=noun_of(job))
    with numbers.open("wb") as out:
        for result in _results(cloud, manifest, cut=cut):
            line = b"%d\n" % result.line
            digest.update(line)
            out.write(line)
            total += 1
            if _is_hopeless(result):
                hopeless.add(total, result)
    if not total:
        what = "answer that was cut off by its limit of tokens" if cut else f"failed {noun_of(job)}"
        raise UserError(f"Job {job.id} has no {what}: there is nothing to retry.")
    key = retry_lines_key(job, digest.hexdigest()[:16])
    return Chosen(
        job=job,
        manifest=manifest,
        cut=cut,
        numbers=numbers,
        count=total,
        hopeless=hopeless,
        key=key,
        settings=settings,
    )


def _of_finished(cloud: Cloud, job: Job) -> Manifest:
    if job.state not in TERMINAL_JOBS:
        see = cloud.command(f"show {job.id}")
        raise UserError(f"Job {job.id} is {job.state}: retry it when it is over. See: {see}")
    manifest = jobs.read_manifest(cloud, job)
    if manifest.counts is None:
        raise UserError(f"Job {job.id} failed as a whole: {manifest.reason} Fix this and upload the file again.")
    return manifest


def _is_hopeless(result: Result) -> bool:
    return result.error is not None and not result.error.retryable


def _results(cloud: Cloud, manifest: Manifest, *, cut: bool) -> Iterator[Result]:
    """The failed lines, or the answers that were cut off."""
    for file in manifest.files.results if cut else filter(None, [manifest.files.errors]):
        chunks = cloud.files.stream(file.key, version_id=file.version_id)
        for line in cut_lines(chunks, offset=0, max_bytes=sys.maxsize):  # answers are as long as they are
            read = read_line(line.bytes or b"")
            if not cut or is_cut(read):
                yield read


def save(cloud: Cloud, chosen: Chosen, path: Path) -> None:
    """Write the lines that would be sent, byte for byte, to a file that is not there yet.

    Raises:
        UserError: There is such a file, or the input is gone.
    """
    if path.exists():
        raise UserError(f"{path} already exists and is not overwritten. Name another file.")
    unfinished = path.with_name(f".{path.name}.part")
    try:
        with unfinished.open("wb") as out:
            out.writelines(_input_lines(cloud, chosen) if chosen.cut else _failed_lines(cloud, chosen))
        unfinished.replace(path)
    except Gone as error:
        raise UserError(f"The input of job {chosen.job.id} was deleted: its lines no longer exist.") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _failed_lines(cloud: Cloud, chosen: Chosen) -> Iterator[bytes]:
    failed = _failed_file(chosen)
    return cloud.files.stream(failed.key, version_id=failed.version_id)


def _input_lines(cloud: Cloud, chosen: Chosen) -> Iterator[bytes]:
    """The lines of these numbers, in one pass over the version that the job read."""
    job = chosen.job
    stored = cloud.files.stream(job.key, version_id=job.version_id)
    chunks = read_source(stored, job.key, max_bytes=sys.maxsize, delimiter=job.settings.delimiter)
    lines = enumerate(cut_lines(chunks, offset=0, max_bytes=MAX_LINE_BYTES), start=1)
    with chosen.numbers.open("rb") as numbers:
        for wanted in map(int, numbers):
            yield _whole(next(line for number, line in lines if number == wanted))


def _whole(line: Line) -> bytes:
    text = line.bytes or b""
    return text + b"\r" * (line.length - len(text)) + b"\n"


def _failed_file(chosen: Chosen) -> File:
    if chosen.manifest.files.failed is None:
        raise LookupError(f"{chosen.job.id} has no failed.jsonl")
    return chosen.manifest.files.failed


def check_fixed(cloud: Cloud, chosen: Chosen, path: Path) -> None:
    """Refuse a copy that has not one line for each line that is retried, or whose cut lines are as they were.

    Raises:
        UserError: It has more or fewer, and both counts are named; or the same limit would cut an answer again.
    """
    found = _count_lines(path)
    if found != chosen.count:
        raise UserError(
            f"{path} has {count(found, 'line')}, but job {chosen.job.id} has {chosen}. A fixed copy must keep "
            "all lines in their order: empty a line to skip it.",
            code=WRONG_USE,
        )
    if chosen.cut:
        _refuse_unchanged(cloud, chosen, path)


def _refuse_unchanged(cloud: Cloud, chosen: Chosen, path: Path) -> None:
    with path.open("rb") as file, suppress(Gone):  # what the lines were is not known any more
        for place, (fixed, was) in enumerate(zip(file, _input_lines(cloud, chosen), strict=True), start=1):
            if fixed.rstrip() and fixed.rstrip() == was.rstrip():
                raise UserError(
                    f"Line {place} of {path} is unchanged: the same limit would cut its answer again. Raise its "
                    "max_tokens, or empty the line to skip it.",
                    code=WRONG_USE,
                )


def find_unchanged(cloud: Cloud, chosen: Chosen, path: Path) -> Hopeless:
    """The lines of a fixed copy that are as they were, and cannot succeed so."""
    found = Hopeless(noun=noun_of(chosen.job))
    if chosen.cut or not chosen.hopeless.count:
        return found
    failed = cut_lines(_failed_lines(cloud, chosen), offset=0, max_bytes=sys.maxsize)
    with path.open("rb") as file:
        copies = zip(file, failed, _results(cloud, chosen.manifest, cut=False), strict=True)
        for place, (fixed, was, result) in enumerate(copies, start=1):
            if _is_hopeless(result) and fixed.strip() and fixed.rstrip() == (was.bytes or b"").rstrip():
                found.add(place, result)
    return found


def _count_lines(path: Path) -> int:
    """As they are counted in the bucket: the last one needs no line end."""
    lines, last = 0, b"\n"
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            lines += chunk.count(b"\n")
            last = chunk[-1:]
    return lines + (last != b"\n")


def free_key(cloud: Cloud, job: Job) -> str:
    """A key beside the job's file where nothing lies.

    Raises:
        UserError: It would be too long.
    """
    key = retry_key(job, len(beside(cloud, job)) + 1)
    if not _fits(key):
        raise UserError(f"The name of a retry beside {job.key} would be too long. Name a key with --key.")
    return key


def check_folder(job: Job, key: str) -> str:
    """The key of a retry, in the folder of the file that is retried: elsewhere it would not count.

    Raises:
        UserError: It lies in another one.
    """
    folder = folder_of(job.key)
    if folder_of(key) != folder:
        raise UserError(
            f"A retry of job {job.id} must lie in {folder}, beside the job's file: {key} does not.", code=WRONG_USE
        )
    return key


def beside(cloud: Cloud, job: Job) -> list[tuple[str, Head]]:
    """Return the retries that were dropped beside the job's file."""
    found = []
    with suppress(Gone):
        for key in takewhile(_fits, (retry_key(job, number) for number in counting(1))):
            found.append((key, cloud.files.head(key)))  # noqa: PERF401 - what was found before the gap is kept
    return found


def _fits(key: str) -> bool:
    return len(key.encode()) <= MAX_KEY_BYTES


def lineage(cloud: Cloud, chosen: Chosen) -> dict[str, str]:
    """The metadata of a retry: its job, its list of lines, which lies in the bucket from now on, and the settings."""
    try:
        cloud.files.head(chosen.key)
    except Gone:
        cloud.files.put(chosen.key, chosen.numbers)
    own = {RETRY_OF: chosen.job.id, RETRY_LINES: chosen.key}
    return {**_settings(cloud, chosen.job), **chosen.settings, **own}


def _settings(cloud: Cloud, job: Job) -> dict[str, str]:
    """Return the settings of the job's file alone; folders' settings apply by the key."""
    try:
        metadata = cloud.files.head(job.key, job.version_id).metadata
    except Gone:
        return {}
    given = {name: value for name, value in metadata.items() if _SETTING.match(name)}
    return given | _copied_settings(cloud, job, named_by(metadata))


def _copied_settings(cloud: Cloud, job: Job, name: str | None) -> dict[str, str]:
    """A settings file of the retry's own, where the job's file has one: `forget` deletes each with its job."""
    if name is None or not belongs_to_one(name):
        return {}
    with suppress(Gone):  # intake will name it
        text = cloud.files.get(beside_key(job.key, name))
        name = new_name(text)
        cloud.files.put(beside_key(job.key, name), text, content_type="application/toml")
    return {METADATA: name}


def send_failed(cloud: Cloud, chosen: Chosen, key: str) -> str:
    """Drop `failed.jsonl` as it lies in the bucket; the id of the job that intake makes of it."""
    return drop.copy(cloud, _failed_file(chosen), key, lineage(cloud, chosen))


def first_of(cloud: Cloud, job: Job) -> str:
    """The id of the oldest job that is there, of a chain of retries; the one before may have been forgotten."""
    while job.retry_of is not None:
        before = cloud.store.job(job.retry_of)
        if before is None:
            break
        job = before
    return job.id
