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
What a folder may ask for at most stands in `providers.toml` ([Folders](providers.md#who-may-spend-what)).

| key | default | values | meaning |
|---|---|---|---|
"""
_EXAMPLE = """
All of them, with an example of each:

```toml
"""
_TEMPLATE = """
## What stands in [template]?

With a table `[template]` the lines of a file are rows of data, and each becomes a request ([tables.md](tables.md)). \
The nearest `[template]` is taken whole, not key by key; an empty one turns off that of a folder above.

| key | default | meaning |
|---|---|---|
| `model` | | The model that is asked; one for all rows |
| `body` | | The request without its model: a table, or JSON in a string. `{{ column }}` in its strings stands for a \
row's value |
| `endpoint` | by model and body | Such as `"/v1/chat/completions"` |
| `id_column` | none | The column that becomes `custom_id` |
| `keep` | `[]` | The columns that come back in each result, as `row` |

```toml
[template]
model = "gpt-4o-mini"
id_column = "id"
keep = ["lang"]

[template.body]
max_completion_tokens = 20
messages = [{ role = "user", content = "Sentiment of: {{ text }}" }]
```

## What is output_schema?

`output_schema` is a JSON Schema that each answer is to fit: a table, JSON in a string, or the name of a file beside \
the settings that ends in `.schema.json` ([structured-answers.md](structured-answers.md)).

## How do I set one file alone?

Where S3's metadata (2 kB) are too short, for a template above all, they may name a settings file beside the dropped \
one: `batchdrop-settings: NAME.batchdrop.toml`, a plain name without a folder. It is a `batchdrop.toml` for this file \
alone, nearer than every folder's; files named so start no job. `put` and `run` write one where they are given a \
template by their options.
"""


def page() -> str:
    fields = {each.name: each for each in msgspec.structs.fields(JobSettings)}
    rows = [
        f"| `{name}` | {_default(fields[name].default)} | {setting.wanted} | {setting.meaning} |"
        for name, setting in SETTINGS.items()
    ]
    examples = [f"{name} = {setting.example}" for name, setting in SETTINGS.items()]
    return _BEGIN + "\n".join(rows) + "\n" + _EXAMPLE + "\n".join(examples) + "\n```\n" + _TEMPLATE


def _default(value: object) -> str:
    return "none" if value is None or value == () else f"`{msgspec.json.encode(value).decode()}`"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
