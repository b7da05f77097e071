"""A split is assembled block by block: exactly as it would be line by line, whatever its lines and results are."""

import json
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from batchdrop.aws import keys
from batchdrop.batches.request_files import custom_id_prefix
from batchdrop.batches.retry_rounds import Round
from batchdrop.batches.shared_lines import read_pairs
from batchdrop.batches.split_plan import IndexedError, IndexedLine, Route
from batchdrop.outputs.assembly import Assembly
from batchdrop.records import Batch
from batchdrop.result_line import ErrorCode, Result, UsualResult
from batchdrop.states import JobState
from faking.assemblies import LINES_BEFORE, SplitInMemory
from faking.result_files import FAULTS, a_row, claude, gpt, result_files
from hypothesis import given
from hypothesis import strategies as st

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ROUTES = [
    Route(provider="openai", model="gpt-4o", endpoint=CHAT),
    Route(provider="openai", model="gpt-5", endpoint=CHAT),
    Route(provider="anthropic", model="claude-x", endpoint=MESSAGES),
    Route(provider="anthropic", model="claude-x", endpoint=CHAT),  # translated
]
CUSTOM_IDS = ('"r-é"', "null", "7", '{"a":[1,{}]}', '"\\ud83d\\ude00"')
BAD = IndexedError(ErrorCode.INVALID_JSON, "not JSON", None, None, None)


class NothingIsUsual:
    """A reader that leaves everything to the careful one."""

    def answers(self, text: bytes, ends: list[int]) -> None: ...


class Counting:
    """A reader that counts the rows that it takes."""

    def __init__(self, reader: Any) -> None:
        self._reader, self.taken = reader, 0
        self.sum_usage = reader.sum_usage

    def answers(self, text: bytes, ends: list[int]) -> Any:
        found = self._reader.answers(text, ends)
        self.taken += len(ends) + 1 if found else 0
        return found


def line_by_line(assembly: Assembly) -> None:
    for sent in assembly.sent:
        sent.usual = NothingIsUsual()  # type: ignore[assignment]  # it takes nothing, and so sums nothing up


def a_line(at: int, *, route: int = 0, error: IndexedError | None = None) -> IndexedLine:
    custom_id = msgspec.Raw(CUSTOM_IDS[at % len(CUSTOM_IDS)].encode())
    return IndexedLine(at + 1, 100 * at, 99, -1 if error else route, custom_id, error)


def prefix_of(number: int) -> str:
    return custom_id_prefix("test", f"{number:016x}")


def kind_of(route: int) -> Callable[..., Any]:
    return gpt if ROUTES[route].provider == "openai" else claude


def add(split: SplitInMemory, members: list[int], route: int, results: bytes | None, **changes: Any) -> Batch:
    return split.add(members, results, endpoint=MESSAGES if kind_of(route) is claude else CHAT, **changes)


@st.composite
def sharing(draw: st.DrawFn, routes: list[int]) -> list[tuple[int, int]]:
    """Lines that share the request of an earlier one of their route, most often some."""
    firsts = dict[int, list[int]]()
    pairs, chance = [], draw(st.sampled_from([0, 1, 3]))
    for place, route in enumerate(routes):
        its = firsts.setdefault(route, [])
        if route >= 0 and its and draw(st.integers(0, 3)) < chance:
            pairs.append((place, draw(st.sampled_from(its))))
        else:
            its.append(place)
    return pairs


@st.composite
def splits(draw: st.DrawFn) -> SplitInMemory:
    """Lines of some routes, in batches of one protocol each that hold any of them, in any order; some in two."""
    routes = draw(st.lists(st.integers(-1, 3), min_size=1, max_size=60))
    lines = [a_line(at, route=route, error=BAD if route < 0 else None) for at, route in enumerate(routes)]
    split = SplitInMemory(lines, ROUTES)
    pairs = draw(sharing(routes))
    sharers = {place for place, _ in pairs}
    split.share(pairs)
    for kind in (gpt, claude):
        places = [at for at, route in enumerate(routes) if route >= 0 and kind_of(route) is kind and at not in sharers]
        for _ in range(draw(st.integers(0, 2)) if places else 0):
            members = draw(st.permutations(places))[: draw(st.integers(1, len(places)))]
            text = draw(result_files(kind, prefix_of(len(split.batches)), len(members), pieces=False))
            add(
                split,
                members,
                routes[members[0]],
                draw(st.sampled_from([text, text, text, text, None])),
                failure_code=draw(st.sampled_from([None, ErrorCode.PROVIDER_STUCK])),
                ended_as=draw(st.sampled_from([None, "failed"])),
                is_duplicate=draw(st.booleans()),
                attempt=draw(st.integers(1, 3)),
                batch_id=draw(st.sampled_from(["batch_é", None])),
            )
    split.job = split.job.with_(state=draw(st.sampled_from([JobState.RUNNING, JobState.CANCELLING])))
    return split


@given(
    split=splits(),
    piece_bytes=st.sampled_from([1, 1_000, 2**30]),
    spool_bytes=st.sampled_from([1, 5_000, 2**30]),
    is_hurried=st.booleans(),
)
def test_blocks_give_what_their_lines_give(
    split: SplitInMemory, piece_bytes: int, spool_bytes: int, *, is_hurried: bool
) -> None:
    def assemble(before: Callable[[Assembly], object]) -> dict[str, bytes]:
        return split.assemble(before, piece_bytes=piece_bytes, spool_bytes=spool_bytes, has_time=lambda: not is_hurried)

    assert assemble(lambda _: None) == assemble(line_by_line)


def of_one_batch(route: int, rows: list[bytes], **changes: Any) -> SplitInMemory:
    split = SplitInMemory([a_line(at, route=route) for at in range(len(rows))], ROUTES)
    add(split, list(range(len(rows))), route, b"\n".join(rows) + b"\n", **changes)
    return split


@pytest.mark.parametrize("route", [0, 2, 3])
@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_among_usual_answers_changes_nothing(route: int, fault: str) -> None:
    rows = [a_row(kind_of(route), f"{prefix_of(0)}{at}", fault if at in {2, 30} else "") for at in range(40)]
    split = of_one_batch(route, rows)
    assert split.assemble() == split.assemble(line_by_line)


@pytest.mark.parametrize("route", [0, 2])
def test_usual_answers_are_taken_in_blocks_and_cost_no_other_their_place(route: int) -> None:
    names = [f"{prefix_of(0)}{at}" for at in range(300)]
    faults = {7: "expired", 100: "NaN", 270: "billing_error"}
    rows = [a_row(kind_of(route), name, faults.get(at, "")) for at, name in enumerate(names)]
    split = of_one_batch(route, rows)
    counting: list[Counting] = []

    def count(assembly: Assembly) -> None:
        (sent,) = assembly.sent
        counting.append(Counting(sent.usual))
        sent.usual = counting[0]  # type: ignore[assignment]  # assemble asks it for no names

    written = split.assemble(count)
    results = next(text for key, text in written.items() if key.endswith("results-00000.jsonl"))
    assert counting[0].taken == 300 - 2 - 16  # two have no answer, and one's part of its block is read line by line
    found = [msgspec.json.decode(line, type=Result) for line in results.splitlines()]
    assert [each.line for each in found] == [LINES_BEFORE + at + 1 for at in range(300)]
    assert [at for at, each in enumerate(found) if each.error] == [7, 270]
    texts = [bytes(each.response.body) for each in found if each.response and not each.error]
    assert len(texts) == 298


def test_rows_too_long_for_one_block_are_read_in_smaller_ones() -> None:
    lengths = [70_000 if at % 50 else 2_000_000 for at in range(120)]
    rows = [json.dumps(gpt(f"{prefix_of(0)}{at}", text="x" * length)).encode() for at, length in enumerate(lengths)]
    split = of_one_batch(0, rows, max_bytes=3_000_000)
    taken: list[int] = []

    class Sizes(Counting):
        def answers(self, text: bytes, ends: list[int]) -> Any:
            assert len(text) <= 1024 * 1024
            taken.append(len(ends) + 1)
            return super().answers(text, ends)

    def count(assembly: Assembly) -> None:
        for sent in assembly.sent:
            sent.usual = Sizes(sent.usual)  # type: ignore[assignment]  # assemble asks it for no names

    assert split.assemble(count) == split.assemble(line_by_line)
    assert sum(taken) == 117  # but for those that are longer than a block by themselves


def test_a_result_is_written_as_it_is_read() -> None:
    """The struct of usual results has a result's fields, in their order."""
    split = of_one_batch(0, [json.dumps(gpt(f"{prefix_of(0)}0")).encode()])
    (line,) = (text for key, text in split.assemble().items() if key.endswith("results-00000.jsonl"))
    assert msgspec.json.encode(msgspec.json.decode(line, type=Result)) + b"\n" == line
    assert [*json.loads(line), "answered_by", "row", "shared_with"] == list(Result.__struct_fields__)
    assert UsualResult.__struct_fields__ == Result.__struct_fields__


def sent_in_rounds(*faults: str, goes_on: bool) -> SplitInMemory:
    """Two lines that each round sent again whole, but for the last; `goes_on` says whether a round's plan says so."""
    split = SplitInMemory([a_line(at, route=at) for at in range(2)], ROUTES)
    for number, fault in enumerate(faults):
        rows = [a_row(gpt, f"{prefix_of(number)}{at}", fault) for at in range(2)]
        again = 2 if number < len(faults) - 1 else 0
        add(split, [0, 1], 0, b"\n".join(rows) + b"\n", again=again, attempt=number + 1)
    for number in range(1, split.split.round + 1):
        gone = [each.id for each in split.batches[number - 1 : number] if goes_on]
        plan = msgspec.json.encode(Round(batches=[], goes_on=gone))
        split.files.put(keys.plan_key(split.split.job, 1, number), plan)
    return split


@pytest.mark.parametrize("last", ["", "expired"])
def test_a_batch_that_was_sent_again_whole_is_not_read_and_changes_nothing(last: str) -> None:
    split, read = sent_in_rounds("expired", "expired", last, goes_on=True), list[int]()
    written = split.assemble(lambda assembly: read.append(len(assembly.sent)))
    assert read == [1]
    assert written == sent_in_rounds("expired", "expired", last, goes_on=False).assemble()
    (part,) = (json.loads(text) for key, text in written.items() if key.endswith("/part"))
    assert [each["batches"] for each in part["models"]] == [3, 3]


def test_a_batch_that_no_round_went_on_from_speaks_for_its_lines() -> None:
    split = sent_in_rounds("expired", "", goes_on=False)
    split.batches.pop()
    assert [each["error"]["code"] for each in results_of(split.assemble())] == ["expired"] * 2


def results_of(written: dict[str, bytes]) -> list[dict[str, Any]]:
    found = [json.loads(line) for key in written if "/results-" in key for line in written[key].splitlines()]
    return sorted(found, key=lambda each: int(each["line"]))


@given(split=splits(), spool_bytes=st.sampled_from([1, 5_000, 2**30]), is_hurried=st.booleans())
def test_a_line_that_shares_has_the_result_of_its_first_line(
    split: SplitInMemory, spool_bytes: int, *, is_hurried: bool
) -> None:
    written = split.assemble(spool_bytes=spool_bytes, has_time=lambda: not is_hurried)
    results = results_of(written)
    assert [each["line"] for each in results] == [LINES_BEFORE + at + 1 for at in range(len(split.lines))]
    for place, first in read_pairs(split.files, split.plan.shared_key):  # type: ignore[arg-type]  # a stand-in by shape
        own = {name: results[place][name] for name in ("line", "custom_id")}
        assert results[place] in (
            results[first] | own | {"shared_with": LINES_BEFORE + first + 1},
            results[first] | own | unsent(results[first], own["line"]),
        )
    parts = [json.loads(text) for key, text in written.items() if key.endswith("/part")]
    errors = [line for key in sorted(written) if "/errors-" in key for line in written[key].splitlines()]
    failed = [line for key in sorted(written) if "/failed-" in key for line in written[key].splitlines()]
    assert len(errors) == len(failed) == sum(each["error"] is not None for each in results)
    assert sum(each["counts"]["total"] for each in parts) == len(results)
    models = [model for part in parts for model in part["models"]]
    assert sum(each["shared"]["requests"] for each in models) == sum("shared_with" in each for each in results)
    answered = [each for each in results if "shared_with" in each and each["error"] is None]
    assert sum(each["shared"]["answered"] for each in models) == len(answered)
    assert sum(each["answered"] for each in models) == sum(each["error"] is None for each in results)


def unsent(first: dict[str, Any], line: int) -> dict[str, Any]:
    """What is said of a line whose first line is in no batch: its own number stands in the sentence."""
    if first["error"] is None or "Line " not in first["error"]["message"]:
        return {}
    message = first["error"]["message"].replace(f"Line {first['line']}:", f"Line {line}:")
    return {"error": first["error"] | {"message": message}}
