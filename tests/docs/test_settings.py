"""`docs/settings.md` is what the settings' definitions say, and its examples are taken."""

import runpy
import tomllib
from pathlib import Path

import msgspec
import pytest
from batchdrop.inputs.job_settings import resolve
from batchdrop.inputs.setting_definitions import SETTINGS
from batchdrop.records import JobSettings

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "settings.md"
MAKE = ROOT / "docs" / "schemas" / "settings_page.py"


def test_the_committed_page_is_the_generated_one() -> None:
    page = runpy.run_path(str(MAKE))["page"]
    assert PAGE.read_text(encoding="utf-8") == page(), "run python docs/schemas/settings_page.py"


def test_every_setting_is_defined_in_the_order_of_the_page() -> None:
    assert set(SETTINGS) == set(JobSettings.__struct_fields__)


def test_the_example_of_the_page_is_taken_whole() -> None:
    example = PAGE.read_text(encoding="utf-8").partition("```toml\n")[2].partition("```")[0]
    settings = resolve([("input/batchdrop.toml", example)], {})
    assert set(tomllib.loads(example)) == set(SETTINGS)
    defaults = JobSettings()
    same = [name for name in SETTINGS if getattr(settings, name) == getattr(defaults, name)]
    assert same == [], "an example that is the default shows nothing"


@pytest.mark.parametrize("name", SETTINGS)
def test_a_default_is_a_value_that_the_setting_takes(name: str) -> None:
    field = next(each for each in msgspec.structs.fields(JobSettings) if each.name == name)
    assert field.default is None or SETTINGS[name].accepts(field.default)
