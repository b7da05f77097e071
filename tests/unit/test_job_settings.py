"""batchdrop.toml and the object's metadata."""

from decimal import Decimal

import pytest
from batchdrop.deadlines import seconds
from batchdrop.errors import Unprocessable
from batchdrop.inputs.job_settings import find_budget_folder, find_template, resolve
from batchdrop.inputs.templates import Template
from batchdrop.records import JobSettings
from hypothesis import given
from hypothesis import strategies as st


def reason(text: str = "", **metadata: str) -> str:
    with pytest.raises(Unprocessable) as caught:
        resolve([("input/batchdrop.toml", text)], {name.replace("_", "-"): value for name, value in metadata.items()})
    return str(caught.value)


def refusal(files: list[tuple[str, str]], metadata: dict[str, str]) -> str:
    """Why they are refused; nothing where they are taken."""
    try:
        resolve(files, metadata)
    except Unprocessable as error:
        return str(error)
    return ""


def test_a_job_without_settings_has_the_defaults() -> None:
    assert resolve([], {}) == JobSettings(
        max_attempts=3,
        on_invalid="skip",
        priority=0,
        expected_by=None,
        max_age="30d",
        part_bytes=None,
        anthropic_version=None,
        betas=(),
        drop_params=(),
        budget_usd=None,
        monthly_budget_usd=None,
        delimiter=None,
        answers=(),
        csv_bom=False,
        csv_formulas=False,
    )


EVERY_KEY = """
max_attempts = 5
on_invalid = "reject"
priority = -3
expected_by = "07:00Z"
max_age = "36h"
part_bytes = 10_000_000
anthropic_version = "2026-10-21"
betas = ["context-1m-2025-08-07", "b"]
drop_params = ["seed"]
budget_usd = 0.1
"""
READ = JobSettings(
    max_attempts=5,
    on_invalid="reject",
    priority=-3,
    expected_by="07:00Z",
    max_age="36h",
    part_bytes=10_000_000,
    anthropic_version="2026-10-21",
    betas=("context-1m-2025-08-07", "b"),
    drop_params=("seed",),
    budget_usd=Decimal("0.1"),
)


def test_a_file_may_set_every_key() -> None:
    assert resolve([("input/batchdrop.toml", EVERY_KEY)], {}) == READ


def test_an_objects_metadata_may_set_every_key() -> None:
    metadata = {
        "batchdrop-max-attempts": "5",
        "batchdrop-on-invalid": "reject",
        "batchdrop-priority": "-3",
        "batchdrop-expected-by": "07:00Z",
        "Batchdrop-Max_Age": "36h",
        "batchdrop-part-bytes": "10000000",
        "batchdrop-anthropic-version": "2026-10-21",
        "batchdrop-betas": "context-1m-2025-08-07, b,",
        "batchdrop-drop-params": "seed",
        "batchdrop-budget_usd": "0.1",
    }
    assert resolve([], metadata) == READ


def test_the_nearest_wins_key_by_key_and_the_metadata_over_all() -> None:
    files = [
        ("input/batchdrop.toml", 'priority = 1\nmax_age = "1d"\nbetas = ["a"]\non_invalid = "reject"'),
        ("input/x/batchdrop.toml", 'priority = 2\nbetas = []\nmax_age = "2d"'),
        ("input/x/y/batchdrop.toml", "priority = 3"),
    ]
    assert resolve(files, {"batchdrop-max-age": "9d"}) == JobSettings(
        on_invalid="reject", priority=3, max_age="9d", betas=()
    )


def test_metadata_of_others_and_of_the_command_is_no_setting() -> None:
    metadata = {"priority": "x", "batchdrop-retry-of": "j", "batchdrop-retry-lines": "k", "batchdrop-sha256": "0"}
    assert resolve([], metadata) == JobSettings()


def test_an_unknown_key_is_named_with_the_nearest_that_is_known() -> None:
    assert [reason("max_tries = 3"), reason("On-Invalid = 1"), reason(batchdrop_betta="x")] == [
        "input/batchdrop.toml: unknown setting 'max_tries'; did you mean max_attempts?",
        "input/batchdrop.toml: unknown setting 'On-Invalid'; did you mean on_invalid?",
        "the object's metadata: unknown setting 'betta'; did you mean betas?",
    ]


def test_an_unknown_key_that_is_like_none_is_named_with_all_that_are_known() -> None:
    known = ", ".join(JobSettings.__struct_fields__)
    assert [reason("[colours]\nmax_age = 1"), reason(batchdrop_colour="red"), reason(f"{'x' * 100_000} = 1")] == [
        f"input/batchdrop.toml: unknown setting 'colours'; known are {known}",
        f"the object's metadata: unknown setting 'colour'; known are {known}",
        f"input/batchdrop.toml: unknown setting '{'x' * 99}; known are {known}",
    ]


def test_a_monthly_budget_is_of_the_nearest_folder_that_sets_one() -> None:
    files = [
        ("input/batchdrop.toml", "monthly_budget_usd = 1000"),
        ("input/x/batchdrop.toml", "monthly_budget_usd = 12.50"),
        ("input/x/y/batchdrop.toml", "budget_usd = 1"),
    ]
    assert (resolve(files, {}).monthly_budget_usd, find_budget_folder(files)) == (Decimal("12.50"), "input/x/")
    assert (find_budget_folder(files[:1]), find_budget_folder(files[2:])) == ("input/", None)


def test_an_object_has_no_monthly_budget() -> None:
    assert reason(batchdrop_monthly_budget_usd="20") == (
        "the object's metadata: monthly_budget_usd belongs to a folder: set it in a batchdrop.toml"
    )


@pytest.mark.parametrize("text", ["0.1", "12.345678", "999999999.999999"])
def test_no_float_rounds_a_budget(text: str) -> None:
    assert str(resolve([("input/batchdrop.toml", f"budget_usd = {text}")], {}).budget_usd) == text


ARABIC = "\u0662\u0660\u0662\u0663-\u0660\u0666-\u0660\u0661"  # the digits of 2023-06-01, but no header takes them
EXPECTED_BY = 'a duration after the drop such as "6h", 60 days at most, or a time of day such as "07:00Z"'


BETAS = "names of betas, each a word; 50 at most, of up to 100 characters"
PARAMETERS = 'names of parameters, such as "seed"; 50 at most, of up to 100 characters'
PRIORITY = "the object's metadata: priority = {}: a number from -1000000 to 1000000"
PART_BYTES = "a number, at least 5242880, at most 5497558138880"
BUDGET = "US dollars above 0, 1,000,000,000 at most, with 6 decimals at most, as in 20 or 12.50"
VERSION = 'a date such as "2023-06-01"'


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("max_attempts = 0", "max_attempts = 0: a number from 1 to 10"),
        ("max_attempts = 11", "max_attempts = 11: a number from 1 to 10"),
        ("max_attempts = true", "max_attempts = True: Expected `int`, got `bool`"),
        ('on_invalid = "stop"', 'on_invalid = \'stop\': either "skip" or "reject"'),
        ("priority = 1.5", "priority = 1.5: Expected `int`, got `float`"),
        ("priority = 1000001", "priority = 1000001: a number from -1000000 to 1000000"),
        (f"priority = {10**41}", f"priority = {10**41}: a number from -1000000 to 1000000"),
        ('expected_by = "7:00"', f"expected_by = '7:00': {EXPECTED_BY}"),
        ('expected_by = "24:00Z"', f"expected_by = '24:00Z': {EXPECTED_BY}"),
        ('expected_by = "0h"', f"expected_by = '0h': {EXPECTED_BY}"),
        ('expected_by = "6 hours"', f"expected_by = '6 hours': {EXPECTED_BY}"),
        ('max_age = "30"', 'max_age = \'30\': a duration such as "30d" or "36h", 60 days at most'),
        ("max_age = 30", "max_age = 30: Expected `str`, got `int`"),
        ("part_bytes = 5242879", "part_bytes = 5242879: a number, at least 5242880, at most 5497558138880"),
        (f"part_bytes = {2**63}", f"part_bytes = {2**63}: a number, at least 5242880, at most 5497558138880"),
        ('anthropic_version = "latest"', "anthropic_version = 'latest': a date such as \"2023-06-01\""),
        (f'anthropic_version = "{ARABIC}"', f"anthropic_version = '{ARABIC}': a date such as \"2023-06-01\""),
        ('betas = "a"', "betas = 'a': Expected `array`, got `str`"),
        ('betas = ["a\\nb"]', "betas = ['a\\nb']: " + BETAS),
        ('betas = ["a,b"]', "betas = ['a,b']: " + BETAS),
        ('betas = [""]', "betas = ['']: " + BETAS),
        ("drop_params = [1]", "drop_params = [1]: Expected `str`, got `int`"),
        ("budget_usd = 0", f"budget_usd = 0: {BUDGET}"),
        ("budget_usd = -1.5", f"budget_usd = -1.5: {BUDGET}"),
        ("budget_usd = true", f"budget_usd = True: {BUDGET}"),
        ("budget_usd = nan", f"budget_usd = NaN: {BUDGET}"),
        ("budget_usd = inf", f"budget_usd = Infinity: {BUDGET}"),
        ("budget_usd = 0.0000001", f"budget_usd = 1E-7: {BUDGET}"),
        ('budget_usd = "20 dollars"', f"budget_usd = '20 dollars': {BUDGET}"),
        ("monthly_budget_usd = 1000000000.01", f"monthly_budget_usd = 1000000000.01: {BUDGET}"),
    ],
)
def test_a_value_without_sense_is_named_with_its_file_its_key_and_what_would_do(text: str, problem: str) -> None:
    assert reason(text) == f"input/batchdrop.toml: {problem}"


def test_a_value_without_sense_in_the_metadata_is_named_too() -> None:
    assert reason(batchdrop_priority="high") == PRIORITY.format("'high'")


def test_a_very_long_value_is_cut_in_the_reason() -> None:
    assert len(reason(f'max_age = "{"9" * 100_000}"')) < 300
    assert len(reason(f"{'k' * 100_000} = 1")) < 500


@pytest.mark.parametrize("text", ["max_age", "a = 1\na = 2", "x = " + "[" * 100_000, "priority = " + "9" * 5_000])
def test_a_file_that_is_no_toml_is_named(text: str) -> None:
    assert reason(text).startswith("input/batchdrop.toml is not TOML: ")


# What people write where a number is wanted, and what programs do for "nothing".
NO_NUMBERS = [
    "",
    " ",
    "null",
    "None",
    "true",
    "1e1",
    "1.0",
    "1_0",
    "+3",
    " 3",
    "3\n",
    "0x3",
    "\u0663",
    "nan",
    "inf",
    "[3]",
    "3h",
]
NO_BUDGETS = [value for value in NO_NUMBERS if value != "1.0"]
NO_DATES = ["", "null", "latest", "0000-00-00", "2023-02-30", "2022-12-31", "9999-99-99", "2100-01-01", "2023-6-1"]
NO_DATES += ["20230601", "2023-W22-4", "2023-06-01\n", "2023-06-01T00:00", "v1", ARABIC]
NO_DURATIONS = [
    "",
    "null",
    "0d",
    "-1h",
    "61d",
    "1441h",
    "99999d",
    "86401m",
    "1w",
    "6 h",
    "1h30m",
    "inf",
    "6h\n",
    "\u0666h",
]
NO_TIMES = ["7:00Z", "24:00Z", "07:60Z", "07:00", "07:00z", "07:00:00Z", "07:00Z\n"]
NO_BETAS = ["a b", "\u00fc", "a\nb", "x" * 101, ",".join(f"b{number}" for number in range(51))]
NO_PARAMETERS = ["a\nb", "a\0", "x" * 101, ",".join(f"p{number}" for number in range(51))]
DURATION = 'a duration such as "30d" or "36h", 60 days at most'
NONSENSE: dict[str, tuple[list[str], str]] = {
    "max-attempts": ([*NO_NUMBERS, "0", "-1", "11", "9" * 5_000], "a number from 1 to 10"),
    "on-invalid": (["", "null", "true", "stop", "Skip", "skip\n"], 'either "skip" or "reject"'),
    "priority": ([*NO_NUMBERS, "1000001", "-1000001", "9" * 5_000], "a number from -1000000 to 1000000"),
    "expected-by": ([*NO_DURATIONS, *NO_TIMES], EXPECTED_BY),
    "max-age": ([*NO_DURATIONS, "07:00Z"], DURATION),
    "part-bytes": ([*NO_NUMBERS, "0", "-1", "5242879", "5497558138881", "9" * 5_000, "5MB"], PART_BYTES),
    "anthropic-version": (NO_DATES, VERSION),
    "betas": (NO_BETAS, BETAS),
    "drop-params": (NO_PARAMETERS, PARAMETERS),
    "budget-usd": ([*NO_BUDGETS, "0", "-1", "0.0000001", "1000000001", "9" * 5_000, "20 dollars", "$20"], BUDGET),
}


@pytest.mark.parametrize("key", NONSENSE)
def test_a_malformed_value_in_the_metadata_is_refused_with_what_would_do(key: str) -> None:
    values, wanted = NONSENSE[key]
    for value in values:
        with pytest.raises(Unprocessable) as refused:
            resolve([], {f"batchdrop-{key}": value})
        said = str(refused.value)
        assert said.startswith(f"the object's metadata: {key.replace('-', '_')} = "), value
        assert said.endswith(f": {wanted}"), value


@pytest.mark.parametrize("key", NONSENSE)
@given(st.text(max_size=30) | st.from_regex(r"[0-9]{0,6}[-:dhmZ]?[0-9]{0,4}", fullmatch=True))
def test_any_text_in_the_metadata_is_a_setting_or_is_refused(key: str, value: str) -> None:
    assert len(refusal([], {f"batchdrop-{key}": value})) < 400


TOML = ["null", "'null'", "''", "true", "-1", "0", "1.5", "inf", "nan", "[]", "[[]]", "[1]", "['']", "{}", "{a = 1}"]
TOML += [
    "2023-06-01",
    "07:00:00",
    "2023-06-01T00:00:00Z",
    "1e400",
    "9223372036854775808",
    "'\u00fc'",
    '"\\n"',
    "[" * 500 + "]" * 500,
]


@pytest.mark.parametrize("key", JobSettings.__struct_fields__)
@pytest.mark.parametrize("value", TOML)
def test_any_value_in_a_file_is_a_setting_or_is_refused(key: str, value: str) -> None:
    said = refusal([("input/batchdrop.toml", f"{key} = {value}")], {})
    assert not said or said.startswith("input/batchdrop.toml")
    assert len(said) < 400


@pytest.mark.parametrize(("text", "value"), [("45m", 2_700), ("6h", 21_600), ("30d", 2_592_000)])
def test_durations_are_minutes_hours_or_days(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "6", "h", "06h", "6H", "6h ", "-6h", "6.5h", "100000d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=f"^{text}$"):
        seconds(text)


def template_in(*texts: str) -> Template | None:
    return find_template([(f"input/{'a/' * depth}batchdrop.toml", text) for depth, text in enumerate(texts)])


BODY = 'body = { input = "{{ text }}" }'


def test_a_template_is_the_nearest_files_whole_and_an_empty_one_is_none() -> None:
    far = f'[template]\nmodel = "far"\nkeep = ["a"]\n{BODY}'
    near = f'[template]\nmodel = "near"\n{BODY}'
    assert template_in(far, near, "priority = 1") == Template(model="near", body={"input": "{{ text }}"})
    assert (template_in(far, "[template]"), template_in("priority = 1")) == (None, None)


def test_a_body_may_be_json_in_a_text() -> None:
    assert template_in("""[template]\nmodel = "m"\nbody = '{"input": ["{{ a }}", 1.5, null]}'""") == Template(
        model="m", body={"input": ["{{ a }}", 1.5, None]}
    )


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (BODY, "[template]: Object missing required field `model`"),
        (f"model = 7\n{BODY}", "[template].model: Expected `str`, got `int`"),
        (f'model = "m"\nmodl = 1\n{BODY}', "[template]: Object contains unknown field `modl`"),
        ('model = "m"\nbody = "{"', "[template].body is not JSON: Input data was truncated"),
        ('model = "m"\nbody = "[]"', "[template].body: Expected `object`, got `array`"),
        ('model = "m"\nbody = { model = "n" }', "[template].body names another model than [template].model"),
        (f'model = "{{{{ m }}}}"\n{BODY}', "[template].model must be one model: drop a file for each"),
        (f'model = "m"\nkeep = ["a", "a"]\n{BODY}', "[template].keep names a column twice"),
        (
            f'model = "m"\nkeep = ["in.text", "text"]\n{BODY}',
            '[template].keep names "text" and "in.text", which may be one column of the answers: rename one of them',
        ),
        (f'model = "m"\nkeep = "sku"\n{BODY}', "[template].keep: Expected `array`, got `str`"),
    ],
)
def test_a_template_without_sense_is_named(text: str, why: str) -> None:
    with pytest.raises(Unprocessable) as caught:
        template_in(f"[template]\n{text}")
    assert str(caught.value) == f"input/batchdrop.toml: {why}"


def test_a_template_is_no_setting_of_the_metadata() -> None:
    assert reason(batchdrop_template="x").startswith("the object's metadata: unknown setting 'template'")


def test_the_settings_of_one_file_have_no_monthly_budget() -> None:
    own = "input/a/6f.batchdrop.toml"
    assert refusal([(own, "monthly_budget_usd = 1")], {}) == (
        f"{own}: monthly_budget_usd belongs to a folder: set it in a batchdrop.toml"
    )
