"""What can be dropped from Python, and what is refused before anything is sent."""

import gzip
import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest
from batchdrop import AlreadyRunning, BatchdropError, Client, TooExpensive
from batchdrop.states import JobState
from faking.lines import capped, chat, wanted
from hypothesis import given
from hypothesis import strategies as st

from batchdrop_client.sources import Source, as_file

if TYPE_CHECKING:
    from conftest import World

ROWS: list[dict[str, Any]] = [
    {"custom_id": "a", "model": "text-embedding-3-small", "input": "good, “very”\u2028good"},
    {"custom_id": "b", "model": "text-embedding-3-small", "input": 'bad "\n"', "user": "u"},
]
TEMPLATE = b'[template]\nmodel = "gpt-4o-mini"\nbody = { messages = [{ role = "user", content = "{{ text }}" }] }\n'
BODY = b"".join(json.dumps(row, ensure_ascii=False, separators=(",", ":")).encode() + b"\n" for row in ROWS)


NO_SETTINGS = ["template", "retry_of", "retry-of", "retry_lines", "sha256", "Settings"]


def dropped(world: "World") -> dict[str, bytes]:
    return {each["Key"]: world.cloud.read(each["Key"]) for each in world.drops()}


@pytest.mark.parametrize(
    "source",
    [
        BODY,
        bytearray(BODY),
        ROWS,
        (row for row in ROWS),
        pd.DataFrame(ROWS),
        pl.DataFrame(ROWS),
        pa.Table.from_pylist(
            ROWS, schema=pa.schema(dict.fromkeys(["custom_id", "model", "input", "user"], pa.string()))
        ),
    ],
    ids=["bytes", "bytearray", "list", "generator", "pandas", "polars", "arrow"],
)
def test_what_is_no_file_becomes_one_with_a_line_for_each_row(client: Client, world: "World", source: Source) -> None:
    assert client.put(source).state is None
    assert dropped(world) == {"input/requests.jsonl": BODY}


def test_a_file_keeps_its_name_and_its_bytes(client: Client, world: "World", tmp_path: Path) -> None:
    path = tmp_path / "reviews.jsonl.gz"
    path.write_bytes(gzip.compress(BODY))
    job = client.put(str(path))
    assert dropped(world) == {"input/reviews.jsonl.gz": path.read_bytes()}
    assert job.wait().state is JobState.COMPLETED


def test_a_name_lies_under_input_and_a_key_lies_anywhere_there(client: Client, world: "World") -> None:
    client.put(BODY, name="a.jsonl")
    client.put(ROWS[:1], key="input/mine/b.jsonl")
    assert sorted(dropped(world)) == ["input/a.jsonl", "input/mine/b.jsonl"]
    with pytest.raises(ValueError, match="Name a file or a key, not both"):
        client.put(BODY, name="a.jsonl", key="input/b.jsonl")


def test_settings_go_with_the_file(client: Client, world: "World") -> None:
    job = client.put(BODY, settings={"max_attempts": 5, "drop_params": ["seed", "user"], "expected_by": "6h"})
    world.go_on()
    row = world.cloud.services.store.job(job.id)
    assert row is not None
    settings = row.settings
    assert (settings.max_attempts, settings.drop_params, settings.expected_by) == (5, ("seed", "user"), "6h")


SCHEMA: dict[str, Any] = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


class Pydantic:
    """A class as pydantic's are."""

    @classmethod
    def model_json_schema(cls) -> dict[str, Any]:
        return SCHEMA


@pytest.mark.parametrize("kind", ["mapping", "path", "class"])
def test_answers_to_a_schema_are_data(client: Client, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "s.json"
    path.write_text(json.dumps(SCHEMA), encoding="utf-8")
    schema: Any = {"mapping": SCHEMA, "path": path, "class": Pydantic}[kind]
    job = client.put([{"text": "good"}], model="gpt-4o-mini", prompt="It: {{ text }}", schema=schema)
    (result,) = job.wait().results()
    assert list(result.data) == ["a"]
    (result,) = client.put([chat("Hi")], name="b.jsonl", schema=schema).wait().results()
    assert list(result.data) == ["a"]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"settings": {"max_atempts": 5}}, "unknown setting 'max_atempts'; did you mean max_attempts?"),
        *(({"settings": {name: "x"}}, f"settings: {name} is not a setting of a drop") for name in NO_SETTINGS),
        ({"settings": {"max_attempts": 50}}, "max_attempts = '50': a number from 1 to 10"),
        ({"key": "output/a.jsonl"}, "--key output/a.jsonl: a key must begin with input/ and name a file."),
        ({"name": "a.txt"}, "is not processed: a file to drop contains JSON lines"),
        ({"max_cost": Decimal("0.000001")}, "what it may cost at most is unknown"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_sent(
    client: Client, world: "World", options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BatchdropError) as raised:
        client.put([chat("Hi")], **options)
    assert said in str(raised.value)
    assert dropped(world) == {}


@pytest.mark.parametrize("max_cost", ["free", 0, -1, 0.1234567, float("nan")])
def test_a_limit_that_is_no_amount_of_dollars_is_wrong(client: Client, world: "World", max_cost: float) -> None:
    with pytest.raises(ValueError, match="max_cost must be US dollars above 0"):
        client.put(BODY, max_cost=max_cost)
    assert dropped(world) == {}


def test_a_file_above_its_limit_is_not_sent_and_one_below_takes_it_along(client: Client, world: "World") -> None:
    lines = [capped("Hi", "a")]
    with pytest.raises(TooExpensive, match=r"may cost \$0\.\d+ in batches, more than --max-cost 0\.000001"):
        client.put(lines, max_cost=0.000001)
    assert dropped(world) == {}
    job = client.put(lines, max_cost=1)
    world.go_on()
    row = world.cloud.services.store.job(job.id)
    assert row is not None
    assert row.settings.budget_usd == Decimal(1)


def test_the_same_bytes_are_not_paid_twice_unless_asked(client: Client, world: "World") -> None:
    first = client.put(BODY)
    with pytest.raises(AlreadyRunning, match=f"Job {first.id} is already processing the same bytes") as raised:
        world.client().put(BODY, name="other.jsonl")
    assert raised.value.job_id == first.id
    assert client.put(BODY, again=True).id != first.id
    assert len(world.drops()) == 2


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"model": "gpt-4o-mini"}, "A single mapping is one request: put it into a list."),
        (["a"], "Row 1 is a str, not a mapping."),
        ([{}, {"a": object()}], "Row 2: object is not JSON."),
        (7, "put() takes a path, bytes, rows or a data frame, not a int."),
    ],
)
def test_what_is_no_row_is_a_type_error_that_names_it(client: Client, world: "World", source: Any, said: str) -> None:
    with pytest.raises(TypeError) as raised:
        client.put(source)
    assert str(raised.value) == said
    assert dropped(world) == {}


def test_empty_cells_of_rows_under_a_template_are_null(client: Client, world: "World") -> None:
    cells = {"text": ["good", None], "n": [1.5, float("nan")]}
    options: dict[str, Any] = {"model": "gpt-4o-mini", "prompt": "It: {{ text }}{{ n }}"}
    frames = [pd.DataFrame(cells), pl.DataFrame(cells), pa.table(cells)]
    for number, frame in enumerate(frames):
        job = client.put(frame, name=f"{number}.jsonl", again=True, **options)
        found = [(each.error, each.text) for each in job.wait().results()]
        assert found == [(None, wanted(chat("It: good1.5"))[1]), (None, wanted(chat("It: "))[1])]
    world.cloud.services.files.put("input/team/batchdrop.toml", TEMPLATE)
    job = client.put(frames[0], key="input/team/a.jsonl", again=True)
    assert [each.error for each in job.wait().results()] == [None, None]


def test_a_parquet_file_is_a_table_and_one_column_may_be_kept(client: Client, world: "World", tmp_path: Path) -> None:
    path = tmp_path / "reviews.parquet"
    pl.DataFrame({"text": ["good"], "lang": ["en"], "n": [1]}).write_parquet(path)
    job = client.put(path, model="gpt-4o-mini", prompt="{{ text }} {{ n }}", keep="lang").wait()
    assert [result.row for result in job.results()] == [{"lang": "en"}]
    assert dropped(world) == {"input/reviews.jsonl": b'{"text":"good","lang":"en","n":1}\n'}


@pytest.mark.parametrize("key", ["input/reviews.jsonl", "input/other.jsonl"])
def test_the_same_rows_with_another_prompt_are_no_second_payment(client: Client, world: "World", key: str) -> None:
    def put(prompt: str) -> str:
        return client.put([{"text": "good"}], key=key, model="gpt-4o-mini", prompt=prompt).id

    first = client.put([{"text": "good"}], name="reviews.jsonl", model="gpt-4o-mini", prompt="Is it {{ text }}?").id
    with pytest.raises(AlreadyRunning) as raised:
        put("Is it {{ text }}?")
    assert raised.value.job_id == first
    world.take_drops()
    second = put("Who said {{ text }}?")
    with pytest.raises(AlreadyRunning) as raised:
        put("Who said {{ text }}?")
    assert raised.value.job_id == second
    assert len(world.drops()) == 2


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"prompt": "{{ text }}" + "x" * 70_000}, "at most 65,536 are read"),
        ({"prompt": "{{ text }}", "schema": {"type": "array"}}, 'must be a JSON Schema with "type": "object"'),
        ({"prompt": "{{ text }}", "max_tokens": 0}, "max_tokens must be a whole number from 1 to 1,000,000,000."),
        ({"prompt": "{{ text }}", "max_tokens": 1.5}, "max_tokens must be a whole number from 1 to 1,000,000,000."),
        ({"prompt": "{{ text }}", "temperature": 3}, "temperature must be from 0 to 2."),
        ({"prompt": "{{ text }}", "temperature": float("nan")}, "temperature must be from 0 to 2."),
        ({"embed": "text", "system": "Be kind."}, "--embed goes without --system, --max-tokens and --temperature."),
        ({"embed": "text", "max_tokens": 5}, "--embed goes without --system, --max-tokens and --temperature."),
        ({"prompt": "{{ text }}", "key": f"input/{'x' * 1_000}/a.jsonl"}, "its folder is too long for the settings"),
    ],
)
def test_options_without_sense_are_refused_before_the_upload(
    client: Client, world: "World", options: dict[str, Any], said: str
) -> None:
    with pytest.raises(BatchdropError) as raised:
        client.put([{"text": "a"}], **{"model": "gpt-4o-mini"} | options)
    assert said in str(raised.value)
    assert world.cloud.keys("input/") == []


def test_times_of_pandas_are_written_as_iso_8601() -> None:
    frame = pd.DataFrame({"at": pd.to_datetime(["2026-01-02T03:04:05", None])})
    assert lines_of(frame) == [{"at": "2026-01-02T03:04:05"}, {}]


@pytest.mark.parametrize(
    "frame",
    [
        pd.DataFrame([["a", "b"]], columns=["t", "t"]),
        pd.DataFrame([["a", "b"]], columns=[1, "1"]),
        pa.Table.from_arrays([pa.array(["a"]), pa.array(["b"])], names=["t", "t"]),
    ],
    ids=["pandas", "pandas' numbers", "arrow"],
)
def test_two_columns_of_one_name_are_refused(client: Client, world: "World", frame: Source) -> None:
    with pytest.raises(ValueError, match="Two columns of the table have one name"):
        client.put(frame)
    assert dropped(world) == {}


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [{"a": float("nan")}], pd.Series([1, float("nan")]).to_numpy()]
)
def test_a_number_that_json_has_not_is_refused_in_a_mapping(client: Client, world: "World", value: Any) -> None:
    with pytest.raises(ValueError, match=r"^Row 2: NaN and infinite numbers are not JSON"):
        client.put([{"a": None}, {"temperature": value}])
    assert dropped(world) == {}


def test_text_that_has_no_bytes_is_an_error_without_it(client: Client) -> None:
    with pytest.raises(ValueError, match=r"^Row 1 holds text that UTF-8 has no bytes for\.$"):
        client.put([{"secret": "\udc80"}])


def test_a_file_that_is_not_there_is_pythons_own_error(client: Client) -> None:
    with pytest.raises(FileNotFoundError):
        client.put("nowhere.jsonl")


def test_rows_are_written_as_they_come(tmp_path: Path) -> None:
    written: list[int] = []

    def rows() -> Iterator[dict[str, str]]:
        for number in range(3):
            written.append(number)
            yield {"text": "x" * 1_000_000}

    with as_file(rows(), "a.jsonl") as path:
        assert (path.name, path.stat().st_size, written) == ("a.jsonl", 3_000_036, [0, 1, 2])
    assert not path.exists()
    assert list(tmp_path.iterdir()) == []


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)


@given(rows=st.lists(st.dictionaries(st.text(), JSON, max_size=3), max_size=3))
def test_every_row_of_json_is_read_back_as_it_was(rows: list[dict[str, Any]]) -> None:
    assert lines_of(rows) == rows


def lines_of(source: Source) -> list[Any]:
    with as_file(source, "a.jsonl") as path, path.open("rb") as file:
        return [json.loads(line) for line in file]


FRAMES: list[Callable[[dict[str, Any]], Source]] = [pd.DataFrame, pl.DataFrame, pa.table]


@pytest.mark.parametrize("frame", FRAMES, ids=["pandas", "polars", "arrow"])
@given(cells=st.lists(st.tuples(st.text() | st.none(), st.integers(0, 2**53))))
def test_cells_of_a_table_come_through_and_empty_ones_are_left_out(
    frame: Callable[[dict[str, Any]], Source], cells: list[tuple[str | None, int]]
) -> None:
    texts, numbers = [text for text, _ in cells], [number for _, number in cells]
    wanted = [{"n": number} if text is None else {"t": text, "n": number} for text, number in cells]
    assert lines_of(frame({"t": texts, "n": numbers})) == wanted


def test_arrays_in_cells_and_more_rows_than_are_read_at_once() -> None:
    messages = pd.Series([[{"role": "user", "content": str(number)}] for number in range(2_500)])
    frame = pd.DataFrame({"messages": messages.map(lambda each: pd.Series(each).to_numpy())})
    assert lines_of(frame) == [{"messages": each} for each in messages]


def test_a_chat_line_goes_as_it_is(client: Client, world: "World") -> None:
    line = chat("Hi", "a")
    client.put([line], name="one.jsonl")
    assert json.loads(dropped(world)["input/one.jsonl"]) == line


def test_a_model_and_a_prompt_make_requests_of_rows_whatever_they_come_as(client: Client, tmp_path: Path) -> None:
    rows = [{"id": "r-1", "text": 'It "broke".', "lang": "en"}, {"id": "r-2", "text": "{{ text }}", "lang": "de"}]
    table = tmp_path / "reviews.csv"
    table.write_text('id,text,lang\nr-1,"It ""broke"".",en\nr-2,{{ text }},de\n')
    for source in (rows, pd.DataFrame(rows), table):
        job = client.put(source, model="gpt-4o-mini", prompt="Is this good? {{ text }}", id_column="id", keep=["lang"])
        found = [(each.custom_id, each.row, each.text) for each in job.wait().results()]
        assert found == [
            ("r-1", {"lang": "en"}, wanted(chat('Is this good? It "broke".'))[1]),
            ("r-2", {"lang": "de"}, wanted(chat("Is this good? {{ text }}"))[1]),
        ]


DATA = [{"id": 1, "text": "a text that is longer than the id"}, {"id": 2, "text": "b"}]


@pytest.mark.parametrize("data", [DATA, iter(DATA), pd.DataFrame(DATA), pl.DataFrame(DATA), b'{"text":"a"}\n'])
def test_data_that_nothing_is_asked_about_is_not_dropped(client: Client, world: "World", data: Source) -> None:
    with pytest.raises(BatchdropError) as raised:
        client.put(data)
    assert str(raised.value) == (
        "What you put holds data, not requests (no line names a model): name a model and a prompt (or embed), or put a "
        'batchdrop.toml with [template] into its folder in the bucket. For example: put(…, model="gpt-4o-mini", '
        'prompt="Sentiment of: {{ text }}")'
    )
    assert dropped(world) == {}


def test_data_is_dropped_where_a_folder_says_what_is_asked(client: Client, world: "World") -> None:
    world.cloud.services.files.put("input/mine/batchdrop.toml", TEMPLATE)
    client.put(DATA, key="input/mine/a.jsonl")
    assert "input/mine/a.jsonl" in dropped(world)


def test_one_line_that_may_be_a_request_is_dropped_with_the_others(client: Client, world: "World") -> None:
    client.put([*DATA, {"model": "gpt-4o-mini"}])
    assert list(dropped(world)) == ["input/requests.jsonl"]


def test_a_table_without_a_template_is_refused(client: Client, tmp_path: Path) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text("id,text\n1,good\n")
    with pytest.raises(BatchdropError, match=r"reviews\.csv is a table: name a model and a prompt"):
        client.put(table)


@pytest.mark.parametrize("delimiter", [";", "\t"])
def test_a_delimiter_among_the_settings_counts_before_the_upload_too(
    client: Client, tmp_path: Path, delimiter: str
) -> None:
    table = tmp_path / "reviews.csv"
    table.write_text(f"id{delimiter}text\n1{delimiter}good\n")
    job = client.put(table, model="gpt-4o-mini", prompt="{{ text }}", settings={"delimiter": delimiter})
    assert [each.text for each in job.wait().results()] == [wanted(chat("good"))[1]]
