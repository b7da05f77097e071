"""`docs/settings.md`, made from the settings' definitions: `python docs/schemas/settings_page.py`."""  # noqa: INP001

from pathlib import Path

import msgspec
from batchdrop.inputs.setting_definitions import SETTINGS
from batchdrop.records import JobSettings

PAGE = Path(__file__).parent.parent / "settings.md"
_BEGIN = """# Settings of a job

A file `batchdrop.toml` under `input/` holds for all files below its folder. Where several folders have one, the \
nearest wins, key by key. For one file, the same keys are S3 metadata: `batchdrop-<key>`, in lower case, with `-` or \
`_`; lists are separated by commas. They win over every `batchdrop.toml`.

Settings are read once, when a file is dropped, and stay as they were for its job. An unknown key or a wrong value \
fails the job before anything is paid, with a reason that names the key. Before a drop, `batchdrop validate \
batchdrop.toml` checks a settings file; [schemas/batchdrop-toml.json](schemas/batchdrop-toml.json) is for editors. \
What a folder may ask for at most stands in `providers.toml` ([Folders](providers.md#folders-who-may-spend-what)).

| key | default | values | meaning |
|---|---|---|---|
"""
_EXAMPLE = """
All of them, with an example of each:

```toml
"""


def page() -> str:
    fields = {each.name: each for each in msgspec.structs.fields(JobSettings)}
    rows = [
        f"| `{name}` | {_default(fields[name].default)} | {setting.wanted} | {setting.meaning} |"
        for name, setting in SETTINGS.items()
    ]
    examples = [f"{name} = {setting.example}" for name, setting in SETTINGS.items()]
    return _BEGIN + "\n".join(rows) + "\n" + _EXAMPLE + "\n".join(examples) + "\n```\n"


def _default(value: object) -> str:
    return "none" if value is None or value == () else f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
