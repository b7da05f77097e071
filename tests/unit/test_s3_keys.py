"""Where everything lies in the bucket."""

import re

import pytest
from batchdrop.aws.keys import (
    attempt_prefix,
    collected_prefix,
    job_id,
    line_numbering_key,
    output_prefix,
    plan_key,
    settings_keys,
    work_prefix,
)
from batchdrop.records import Job
from faking import rows
from hypothesis import given
from hypothesis import strategies as st

ID = "20261105T091412Z-7f3a9c2e51"


def a_job(key: str) -> Job:
    return rows.a_job(job=ID, key=key)


def test_a_jobs_id_is_the_time_and_ten_hex_digits() -> None:
    assert job_id("b", "input/a.jsonl", "v", "20261105T091412Z") == "20261105T091412Z-d724906dcf"


def test_a_jobs_id_is_the_same_for_the_same_version_and_differs_for_every_other() -> None:
    def of(bucket: str = "b", key: str = "input/a.jsonl", version: str | None = "v") -> str:
        return job_id(bucket, key, version, "20261105T091412Z")

    assert of() == of()
    others = [of(version="w"), of(version=None), of(key="input/b.jsonl"), of(bucket="c"), of("bi", "nput/a.jsonl")]
    assert len({of(), *others}) == 6


@given(st.text(), st.text(), st.none() | st.text())
def test_a_jobs_id_fits_keys_names_and_rows(bucket: str, key: str, version: str | None) -> None:
    try:
        (bucket + key + (version or "")).encode()
    except UnicodeEncodeError:
        return  # no key of S3
    assert re.fullmatch(r"\d{8}T\d{6}Z-[0-9a-f]{10}", job_id(bucket, key, version, "20261105T091412Z"))


@pytest.mark.parametrize(
    ("key", "prefix"),
    [
        ("input/reviews.jsonl", "output/reviews/"),
        ("input/any/path/name.jsonl", "output/any/path/name/"),
        ("input/a.jsonl.gz", "output/a/"),
        ("input/a.jsonl.zst", "output/a/"),
        ("input/a.jsonl.jsonl", "output/a.jsonl/"),
        ("input/a.jsonl/b.jsonl", "output/a.jsonl/b/"),
        ("input/notes.txt", "output/notes.txt/"),
        ("input/a.JSONL", "output/a.JSONL/"),
        ("input/input/a.jsonl", "output/input/a/"),
        ("input/with space + 100%.jsonl", "output/with space + 100%/"),
        ("input/%2e%2e/é😀.jsonl", "output/%2e%2e/é😀/"),
        ("input/../a.jsonl", "output/../a/"),  # S3 knows no folders: the key is the key
        ("input//a.jsonl", "output//a/"),
    ],
)
def test_a_jobs_answers_lie_under_its_path_and_name(key: str, prefix: str) -> None:
    assert output_prefix(a_job(key)) == f"{prefix}{ID}/"


@pytest.mark.parametrize("letter", ["a", "é", "😀"])
def test_where_a_key_would_be_too_long_the_path_is_left_out(letter: str) -> None:
    room = 1_024 - len(f"output//{ID}/results-00001.jsonl")
    name = letter * (room // len(letter.encode()))
    filled = name + "x" * (room - len(name.encode()))
    assert output_prefix(a_job(f"input/{filled}.jsonl")) == f"output/{filled}/{ID}/"
    assert output_prefix(a_job(f"input/{filled}x.jsonl")) == f"output/{ID}/"


@pytest.mark.parametrize("character", ["\0", "\x01", "\r", "\x1f", "\ufffe", "\uffff"])
def test_where_a_key_holds_what_xml_does_not_the_path_is_left_out(character: str) -> None:
    assert output_prefix(a_job(f"input/a{character}b/c.jsonl")) == f"output/{ID}/"
    assert output_prefix(a_job("input/a\t\n\x7f\x85\ufffdb.jsonl")) == f"output/a\t\n\x7f\x85\ufffdb/{ID}/"


@given(st.text(min_size=1, max_size=400).filter(lambda text: text < "\ud800" or text.isascii()))
def test_no_output_key_passes_s3s_limit(name: str) -> None:
    try:
        name.encode()
    except UnicodeEncodeError:
        return
    prefix = output_prefix(a_job(f"input/{name}.jsonl"))
    assert prefix.startswith("output/")
    assert prefix.endswith(f"/{ID}/")
    assert len(f"{prefix}results-00001.jsonl".encode()) <= 1_024


@pytest.mark.parametrize(
    ("key", "found"),
    [
        ("input/a.jsonl", ["input/batchdrop.toml"]),
        ("input/x/y/a.jsonl", ["input/batchdrop.toml", "input/x/batchdrop.toml", "input/x/y/batchdrop.toml"]),
        ("input/x y+/é/a.jsonl", ["input/batchdrop.toml", "input/x y+/batchdrop.toml", "input/x y+/é/batchdrop.toml"]),
        ("input//a.jsonl", ["input/batchdrop.toml", "input//batchdrop.toml"]),
    ],
)
def test_a_files_settings_are_those_of_its_folders_the_nearest_last(key: str, found: list[str]) -> None:
    assert settings_keys(key) == found


def test_work_lies_under_its_job_and_names_the_attempt() -> None:
    split = rows.a_split(3, job=ID, round=2, epoch=7)
    batch = rows.a_batch(job=ID, id="00003-2-0001", split=3, round=2, epoch=9)
    assert [
        work_prefix(ID),
        attempt_prefix(split, "plan"),
        plan_key(ID, 3, 2),
        collected_prefix(batch),
        line_numbering_key(ID),
    ] == [
        f"work/{ID}/",
        f"work/{ID}/00003/plan-2-7/",
        f"work/{ID}/00003/plan-2.json",
        f"work/{ID}/00003/collected-00003-2-0001-9/",
        f"work/{ID}/opened.json",
    ]
