"""Publish writes a report where the settings ask for one: once, before the manifest that names it."""

from dataclasses import replace
from typing import Any

import pytest
from batchdrop.aws.keys import output_prefix
from batchdrop.manifest import Document
from batchdrop.records import Job
from batchdrop.steps.publish import publish_job
from faking.cloud import BUCKET, Cloud, jsonl
from faking.failing import Failing
from faking.lines import chat

ON = {"batchdrop-report": "true"}
SECRET = "a prompt that nobody is to read"


class Died(BaseException):
    """No step catches it."""


def assembled(cloud: Cloud) -> Job:
    """A job that is to be published."""
    job_id = cloud.drop("input/x.jsonl", jsonl([chat(SECRET), chat("wrong"), b"{"]), **ON)
    assert job_id is not None
    for _ in range(50):
        while sum(cloud.deliver(step) for step in ("plan", "submit", "collect", "assemble")):
            pass
        job = cloud.services.store.job(job_id)
        assert job is not None
        if job.state == "PUBLISHING":
            return job
        cloud.tick(3_600)
    raise AssertionError("not assembled")


def published(cloud: Cloud, job: Job) -> tuple[Document, bytes]:
    """The report that the manifest names, as it names it."""
    report = cloud.outcome(job.id).manifest.files.report
    assert report is not None
    return report, cloud.services.files.get(report.key, report.version_id)


def test_a_report_lies_beside_the_manifest_that_names_it(cloud: Cloud) -> None:
    job = assembled(cloud)
    publish_job(job.id, cloud.services)
    report, page = published(cloud, job)
    head = cloud.s3.head_object(Bucket=BUCKET, Key=f"{output_prefix(job)}report.html")
    assert report == Document(
        key=f"{output_prefix(job)}report.html",
        version_id=head["VersionId"],
        etag=head["ETag"].strip('"'),
        bytes=len(page),
    )
    assert head["ContentType"] == "text/html; charset=utf-8"
    assert b"invalid_json" in page
    assert b"collected 2" in page, "the rows of its batches are drawn"
    assert SECRET.encode() not in page


def test_nothing_is_written_where_no_setting_asks_for_it(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", [chat("a")])
    assert out.manifest.files.report is None
    assert [each for each in cloud.keys("output/") if each.endswith(".html")] == []


def test_a_job_that_fails_has_a_report_too(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", [b"{"], **ON, **{"batchdrop-on-invalid": "reject"})
    assert (out.manifest.status, out.manifest.files.report is not None) == ("FAILED", True)


@pytest.mark.parametrize("write", ["put_first_stored", "put_first_version"])
def test_a_publisher_that_dies_here_leaves_one_report_and_its_manifest(cloud: Cloud, write: str) -> None:
    def fails(name: str, _: tuple[Any, ...]) -> bool:
        return name == write

    job = assembled(cloud)
    dying = replace(cloud.services, files=Failing(cloud.services.files, fails, Died("here")))
    with pytest.raises(Died):
        publish_job(job.id, dying)
    cloud.settle(tick=3_600)
    report, page = published(cloud, job)
    assert (report.bytes, cloud.keys(report.key)) == (len(page), [report.key])


def test_a_job_that_is_published_twice_keeps_its_first_report(cloud: Cloud) -> None:
    job = assembled(cloud)
    key = f"{output_prefix(job)}report.html"
    first = cloud.services.files.put(key, b"the report of a publisher that died", content_type="text/html")
    publish_job(job.id, cloud.services)
    report, page = published(cloud, job)
    assert report == Document(key=key, version_id=first.version_id, etag=first.etag, bytes=first.bytes)
    assert (page, cloud.keys(key)) == (b"the report of a publisher that died", [key])
