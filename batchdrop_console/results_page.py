"""The page of a job's results, and its files as they lie in the bucket."""

from itertools import chain
from pathlib import PurePosixPath
from urllib.parse import quote

from batchdrop.manifest import Document, Manifest
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from batchdrop_cli import jobs
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.user_errors import UserError
from batchdrop_cli.words import noun_of
from batchdrop_console.pages import console_of, page, render
from batchdrop_console.result_lines import read_page, read_place


@page
def show_results(request: Request) -> Response:
    cloud, query = console_of(request).cloud, request.query_params
    job = jobs.find(cloud, request.path_params["job"])
    jobs.refuse_unfinished(cloud, job)
    manifest = jobs.read_manifest(cloud, job)
    only_errors, with_texts = "errors" in query, "texts" in query
    place = read_place(query.get("at", ""))
    found = read_page(cloud, job, manifest, place, only_errors=only_errors, with_texts=with_texts)
    return render(
        request,
        "results.html",
        title="Results",
        job=job,
        noun=noun_of(job),
        manifest=manifest,
        found=found,
        place=place,
        only_errors=only_errors,
        with_texts=with_texts,
    )


@page
def download(request: Request) -> Response:
    """One of the files that the manifest names, streamed."""
    cloud = console_of(request).cloud
    job = jobs.find(cloud, request.path_params["job"])
    jobs.refuse_unfinished(cloud, job)
    name = request.path_params["name"]
    file = files_of(jobs.read_manifest(cloud, job)).get(name)
    if file is None:
        raise UserError(f"Job {job.id} has no file of this name.", code=WRONG_USE)
    chunks = cloud.files.stream(file.key, version_id=file.version_id)
    first = next(chunks, b"")  # what cannot be read is said on a page, before an answer has begun
    return StreamingResponse(
        chain((first,), chunks),
        media_type="application/octet-stream",
        headers={
            "content-disposition": f"attachment; filename*=UTF-8''{quote(f'{job.id}-{name}', safe='')}",
            "content-length": str(file.bytes),
        },
    )


def files_of(manifest: Manifest) -> dict[str, Document]:
    """A finished job's files, by their names."""
    others = (manifest.files.errors, manifest.files.failed, *manifest.files.answers, manifest.files.report)
    files = [*manifest.files.results, *(each for each in others if each is not None)]
    return {PurePosixPath(each.key).name: each for each in files}
