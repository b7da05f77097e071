"""A job's files onto this machine: what the manifest names, streamed; the manifest last, so that it says "whole"."""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec
from batchdrop.aws.keys import MANIFEST, output_prefix
from batchdrop.manifest import Document, Manifest
from batchdrop.records import Job

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.user_errors import UserError

DEFAULT_FOLDER = Path("results")

Kind = Literal["errors", "failed"]
"""A file of a job that is fetched alone."""


def folder_for(job: Job, *, merged: bool = False) -> Path:
    """`results/<name>`, the name being the input file's less its ending; `results/<name>-<job>` beside another job's.

    Merged results lie in a folder of their own: the other files and the manifest would not fit them.
    """
    folder = name_of(job)
    if job_in(DEFAULT_FOLDER / folder) not in {None, job.id}:
        folder = f"{folder}-{job.id}"
    return DEFAULT_FOLDER / (f"{folder}-with-retries" if merged else folder)


def name_of(job: Job) -> str:
    """The input file's name less its ending; the job's id where that is no name for a file."""
    name = PurePosixPath(output_prefix(job)).parent.name
    return name if name not in {"", ".", "..", "output"} else job.id


def check_folder(folder: Path | None) -> None:
    """Refuse, before anything is dropped or fetched, a folder for the results that cannot be one; it is made."""
    if folder is not None and folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is a file: name a folder for the results.")
    try:
        if folder is not None:
            folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise UserError(f"Cannot create the folder {folder} ({why}): name another with -o.", code=WRONG_USE) from error


class _Whose(msgspec.Struct):
    job: str


def job_in(folder: Path) -> str | None:
    """The job whose files lie in a folder, as their manifest says; None where there is none."""
    try:
        return msgspec.json.decode((folder / MANIFEST).read_bytes(), type=_Whose).job
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def fetch(cloud: Cloud, job: Job, manifest: Manifest, folder: Path, beside: Sequence[str] = ()) -> list[Path]:
    """Download a finished job's files; the results, in order, come first.

    Args:
        cloud: Where they are.
        job: Whose they are.
        manifest: Names them.
        folder: Where to.
        beside: The names of files that will be written beside them.

    Raises:
        UserError: A file is not as long as the manifest says, or a file of that name is there that is nobody's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    other = job_in(folder)
    if other is None:
        _refuse_files(folder, manifest, beside)
    if other not in {None, job.id}:
        cloud.notify(f"{folder} holds the files of job {other}: they are replaced.")
        (folder / MANIFEST).unlink()  # it would not fit what lies beside it from now on
    paths = [download(cloud, file, folder) for file in _files(manifest)]
    if job.manifest_key is not None:
        path = folder / MANIFEST
        path.write_bytes(cloud.files.get(job.manifest_key))
        paths.append(path)
    return paths


def fetch_only(cloud: Cloud, job: Job, manifest: Manifest, folder: Path, kinds: Sequence[Kind]) -> list[Path]:
    """Download some of a finished job's files, without its manifest: the folder does not hold the whole of it.

    Raises:
        UserError: The job has none, or a file of that name is there that is another's.
    """
    files = [file for file in (getattr(manifest.files, kind) for kind in kinds) if file is not None]
    if not files:
        raise UserError(f"Job {job.id} has no results. See: {cloud.command(f'show {job.id}')}")
    folder.mkdir(parents=True, exist_ok=True)
    if job_in(folder) != job.id:
        _refuse_existing(folder, files)
    return [download(cloud, file, folder) for file in files]


def _refuse_files(folder: Path, manifest: Manifest, beside: Sequence[str]) -> None:
    """Refuse to overwrite files that no manifest tells of, but for those of a download that was broken off."""
    _refuse_existing(folder, _files(manifest), beside)


def _refuse_existing(folder: Path, files: Iterable[Document], beside: Sequence[str] = ()) -> None:
    sizes = {_name(file): file.bytes for file in files} | dict.fromkeys(beside)
    for name, size in sizes.items():
        path = folder / name
        if path.exists() and path.stat().st_size != size:
            raise UserError(
                f"{path} exists and does not belong to this job; it is not overwritten. Name another folder."
            )


def results_paths(manifest: Manifest, folder: Path) -> list[Path]:
    return [folder / _name(part) for part in manifest.files.results]


def _files(manifest: Manifest) -> Iterator[Document]:
    yield from manifest.files.results
    for file in (manifest.files.errors, manifest.files.failed, *manifest.files.answers, manifest.files.report):
        if file is not None:
            yield file


def _name(file: Document) -> str:
    return PurePosixPath(file.key).name


def download(cloud: Cloud, file: Document, folder: Path) -> Path:
    """One file, under its own name.

    Raises:
        UserError: It is not as long as the manifest says.
    """
    path = folder / _name(file)
    unfinished = path.with_name(f".{path.name}.part")
    size = 0
    with unfinished.open("wb") as out:
        for chunk in cloud.files.stream(file.key, version_id=file.version_id):
            size += out.write(chunk)
    if size != file.bytes:
        unfinished.unlink()
        raise UserError(f"{file.key} came with {size:,} bytes instead of {file.bytes:,}. Repeat the command.")
    unfinished.replace(path)
    return path
