"""An upload that broke off goes on where it broke: no part that S3 has is sent twice, and every byte arrives."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.exceptions import EndpointConnectionError

from batchdrop_cli.claim_notes import kept_mark
from batchdrop_cli.cloud import Cloud
from batchdrop_cli.drop import drop_file, upload
from batchdrop_cli.fingerprints import PART_BYTES, fingerprint_of
from batchdrop_cli.state_dir import states
from batchdrop_cli.uploads import Upload, send
from batchdrop_cli.user_errors import UserError

if TYPE_CHECKING:
    from conftest import Aws

BUCKET, KEY = "batchdrop-test", "input/large.jsonl"
PARTS = 4


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    path = tmp_path / "large.jsonl"
    path.write_bytes(b"".join(bytes([number]) * PART_BYTES for number in range(PARTS - 1)) + b"end")
    return path


class Line:
    """The way to S3: it counts the parts that are sent, and breaks when it is told to."""

    def __init__(self, said: list[str]) -> None:
        self.cloud = Cloud(
            title="", is_local=False, bucket=BUCKET, table="batchdrop-jobs", session=boto3.Session(), notify=said.append
        )
        self.parts: list[int] = []
        self.breaks_at: int | None = None
        self.error: BaseException = EndpointConnectionError(endpoint_url="https://s3")
        self.cloud.s3.meta.events.register("provide-client-params.s3.UploadPart", self._count)

    def _count(self, params: dict[str, Any], **_: object) -> None:
        if params["PartNumber"] == self.breaks_at:
            raise self.error
        self.parts.append(params["PartNumber"])

    def upload(self, file: Path, **metadata: str) -> list[int]:
        pieces: list[int] = []
        upload(self.cloud, file, KEY, pieces.append, metadata)
        return pieces


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def line(aws: "Aws", said: list[str]) -> Line:
    assert aws.keys() == []
    return Line(said)


def stored(aws: "Aws") -> bytes:
    return aws.s3.get_object(Bucket=BUCKET, Key=KEY)["Body"].read()


def break_off(line: Line, file: Path, at: int) -> None:
    line.breaks_at = at
    with pytest.raises(type(line.error)):
        line.upload(file)
    line.breaks_at = None
    line.parts.clear()


@pytest.mark.parametrize("at", range(1, PARTS + 1))
@pytest.mark.parametrize("error", [EndpointConnectionError(endpoint_url="https://s3"), KeyboardInterrupt()])
def test_it_goes_on_wherever_it_broke(aws: "Aws", line: Line, file: Path, at: int, error: BaseException) -> None:
    line.error = error
    break_off(line, file, at)
    pieces = line.upload(file)
    assert stored(aws) == file.read_bytes()
    assert set(line.parts) >= set(range(at, PARTS + 1))
    assert set(line.parts).isdisjoint(range(1, at))
    assert sum(pieces) == file.stat().st_size
    assert aws.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", []) == []


def test_what_broke_off_is_said_and_how_it_goes_on(line: Line, file: Path, said: list[str]) -> None:
    break_off(line, file, 3)
    line.upload(file)
    assert said == [
        f"The upload of {file} broke off, and nothing was dropped. To go on with it, repeat the command within a week.",
        f"An upload of {file} broke off: 2 of 4 parts are there.",
    ]


def _change_the_file(_: "Aws", file: Path, __: Path) -> None:
    with file.open("r+b") as out:
        out.write(b"other bytes, as many")


def _abort(aws: "Aws", _: Path, __: Path) -> None:
    (left,) = aws.s3.list_multipart_uploads(Bucket=BUCKET)["Uploads"]
    aws.s3.abort_multipart_upload(Bucket=BUCKET, Key=KEY, UploadId=left["UploadId"])


def _cut_the_notes(_: "Aws", __: Path, notes: Path) -> None:
    notes.write_bytes(notes.read_bytes()[:-20])


def _spoil_the_notes(_: "Aws", __: Path, notes: Path) -> None:
    notes.write_bytes(b"\xff not JSON\n")


def _lose_the_notes(_: "Aws", __: Path, notes: Path) -> None:
    notes.unlink()


@pytest.mark.parametrize(
    "happens",
    [_change_the_file, _abort, _cut_the_notes, _spoil_the_notes, _lose_the_notes],
    ids=lambda each: each.__name__,
)
def test_whatever_happens_in_between_the_file_arrives_as_it_is(
    aws: "Aws", line: Line, file: Path, happens: Callable[["Aws", Path, Path], None]
) -> None:
    break_off(line, file, 3)
    (notes,) = (states() / "uploads").iterdir()
    happens(aws, file, notes)
    line.upload(file)
    assert stored(aws) == file.read_bytes()


def test_another_settings_are_another_upload(aws: "Aws", line: Line, file: Path) -> None:
    break_off(line, file, 3)
    line.upload(file, **{"batchdrop-deadline": "6h"})
    assert sorted(line.parts) == [1, 2, 3, 4]
    assert aws.s3.head_object(Bucket=BUCKET, Key=KEY)["Metadata"]["batchdrop-deadline"] == "6h"


def test_where_nothing_can_be_noted_it_is_uploaded_all_the_same(
    aws: "Aws", line: Line, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/dev/null")
    line.upload(file)
    assert stored(aws) == file.read_bytes()


def an_upload(cloud: Cloud, file: Path) -> Upload:
    same = {"dropped-by": str(cloud.user)}
    opened = file.open("rb")
    return Upload(cloud=cloud, path=file, file=opened, key=KEY, metadata=same, fingerprint=fingerprint_of(file))


def test_a_second_command_at_the_same_time_makes_an_upload_of_its_own(aws: "Aws", line: Line, file: Path) -> None:
    other, began = Line([]), []

    def begin_another(params: dict[str, Any], **_: object) -> None:
        if params["PartNumber"] == PARTS and not began:
            began.append(True)
            send(an_upload(other.cloud, file), lambda _: None)

    line.cloud.s3.meta.events.register("provide-client-params.s3.UploadPart", begin_another)
    line.upload(file)
    assert (began, sorted(other.parts)) == ([True], [1, 2, 3, 4])
    assert len(aws.s3.list_object_versions(Bucket=BUCKET)["Versions"]) == 2


def test_the_same_bytes_from_another_file_go_on(line: Line, file: Path, tmp_path: Path) -> None:
    break_off(line, file, 3)
    line.upload(file.rename(tmp_path / "other.jsonl"))
    assert set(line.parts) == {3, 4}


def test_notes_that_nobody_can_go_on_with_are_deleted(line: Line, file: Path) -> None:
    break_off(line, file, 3)
    (notes,) = (states() / "uploads").iterdir()
    old = notes.with_name("old")
    notes.rename(old)
    os.utime(old, (0, 0))
    line.upload(file)
    assert list((states() / "uploads").iterdir()) == []


@pytest.mark.parametrize("parts", [0, PARTS])
def test_a_file_that_changes_while_it_is_sent_is_not_dropped(
    aws: "Aws", line: Line, tmp_path: Path, file: Path, parts: int
) -> None:
    if not parts:
        file = tmp_path / "small.jsonl"
        file.write_bytes(b"{}\n")
    known = fingerprint_of(file)

    def change(**_: object) -> None:
        with file.open("ab") as out:
            out.write(b"more")

    line.cloud.s3.meta.events.register("provide-client-params.s3.UploadPart", change)
    if not parts:
        change()
    with pytest.raises(UserError, match="changed while it was sent: nothing was dropped"):
        upload(line.cloud, file, KEY, lambda _: None, fingerprint=known)
    assert (aws.keys(), aws.s3.list_multipart_uploads(Bucket=BUCKET).get("Uploads", [])) == ([], [])


DIES = """
import os, sys
from batchdrop_cli.claim_notes import kept_mark
with kept_mark(*sys.argv[1:], is_kept=True) as kept:
    print(kept.mark, flush=True)
    os.kill(os.getpid(), 9)
"""


def mark_of_a_killed_command(*told: str) -> str:
    ran = subprocess.run([sys.executable, "-c", DIES, *told], stdout=subprocess.PIPE, text=True, check=False)
    assert ran.returncode == -9
    return ran.stdout.strip()


@pytest.mark.usefixtures("file")
def test_a_mark_is_found_again_once_its_process_is_gone() -> None:
    mark = mark_of_a_killed_command("a", "b")
    with kept_mark("a", "b", is_kept=True) as kept, kept_mark("a", "b", is_kept=True) as other:
        assert (kept.mark, other.mark == mark) == (mark, False)
        kept.forget()
    with kept_mark("a", "b", is_kept=True) as new:
        assert new.mark != mark


def test_a_command_that_was_killed_is_repeated_at_once(aws: "Aws", line: Line, file: Path) -> None:
    digest, left = fingerprint_of(file).digest, []
    mark = mark_of_a_killed_command(BUCKET, line.cloud.table, digest, KEY)
    assert aws.store.leases.claim_drop(digest, 10**9, holder=mark).is_held

    def list_marks(**_: object) -> None:
        left.extend(each.read_text() for each in (states() / "claims").iterdir())

    with pytest.raises(UserError, match="Another command is dropping the same bytes right now"):
        drop_file(line.cloud, file, "input/elsewhere.jsonl", again=False)
    line.cloud.s3.meta.events.register("provide-client-params.s3.CompleteMultipartUpload", list_marks)
    job = drop_file(line.cloud, file, KEY, again=False)
    assert stored(aws) == file.read_bytes()
    assert mark not in left  # from here on a job may come of it
    assert aws.store.leases.claim_drop(digest, 60, holder=mark).job == job


def test_a_part_that_was_sent_of_another_version_is_sent_again(aws: "Aws", line: Line, file: Path) -> None:
    body, known = file.read_bytes(), fingerprint_of(file)
    file.write_bytes(b"other" + body[5:])
    line.breaks_at = 3
    with pytest.raises(EndpointConnectionError):
        upload(line.cloud, file, KEY, lambda _: None, fingerprint=known)
    line.breaks_at = None
    file.write_bytes(body)
    line.upload(file)
    assert stored(aws) == body
