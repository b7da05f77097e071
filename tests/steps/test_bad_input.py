"""Whatever is dropped: each line gives an answer or a clear error, and each file results or a reason."""

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from batchdrop.aws.keys import MAX_KEY_BYTES
from batchdrop.errors import Gone, Transient
from batchdrop.inputs.request_lines import MAX_LINE_BYTES
from batchdrop.steps.intake import take_object
from faking.cloud import BUCKET, Cloud, Outcome, jsonl
from faking.cloud import cloud as new_cloud
from faking.compression import gzipped
from faking.lines import chat, claude, got, wanted


def test_settings_that_begin_with_a_byte_order_mark_count(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/team/batchdrop.toml", Body=b"\xef\xbb\xbfmax_attempts = 2\n")
    job = cloud.services.store.job(cloud.drop("input/team/x.jsonl", jsonl([chat("one")])) or "")
    assert job is not None
    assert (job.reason, job.settings.max_attempts) == (None, 2)


# Lines. All of them are dropped in one file, each between two good ones.

OPEN = b'{"custom_id":"mine","method":"POST","url":"/v1/chat/completions","body":{"model":"gpt-4o-mini","messages":'
SAYING = len(OPEN) + len('[{"role":"user","content":"')  # where the text begins
MORE = b" and more text behind it"


def saying(text: bytes) -> bytes:
    """A line whose message says this, as it is: bytes between the quotes."""
    return OPEN + b'[{"role":"user","content":"' + text + b'"}]}}'


def with_custom_id(custom_id: bytes) -> bytes:
    return saying(b"hello").replace(b'"mine"', custom_id)


def with_value(value: bytes) -> bytes:
    """A line that holds this value where the API takes any."""
    tool = b'[{"type":"function","function":{"name":"f","parameters":{"default":' + value + b"}}}]"
    return OPEN + b'[{"role":"user","content":"hi"}],"tools":' + tool + b"}}"


VALUE = with_value(b"?").index(b"?")
CUSTOM_ID = OPEN.index(b'"mine"')
TOO_DEEP = "nested too deeply to be read: more than 500 levels"
HALF = "not JSON: half of a surrogate pair (a character cut in two)"
HEADER = "not JSON: it looks like a header or plain text: remove the line"
TOO_LARGE = "not JSON for every reader: the number"
NO_NUMBER = "which is not JSON (null is),"
MARK = "a byte-order mark, which may stand only where the file begins,"
ESCAPE = "not JSON: a control character that is not escaped"
NESTED = b"[" * 600 + b"]" * 600

# The line, the error's code, and its message.
MISTAKES: dict[str, tuple[bytes, str, str]] = {
    "a NUL": (saying(b"a\0b"), "invalid_json", f"{ESCAPE} (\\u0000) at byte {SAYING + 1}"),
    "a tab in a string": (saying(b"\t"), "invalid_json", f"{ESCAPE} (\\u0009) at byte {SAYING}"),
    "half a surrogate pair, raw": (saying(b"\xed\xa0\x80"), "invalid_utf8", f"not UTF-8: byte 0xed at byte {SAYING}"),
    "a first half": (saying(b"\\ud83d" + MORE), "invalid_json", f"{HALF} at byte {SAYING + 6}"),
    "a first half at the end": (saying(b"\\ud83d"), "invalid_json", HALF),
    "a second half": (saying(b"\\ude00" + MORE), "invalid_json", f"{HALF} at byte {SAYING + 6}"),
    "two halves the wrong way round": (saying(b"\\ude00\\ud83d"), "invalid_json", f"{HALF} at byte {SAYING + 6}"),
    "half in a custom_id": (with_custom_id(b'"\\ud800"'), "invalid_json", f"{HALF} at byte {CUSTOM_ID + 7}"),
    "half in a key": (with_value(b'{"\\ud800":"and more"}'), "invalid_json", f"{HALF} at byte {VALUE + 8}"),
    "invalid UTF-8": (saying(b"caf\xe9"), "invalid_utf8", f"not UTF-8: byte 0xe9 at byte {SAYING + 3}"),
    "a character cut by the end": (b'{"a":"\xe2\x82', "invalid_utf8", "not UTF-8: byte 0xe2 at byte 6"),
    "a byte-order mark inside the file": (b"\xef\xbb\xbf" + saying(b""), "invalid_json", f"not JSON: {MARK} at byte 0"),
    "100,000 levels of nesting": (saying(b"").replace(b'""', b"[" * 100_000 + b"]" * 100_000), "too_deep", TOO_DEEP),
    "100,000 objects that are never closed": (b'{"a":' * 100_000, "too_deep", TOO_DEEP),
    "600 levels of nesting": (with_value(NESTED), "too_deep", TOO_DEEP),
    "600 levels in a custom_id": (with_custom_id(NESTED), "too_deep", TOO_DEEP),
    "1e400": (with_value(b"1e400"), "invalid_json", f"{TOO_LARGE} 1e400 at byte {VALUE} is too large"),
    "-1E+999": (with_value(b"[-1E+999]"), "invalid_json", f"{TOO_LARGE} -1E+999 at byte {VALUE + 1} is too large"),
    "1e400 in a custom_id": (
        with_custom_id(b"1e400"),
        "invalid_json",
        f"{TOO_LARGE} 1e400 at byte {CUSTOM_ID} is too large",
    ),
    "a key twice": (
        saying(b"hello").replace(b'"model"', b'"model":"claude-x","model"'),
        "invalid_json",
        f'not JSON for every reader: "model" is there twice, the second time at byte {OPEN.index(b"model") + 18}',
    ),
    "a key twice in a tool's default": (
        with_value(b'{"a":1,"a":2}'),
        "invalid_json",
        f'not JSON for every reader: "a" is there twice, the second time at byte {VALUE + 7}',
    ),
    "400 digits": (with_value(b"9" * 400), "invalid_json", f"{TOO_LARGE} {'9' * 20}… at byte {VALUE} is too large"),
    "5,000 digits in a custom_id": (
        with_custom_id(b"9" * 5_000),
        "invalid_json",
        f"{TOO_LARGE} {'9' * 20}… at byte {CUSTOM_ID} is too large",
    ),
    "NaN": (with_value(b"NaN"), "invalid_json", f"not JSON: NaN, {NO_NUMBER} at byte {VALUE}"),
    "Infinity": (with_value(b"Infinity"), "invalid_json", f"not JSON: Infinity, {NO_NUMBER} at byte {VALUE}"),
    "-Infinity": (with_value(b"-Infinity"), "invalid_json", f"not JSON: Infinity, {NO_NUMBER} at byte {VALUE + 1}"),
    "a line cut in the middle": (saying(b"hello")[:-20], "invalid_json", "not JSON: it ends in the middle"),
    "two in one line": (b'{"a":1}' + saying(b"hello"), "invalid_json", "not JSON: trailing characters at byte 8"),
    "single quotes": (
        b"{'model': 'x'}",
        "invalid_json",
        "not JSON: it is written as Python prints it, with single quotes: write it with json.dumps",
    ),
    "a trailing comma": (b'{"model":"x",}', "invalid_json", "not JSON: trailing comma in object at byte 13"),
    "an array": (b"[1,2]", "not_a_request", "not a JSON object"),
    "null": (b"null", "not_a_request", "not a JSON object"),
    "the header of a column": (b"name", "invalid_json", HEADER),
    "text": (b"hello", "invalid_json", HEADER),
    "a line over the limit": (
        b"x" * (MAX_LINE_BYTES + 1),
        "line_too_long",
        "too long: more than 33,554,432 bytes from byte {offset} on",
    ),
}
HAVE_THEIR_CUSTOM_ID = {
    "600 levels of nesting",
    "1e400",
    "-1E+999",
    "a key twice",
    "a key twice in a tool's default",
    "400 digits",
}  # of the others it is unreadable, or unknown

# Odd, and yet requests: they are answered.

ODDITIES = {
    "U+2028, U+2029 and U+0085": saying("one\u2028two\u2029three\u0085four".encode()),
    "an escaped NUL": saying(b"a\\u0000b"),
    "a surrogate pair in escapes": saying(b"\\ud83d\\ude00"),
    "backslashes before what looks like half of one": saying(b"\\\\ud83d"),
    "a carriage return before its end": saying(b"hello") + b" \r",
    "white space around it": b" \t" + saying(b"hello") + b"\t ",
    "text that looks like 1e400": saying(b"1e400 [[[[ NaN"),
    "the largest double": with_value(b"1.7976931348623157e308"),
    "300 digits": with_value(b"9" * 300),
    "490 levels of nesting": with_value(b"[" * 490 + b"]" * 490),
    "600 messages": OPEN + b"[" + b",".join([b'{"role":"user","content":"[hi]"}'] * 600) + b"]}}",
}

CUSTOM_IDS: dict[str, Any] = {
    "a string": "r-1",
    "the same string again": "r-1",
    "empty": "",
    "null": None,
    "a number": 7,
    "a negative fraction": -1.5e-7,
    "a number beyond 64 bits": 10**30,
    "true": True,
    "an object": {"user": 3, "tags": ["a", None]},
    "an array": [1, [2]],
    "10 kB": "x" * 10_000,
    "quotes, newlines and backslashes": 'say "hi"\n\r\t\\ and \0',
    "U+2028": "one\u2028two",
    "an emoji": "😀",
    "another's of ours": "test-0000000000000000-0",
    "what breaks CSV and shells": '=1+1,"$(x)";--',
}


@dataclass(frozen=True, kw_only=True)
class Seen:
    """What came out of a file, without the cloud it came from."""

    body: bytes
    results: list[bytes]
    errors: list[dict[str, Any]]
    failed: list[bytes]
    counts: dict[str, Any]
    lines: tuple[int | None, int | None]

    def line(self, number: int) -> bytes:
        return self.body.split(b"\n")[number - 1]

    def result(self, number: int) -> dict[str, Any]:
        (found,) = (each for each in map(json.loads, self.results) if each["line"] == number)
        return found


def seen(out: Outcome, body: bytes) -> Seen:
    manifest = out.manifest
    raw = [line for each in manifest.files.results for line in out.cloud.read(each.key).split(b"\n")[:-1]]
    lines = (manifest.input.lines, manifest.input.blank_lines)
    counts = msgspec.to_builtins(manifest.counts)
    return Seen(body=body, results=raw, errors=out.errors, failed=out.failed, counts=counts, lines=lines)


def dropped(body: bytes) -> Seen:
    with new_cloud() as cloud:
        out = cloud.run("input/x.jsonl", body)
        charges = cloud.simulator.charges()
        assert charges["openai"]["requests_charged_more_than_once"] == 0
        return seen(out, body)


def between_good_ones(lines: list[bytes]) -> bytes:
    return jsonl([each for line in lines for each in (chat("before"), line, claude("after"))])


@pytest.fixture(scope="module")
def mistakes() -> Seen:
    return dropped(between_good_ones([line for line, _, _ in MISTAKES.values()]))


@pytest.fixture(scope="module")
def oddities() -> Seen:
    return dropped(between_good_ones(list(ODDITIES.values())))


@pytest.fixture(scope="module")
def custom_ids() -> Seen:
    lines = [{**chat(f"text {number}"), "custom_id": value} for number, value in enumerate(CUSTOM_IDS.values())]
    return dropped(jsonl([*lines, {"model": "gpt-4o-mini", "messages": [{"role": "user", "content": "none"}]}]))


@pytest.mark.parametrize("name", MISTAKES)
def test_a_line_that_cannot_be_sent_gives_its_error_and_itself(name: str, mistakes: Seen) -> None:
    number = 3 * list(MISTAKES).index(name) + 2
    (line, code, message), result = MISTAKES[name], mistakes.result(number)
    offset = sum(len(each) + 1 for each in mistakes.body.split(b"\n")[: number - 1])
    assert result == {
        "id": None,
        "custom_id": "mine" if name in HAVE_THEIR_CUSTOM_ID else None,
        "response": None,
        "error": {
            "code": code,
            "message": f"Line {number}: {message}.".replace("{offset}", f"{offset:,}"),
            "source": "input",
            "retryable": False,
        },
        "line": number,
        "provider": None,
        "model": None,
        "endpoint": None,
        "batch_id": None,
        "attempts": 0,
        "via": None,
    }
    at = mistakes.errors.index(result)
    assert mistakes.failed[at] == (line if len(line) <= MAX_LINE_BYTES else b"")


def test_lines_between_those_that_cannot_be_sent_are_answered(mistakes: Seen) -> None:
    count = len(MISTAKES)
    assert mistakes.lines == (3 * count, 0)
    assert [json.loads(line)["error"] is None for line in mistakes.results] == [True, False, True] * count
    assert mistakes.counts["total"] == 3 * count
    assert (mistakes.counts["answered"], mistakes.counts["failed"]) == (2 * count, count)


@pytest.mark.parametrize("name", ODDITIES)
def test_a_line_that_is_only_odd_is_answered(name: str, oddities: Seen) -> None:
    result = oddities.result(3 * list(ODDITIES).index(name) + 2)
    line = json.loads(ODDITIES[name])
    assert (result["error"], result["custom_id"]) == (None, "mine")
    assert got(result) == wanted(line)


def test_nothing_of_odd_lines_is_lost(oddities: Seen) -> None:
    assert oddities.lines == (3 * len(ODDITIES), 0)
    assert (oddities.errors, oddities.failed) == ([], [])


@pytest.mark.parametrize("name", CUSTOM_IDS)
def test_a_custom_id_of_any_kind_comes_back_as_it_was(name: str, custom_ids: Seen) -> None:
    number = list(CUSTOM_IDS).index(name)
    result = custom_ids.result(number + 1)
    assert (result["custom_id"], type(result["custom_id"])) == (CUSTOM_IDS[name], type(CUSTOM_IDS[name]))
    assert got(result) == wanted(chat(f"text {number}"))


def test_a_line_without_a_custom_id_has_null_for_it(custom_ids: Seen) -> None:
    result = custom_ids.result(len(CUSTOM_IDS) + 1)
    assert (result["custom_id"], result["error"]) == (None, None)


@pytest.mark.parametrize("which", ["mistakes", "oddities", "custom_ids"])
def test_every_result_is_json_for_strict_readers(which: str, request: pytest.FixtureRequest) -> None:
    found: Seen = request.getfixturevalue(which)
    for line in found.results:
        assert json.loads(line, parse_constant=pytest.fail) == msgspec.json.decode(line)


# Files that are read all the same

GOOD = [chat("one", 1), chat("two", 2), chat("three", 3)]
ALL_ANSWERED = [wanted(line) for line in GOOD]
ENDINGS = {
    "no newline at the end": (jsonl(GOOD)[:-1], 3, 0),
    "a byte-order mark": (b"\xef\xbb\xbf" + jsonl(GOOD), 3, 0),
    "CRLF": (jsonl(GOOD).replace(b"\n", b"\r\n"), 3, 0),
    "CRLF and no newline at the end": (jsonl(GOOD).replace(b"\n", b"\r\n")[:-2], 3, 0),
    "a byte-order mark and CRLF": (b"\xef\xbb\xbf" + jsonl(GOOD).replace(b"\n", b"\r\n"), 3, 0),
    "blank lines at both ends and between": (b"\n \n" + jsonl(GOOD).replace(b"\n", b"\n\t\r\n") + b"\n", 9, 6),
}


@pytest.mark.parametrize("name", ENDINGS)
def test_a_file_is_read_whatever_its_line_ends(name: str, cloud: Cloud) -> None:
    body, lines, blank = ENDINGS[name]
    out = cloud.run("input/x.jsonl", body)
    assert [got(result) for result in out.results] == ALL_ANSWERED
    assert (out.manifest.input.lines, out.manifest.input.blank_lines) == (lines, blank)
    assert out.failed == []


@pytest.mark.parametrize(
    "body", [b"\n", b"\r\n\r\n", b" ", b"\n\t\n  \n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"], ids=repr
)
def test_a_file_of_blank_lines_completes_with_nothing(body: bytes, cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", body)
    assert (out.manifest.status, out.results, out.errors, out.failed) == ("COMPLETED", [], [], [])
    lines = out.manifest.input.lines
    assert (lines, out.manifest.input.blank_lines) == (body.count(b"\n") + (not body.endswith(b"\n")), lines)


def test_a_bad_first_line_behind_a_byte_order_mark_comes_back_without_it(cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", b"\xef\xbb\xbfnonsense\n" + jsonl(GOOD))
    assert out.failed == [b"nonsense"]
    assert [got(result) for result in out.results[1:]] == ALL_ANSWERED


# Files that are not processed


def zipped(name: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr(name, jsonl(GOOD))
    return file.getvalue()


def looks_like(what: str, remedy: str) -> str:
    return f"The file looks like {what}, not like JSONL: {remedy}, and upload it again."


ZIP = looks_like("zip or an Excel workbook (.xlsx)", "unpack it, or export its rows as JSONL")
UTF_16 = looks_like("UTF-16", "save it as UTF-8")
ARRAY = (
    "The file is one JSON array: write one object per line, with no brackets around them and no commas between them."
)
SPREAD = (
    "The file's objects are spread over several lines (pretty-printed): write each object on one line, for example "
    "with `jq -c . FILE`, and upload it again."
)
FILES = {
    "an empty file": (b"", "The file is empty."),
    "gzip": (gzipped(jsonl(GOOD)), looks_like("gzip", "name it .jsonl.gz")),
    "zstd": (b"\x28\xb5\x2f\xfd\x24\x01", looks_like("zstd", "name it .jsonl.zst")),
    "bzip2": (b"BZh91AY&SY", looks_like("bzip2", "unpack it")),
    "xz": (b"\xfd7zXZ\x00\x00", looks_like("xz", "unpack it")),
    "zip": (zipped("x.jsonl"), ZIP),
    "an Excel workbook": (zipped("xl/workbook.xml"), ZIP),
    "an old Excel workbook": (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",
        looks_like("an old Excel workbook (.xls)", "export its rows as JSONL"),
    ),
    "Parquet": (b"PAR1\x15\x04", looks_like("Parquet", "export its rows as JSONL")),
    "UTF-16 with a byte-order mark": (jsonl(GOOD).decode().encode("utf-16"), UTF_16),
    "UTF-16, big-endian, with a byte-order mark": (b"\xfe\xff" + jsonl(GOOD).decode().encode("utf-16-be"), UTF_16),
    "UTF-16 without a byte-order mark": (jsonl(GOOD).decode().encode("utf-16-le"), UTF_16),
    "UTF-32": (jsonl(GOOD).decode().encode("utf-32"), looks_like("UTF-32", "save it as UTF-8")),
    "objects over several lines": (
        json.dumps(GOOD[0], indent=2).encode() * 2,
        SPREAD,
    ),
    "a CSV": (b"custom_id,prompt\na,hello\nb,bye\n", looks_like("CSV", "export its rows as JSONL")),
    "UTF-16 behind a blank line": (("\n" + jsonl(GOOD).decode()).encode("utf-16-le"), UTF_16),
    "a JSON array in one line": (json.dumps(GOOD).encode() + b"\n", ARRAY),
    "a JSON array with an object a line": (b"[\n" + b",\n".join(jsonl(GOOD).split(b"\n")[:-1]) + b"\n]\n", ARRAY),
    "a JSON array, indented": (json.dumps(GOOD, indent=2).encode(), ARRAY),
    "a JSON array behind a byte-order mark": (b"\xef\xbb\xbf" + json.dumps(GOOD, indent=2).encode(), ARRAY),
    "a JSON array in one line of megabytes": (json.dumps([chat("x" * 900)] * 3_000).encode(), ARRAY),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_jsonl_fails_with_what_it_is_before_anything_is_paid(name: str, cloud: Cloud) -> None:
    body, reason = FILES[name]
    out = cloud.run("input/x.jsonl", body)
    assert (out.manifest.status, out.manifest.reason) == ("FAILED", reason)
    assert (out.manifest.files.results, out.manifest.counts) == ([], None)
    (event,) = cloud.events()
    assert (event["detail-type"], event["detail"]["reason"]) == ("Job Failed", reason)
    charges = cloud.simulator.charges()
    assert {provider: charges[provider]["calls"] for provider in ("openai", "anthropic")} == {
        "openai": {},
        "anthropic": {},
    }


def test_a_file_of_more_lines_than_a_split_may_hold_fails_before_anything_is_paid() -> None:
    with new_cloud(lines_per_split=5) as cloud:
        five = [chat("one"), b"{}", b"", b"{}", b""]
        assert cloud.run("input/x.jsonl", jsonl(five)).manifest.input.lines == len(five)
        charged = cloud.simulator.charges()
        last = len(jsonl(five))
        out = cloud.run("input/y.jsonl", jsonl([*five, b"{}", b"{}"]))
        assert out.manifest.status == "FAILED"
        assert out.manifest.reason == (
            f"More than 5 lines begin from byte 0 to byte {last}. These lines are too short to be requests: "
            "remove them, or split the file."
        )
        assert cloud.simulator.charges() == charged


def test_a_file_in_many_splits_that_is_no_jsonl_says_so_once() -> None:
    with new_cloud(split_bytes=200) as cloud:
        out = cloud.run("input/x.jsonl", b"\x1f\x8b" + b"\n\xff" * 400)
        assert out.manifest.reason == looks_like("gzip", "name it .jsonl.gz")


@pytest.mark.parametrize(
    "first", [b"[1]", b"[oops", b"[]", b"[" + b"1," * 50_000 + b"1]"], ids=lambda line: repr(line)[:9]
)
def test_a_first_line_that_begins_like_an_array_is_that_lines_mistake_only(first: bytes, cloud: Cloud) -> None:
    out = cloud.run("input/x.jsonl", first + b"\n" + jsonl(GOOD))
    assert [result["error"] is None for result in out.results] == [False, True, True, True]
    assert out.failed == [first]


# Keys


LONGEST = "input/" + "x" * (MAX_KEY_BYTES - len("input/.jsonl")) + ".jsonl"
KEYS = {
    "spaces": "input/my file (1).jsonl",
    "a plus": "input/a+b/c+d.jsonl",
    "percents": "input/100%/%2F%20%41.jsonl",
    "an emoji": "input/😀/🎉.jsonl",
    "two dots": "input/../x.jsonl",
    "two dots inside": "input/a/../../b.jsonl",
    "a dot": "input/./x.jsonl",
    "slashes in a row": "input//a///b.jsonl",
    "quotes and the like": "input/a'b\"c&d=e?f#g;h:i@j,k$l<m>.jsonl",
    "no name": "input/.jsonl",
    "letters with accents in two ways": "input/é-e\u0301.jsonl",
    "an ending twice": "input/x.jsonl.jsonl",
}


@pytest.mark.parametrize("name", KEYS)
def test_a_file_of_any_name_is_processed_and_its_answers_lie_at_its_name(name: str, cloud: Cloud) -> None:
    key = KEYS[name]
    out = cloud.run(key, GOOD)
    assert out.manifest.input.key == key
    assert [got(result) for result in out.results] == ALL_ANSWERED
    folder = f"output/{key.removeprefix('input/').removesuffix('.jsonl')}/{out.manifest.job}/"
    assert cloud.keys("output/") == [
        f"{folder}{name}" for name in ("errors.jsonl", "failed.jsonl", "manifest.json", "results.jsonl")
    ]


@pytest.mark.parametrize(
    "key",
    [LONGEST, "input/" + "é" * 505 + ".jsonl", "input/" + "x" * 1_000 + "/y.jsonl"],
    ids=["1,024 bytes", "two bytes a letter", "a folder too long for settings"],
)
def test_answers_of_a_name_too_long_for_them_lie_at_the_jobs_id(key: str, cloud: Cloud) -> None:
    out = cloud.run(key, GOOD)
    assert [got(result) for result in out.results] == ALL_ANSWERED
    assert all(key.startswith(f"output/{out.manifest.job}/") for key in cloud.keys("output/"))


def test_a_name_that_just_fits_keeps_its_folder(cloud: Cloud) -> None:
    room = MAX_KEY_BYTES - len("output/") - len("/20261105T091412Z-7f3a9c2e51/results-00001.jsonl")
    fits = cloud.run("input/" + "x" * room + ".jsonl", GOOD)
    assert fits.manifest.files.results[0].key.startswith("output/xxx")
    beyond = cloud.run("input/" + "x" * (room + 1) + ".jsonl", GOOD)
    assert beyond.manifest.files.results[0].key == f"output/{beyond.manifest.job}/results.jsonl"


NO_JOBS = [
    "input/",
    "input/folder/",
    "input/folder.jsonl/",
    "input/batchdrop.toml",
    "input/a/batchdrop.toml",
    "input/frame.jsonl/_SUCCESS",
    "input/frame.jsonl/.part-00000.jsonl.crc",
    "input/frame.jsonl/_temporary/0/task_1/part-00000.jsonl",
    "input/frame.jsonl/_started_1",
    "input/frame.jsonl/_committed_1",
    "input/frame.jsonl_$folder$",
    "input/a.jsonl._COPYING_",
    "input/._a.jsonl",
    "input/.DS_Store",
    "input/Thumbs.db",
    "input/desktop.ini",
]


@pytest.mark.parametrize("key", NO_JOBS)
def test_folder_markers_settings_and_what_tools_leave_behind_are_no_jobs(key: str, cloud: Cloud) -> None:
    assert cloud.drop(key, b"{}") is None
    assert cloud.jobs() == []


@pytest.mark.parametrize("name", ["_a.jsonl", ".a.jsonl", "_SUCCESS.jsonl", "a.crc.jsonl", "_temporary.jsonl"])
def test_a_file_whose_name_only_resembles_such_a_one_is_a_job(name: str, cloud: Cloud) -> None:
    assert cloud.drop(f"input/{name}", b"{}") is not None


# One file, and what happens to it; and very many


def test_the_same_bytes_dropped_twice_are_two_jobs_with_answers_of_their_own(cloud: Cloud) -> None:
    jobs = [cloud.drop("input/x.jsonl", jsonl(GOOD)) for _ in range(2)]
    cloud.settle()
    assert len({job for job in jobs if job}) == 2
    for job in jobs:
        assert [got(result) for result in cloud.outcome(job or "").results] == ALL_ANSWERED


def test_one_version_told_of_many_times_is_one_job(cloud: Cloud) -> None:
    body = jsonl(GOOD)
    version = cloud.s3.put_object(Bucket=BUCKET, Key="input/x.jsonl", Body=body)["VersionId"]
    taken = []
    for _ in range(3):
        taken += [take_object(cloud.dropped("input/x.jsonl", body, version), cloud.services) for _ in range(2)]
        cloud.settle()
    assert len({job.id for job in taken if job}) == len(cloud.jobs()) == 1
    charges = cloud.simulator.charges()
    assert charges["openai"]["requests"] + charges["anthropic"]["requests"] == len(GOOD)


def overwrite(cloud: Cloud) -> None:
    cloud.s3.put_object(Bucket=BUCKET, Key="input/x.jsonl", Body=b"other")


def delete(cloud: Cloud) -> None:
    cloud.s3.delete_object(Bucket=BUCKET, Key="input/x.jsonl")


@pytest.mark.parametrize("change", [overwrite, delete])
@pytest.mark.parametrize("messages", [0, 1, 2], ids=["at once", "planned", "in flight"])
def test_a_file_that_is_overwritten_or_deleted_while_it_runs_is_answered_all_the_same(
    change: Any, messages: int, cloud: Cloud
) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([*GOOD, b"bad"]))
    for step in ("plan", "submit")[:messages]:
        cloud.deliver(step)
    change(cloud)
    cloud.settle()
    assert job is not None
    out = cloud.outcome(job)
    assert [got(result) for result in out.results[:-1]] == ALL_ANSWERED
    assert out.failed == [b"bad"]


def forget(cloud: Cloud, version: str | None) -> None:
    """Delete a version itself, as a lifecycle rule or an administrator may."""
    cloud.s3.delete_object(Bucket=BUCKET, Key="input/x.jsonl", VersionId=version)


def test_a_version_that_is_gone_before_intake_fails_with_its_reason(cloud: Cloud) -> None:
    version = cloud.s3.put_object(Bucket=BUCKET, Key="input/x.jsonl", Body=jsonl(GOOD))["VersionId"]
    forget(cloud, version)
    dropped = cloud.dropped("input/x.jsonl", b"x", version)
    cloud.clock.now += 899
    with pytest.raises(Transient):  # a bucket that is new may not show it yet
        take_object(dropped, cloud.services)
    assert cloud.jobs() == []
    cloud.clock.now += 1
    job = take_object(dropped, cloud.services)
    cloud.settle()
    assert job is not None
    manifest = cloud.outcome(job.id).manifest
    assert (manifest.status, manifest.reason) == ("FAILED", "The file was deleted before it could be read.")


def test_a_version_that_is_gone_before_it_is_read_fails_with_its_reason_and_nothing_is_paid(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl(GOOD))
    assert job is not None
    row = cloud.services.store.job(job)
    assert row is not None
    forget(cloud, row.version_id)
    cloud.settle()
    manifest = cloud.outcome(job).manifest
    assert (manifest.status, manifest.reason) == ("FAILED", "The file was deleted before it was read.")
    assert not {"upload", "create"} & cloud.simulator.charges()["openai"]["calls"].keys()


def test_answers_are_published_although_the_version_is_deleted_after_it_was_planned(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([GOOD[0], b"bad", b"worse"]))
    assert job is not None
    cloud.deliver("plan")
    row = cloud.services.store.job(job)
    assert row is not None
    forget(cloud, row.version_id)
    cloud.settle()
    out = cloud.outcome(job)
    assert [got(result) for result in out.results[:1]] == ALL_ANSWERED[:1]
    assert out.failed == [b"", b""]
    assert [each["line"] for each in out.errors] == [2, 3]
    assert all(each["error"]["message"].endswith("this line is empty in failed.jsonl.") for each in out.errors)
    assert out.manifest.files.failed is not None
    assert out.manifest.files.failed.lines == 2


def test_a_version_deleted_while_its_failed_lines_are_read_leaves_them_empty(cloud: Cloud) -> None:
    job = cloud.drop("input/x.jsonl", jsonl([GOOD[0], b"bad", b"worse"]))
    assert job is not None
    files = cloud.services.files
    stream, begun = files.stream, cloud.clock.now

    def gone(key: str, **span: Any) -> Iterator[bytes]:
        is_asked = span.get("end") == 1 and cloud.clock.now < begun + 900
        if key == "input/x.jsonl" and not is_asked and not cloud.services.store.split(job, 0).open:  # type: ignore[union-attr]
            raise Gone(key)
        return stream(key, **span)

    cloud.deliver("plan")
    files.stream = gone  # type: ignore[method-assign]  # deleted between the question and the read
    cloud.settle()
    out = cloud.outcome(job)
    assert (out.failed, len(out.errors), len(out.results)) == ([b"", b""], 2, 3)
    assert all(each["error"]["message"].endswith("this line is empty in failed.jsonl.") for each in out.errors)


def test_many_files_at_once_each_become_one_job_however_often_they_are_told(cloud: Cloud) -> None:
    """Ten thousand of them: `make bench-files`."""
    keys = [f"input/{number:02}.jsonl" for number in range(12)]
    told = [
        cloud.dropped(key, b"x", cloud.s3.put_object(Bucket=BUCKET, Key=key, Body=jsonl([chat(key)]))["VersionId"])
        for key in keys
    ]
    for each in (*told, *reversed(told)):
        take_object(each, cloud.services)
    cloud.settle()
    outcomes = [cloud.outcome(job.id) for job in cloud.jobs()]
    assert sorted(out.manifest.input.key for out in outcomes) == keys
    answers = {out.manifest.input.key: [got(result) for result in out.results] for out in outcomes}
    assert answers == {key: [wanted(chat(key))] for key in keys}
    assert cloud.simulator.charges()["openai"]["requests"] == len(keys)


def test_the_reason_of_a_rejected_file_quotes_nothing_of_its_lines(cloud: Cloud) -> None:
    canary = "canary-in-a-body"
    body = {"model": "claude-haiku-4-5", "max_tokens": 5, "messages": [{"role": "user", "content": "hi"}], canary: 1}
    lines: list[Any] = [
        chat("fine"),
        {"method": "POST", "url": "/v1/chat/completions", "body": body},
        {"model": canary, "messages": []},
        {"model": f"{canary}/x", "messages": []},
        {"method": "POST", "url": canary, "body": {"model": "gpt-4o-mini"}},
        f'{{"{canary}": 1, "{canary}": 2}}'.encode(),
        *[b"{"] * 2,
    ]
    out = cloud.run("input/x.jsonl", lines, **{"batchdrop-on-invalid": "reject"})
    assert (out.manifest.status, out.manifest.reason) == (
        "FAILED",
        (
            '7 lines are invalid, and on_invalid is "reject": line 2 (untranslatable), line 3 (unknown_model), line 4 '
            "(unknown_provider), line 5 (unknown_endpoint), line 6 (invalid_json), …. What is wrong with each: "
            "batchdrop validate FILE."
        ),
    )
    assert canary not in f"{cloud.table.items}{cloud.events()}"


def test_a_parameter_with_a_very_long_name_leaves_room_in_the_jobs_row_and_event(cloud: Cloud) -> None:
    body = '{"model":"claude-haiku-4-5","max_tokens":5,"messages":[{"role":"user","content":"hi"}],"%s":1}' % (
        "k" * 300_000
    )
    line = b'{"method":"POST","url":"/v1/chat/completions","body":' + body.encode() + b"}"
    out = cloud.run("input/x.jsonl", [line] * 6)
    assert (out.manifest.status, len(out.errors)) == ("COMPLETED", 6)
    assert max(len(each["error"]["message"]) for each in out.errors) < 5_000
    out = cloud.run("input/x.jsonl", [line] * 6, **{"batchdrop-on-invalid": "reject"})
    assert (out.manifest.status, len(out.manifest.reason or "") < 5_000) == ("FAILED", True)
