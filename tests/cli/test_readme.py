"""The README's commands for AWS, on a stack in moto."""

import io
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from time import sleep
from typing import TYPE_CHECKING

import msgspec
import pytest
from batchdrop.aws.keys import job_id
from batchdrop.manifest import Counts, Files
from batchdrop.records import Job
from batchdrop.states import JobState
from faking.outputs import a_manifest
from faking.parts import stack_with_parts
from faking.readme import commands

if TYPE_CHECKING:
    from conftest import Aws, Run

KEY = "input/reviews.csv"
LOOKING = ("setup", "doctor")


@pytest.mark.parametrize("words", [each for each in commands(on_aws=True) if each[0] == "keys"], ids=" ".join)
def test_a_key_is_set(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO("sk-mine\n"))
    assert run(*words).code == 0
    assert aws.secrets.get_secret_value(SecretId=f"batchdrop/{words[2]}")["SecretString"] == "sk-mine"


@pytest.mark.parametrize("words", [each for each in commands(on_aws=True) if each[0] in LOOKING], ids=" ".join)
def test_what_is_set_up_is_looked_at(aws: "Aws", run: "Run", monkeypatch: pytest.MonkeyPatch, words: list[str]) -> None:
    for provider in ("openai", "anthropic"):
        aws.secrets.create_secret(Name=f"batchdrop/{provider}", SecretString="sk-mine")
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with stack_with_parts(monkeypatch):
        assert run(*words).code == 0


@pytest.mark.parametrize(
    "words", [each for each in commands(on_aws=True) if each[0] not in {"keys", *LOOKING}], ids=" ".join
)
def test_a_file_is_run(aws: "Aws", run: "Run", a_job: Callable[..., Job], words: list[str]) -> None:
    Path("examples").mkdir()
    Path("examples/reviews.csv").write_bytes(b"id,text\n1,Good.\n")

    def finish() -> None:
        while not aws.keys(KEY):
            sleep(0.02)
        head = aws.s3.head_object(Bucket="batchdrop-test", Key=KEY)
        job = job_id("batchdrop-test", KEY, head["VersionId"], head["LastModified"].strftime("%Y%m%dT%H%M%SZ"))
        counts = Counts(total=1, answered=1, failed=0, errors={}, finish_reasons={})
        manifest = a_manifest(job, Files(results=[], errors=None, failed=None), counts=counts)
        aws.drop("output/m.json", msgspec.json.encode(manifest))
        aws.store.add(a_job(job=job, state=JobState.COMPLETED, manifest_key="output/m.json"))

    functions = Thread(target=finish)
    functions.start()
    code, out, _ = run(*words)
    functions.join()
    assert (words[0], code) == ("run", 0)
    assert " completed: 1 of 1 line answered." in out
