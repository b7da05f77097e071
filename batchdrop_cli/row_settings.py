"""Finds the request of a file's rows: in the command's options, in a folder here, or in one of the bucket."""

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from batchdrop.aws.keys import SETTINGS_FILE, beside_key, settings_keys
from batchdrop.errors import Gone, Locked, Unprocessable
from batchdrop.inputs.job_settings import find_output_schema, find_template, resolve
from batchdrop.inputs.quotes import ONCE, Resends, resends_of
from batchdrop.inputs.sent_bodies import OutputFormats
from batchdrop.inputs.templates import Rendering, Template
from batchdrop.limits.drop_settings import SETTINGS_BYTES
from batchdrop.protocols.output_schemas import OutputSchema
from batchdrop.providers.config import Providers
from batchdrop.records import Protocol
from cyclopts import Parameter

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.options import between
from batchdrop_cli.settings_names import METADATA, new_name
from batchdrop_cli.table_files import holds_rows
from batchdrop_cli.user_errors import NoTemplate, UserError

_CLAUDE_TOKENS = 1024  # Anthropic wants a limit
_MOST_TOKENS, _HOTTEST = 1_000_000_000, 2
_KEY_BYTES = 1_024


@dataclass(frozen=True, kw_only=True)
class RowSettings:
    """How a file's lines are read: as rows under a template, or, without one, as requests; and which are sent.

    `schema` is what their answers are to fit, `resends` how often they are sent for that at most. `is_whole` is
    false where a folder's settings may not be read: the functions may find more than these.
    """

    template: Template | None = None
    delimiter: str | None = None
    dedupe: bool = False
    cache_prefix: bool = False
    schema: OutputSchema | None = None
    resends: Resends = ONCE
    is_whole: bool = True

    @property
    def output_formats(self) -> OutputFormats | None:
        """How requests ask for the output schema; None without one."""
        return None if self.schema is None else OutputFormats(self.schema)

    def rendering(self, providers: Providers) -> Rendering | None:
        """The rendering of rows.

        Raises:
            UserError: The template makes no request, whatever the row.
        """
        try:
            return None if self.template is None else Rendering(self.template, providers)
        except Unprocessable as error:
            raise UserError(str(error), code=WRONG_USE) from None


REQUESTS = RowSettings()


AnswerKind = Literal["jsonl", "csv", "parquet"]


@Parameter(name="*", group="Rows as requests")
@dataclass(frozen=True, kw_only=True)
class RowOptions:
    """A template without a settings file."""

    model: Annotated[str | None, Parameter(metavar="MODEL", help="The model that is asked about each row.")] = None
    prompt: Annotated[
        str | None,
        Parameter(metavar="TEXT", help='What it is asked, with columns in double braces: "Sentiment of: {{ text }}".'),
    ] = None
    system: Annotated[
        str | None, Parameter(metavar="TEXT", help="The system prompt; columns may stand in it, too.")
    ] = None
    embed: Annotated[str | None, Parameter(metavar="COLUMN", help="Embed this column instead of asking.")] = None
    max_tokens: Annotated[
        int | None,
        Parameter(
            metavar="NUMBER",
            help=f"The most tokens of an answer; for Claude {_CLAUDE_TOKENS:,} by default.",
            validator=between(1, _MOST_TOKENS),
        ),
    ] = None
    temperature: Annotated[
        float | None,
        Parameter(metavar="NUMBER", help="From 0 to 2; the model's own by default.", validator=between(0, _HOTTEST)),
    ] = None
    id_column: Annotated[str | None, Parameter(metavar="COLUMN", help="The column that becomes custom_id.")] = None
    keep: Annotated[
        list[str] | None,
        Parameter(metavar="COLUMN...", negative="", help="A column that comes back with each result; may be repeated."),
    ] = None
    delimiter: Annotated[
        str | None,
        Parameter(metavar="CHARACTER", help="What separates cells; default: a comma in .csv, a tab in .tsv."),
    ] = None
    schema: Annotated[
        Path | None,
        Parameter(help="A file with the JSON Schema that each answer is to fit; what does not is sent again."),
    ] = None
    answers: Annotated[
        list[AnswerKind] | None,
        Parameter(
            negative="",
            help="The files of answers, a row per line: these, and no others; may be repeated. Default: csv "
            "for a table, none for requests.",
        ),
    ] = None
    dedupe: Annotated[
        bool | None, Parameter(negative="", help="Send requests that are equal once; each line gets the answer.")
    ] = None

    @property
    def is_given(self) -> bool:
        return any(getattr(self, field.name) is not None for field in fields(self))

    def of(self, file: Path, key: str) -> "RowOptions":
        """The same for a file: the answers to a table are a table."""
        wants_table = self.answers is None and self._has_template and holds_rows(file, key)
        return replace(self, answers=["csv"]) if wants_table else self

    @property
    def _has_template(self) -> bool:
        names = {field.name for field in fields(RowOptions)} - {"delimiter", "answers", "dedupe", "schema"}
        return any(getattr(self, name) is not None for name in names)

    def schema_text(self) -> bytes | None:
        """The output schema as JSON.

        Raises:
            OSError: Its file cannot be read.
        """
        return None if self.schema is None else self.schema.read_bytes()

    def text(self, providers: Providers) -> str:
        """The same as a settings file.

        Raises:
            UserError: They do not make a template.
        """
        lines = [] if self.delimiter is None else [f"delimiter = {_toml(self.delimiter)}"]
        lines += [f"answers = [{', '.join(map(_toml, self.answers))}]"] if self.answers else []
        lines += [] if self.dedupe is None else [f"dedupe = {str(self.dedupe).lower()}"]
        schema = self.schema_text()
        lines += [] if schema is None else [f"output_schema = {_toml(_compact(schema, self.schema))}"]
        if self._has_template:
            model, body = self._model(), self._body(providers)
            _refuse_equal_rows(Template(model=model, body=body), providers)
            lines += ["[template]", f"model = {_toml(model)}"]
            lines.append(f"body = {_toml(msgspec.json.encode(body).decode())}")
            lines += [f"id_column = {_toml(self.id_column)}"] if self.id_column else []
            lines += [f"keep = [{', '.join(map(_toml, self.keep))}]"] if self.keep else []
        return "\n".join(lines) + "\n"

    def _model(self) -> str:
        if self.model is None or (self.prompt is None) == (self.embed is None):
            raise UserError("To make requests of rows, name --model and either --prompt or --embed.", code=WRONG_USE)
        if self.embed is not None and (self.system, self.max_tokens, self.temperature) != (None, None, None):
            raise UserError("--embed goes without --system, --max-tokens and --temperature.", code=WRONG_USE)
        # The command has checked these; a program has not.
        if self.max_tokens is not None and not (type(self.max_tokens) is int and 1 <= self.max_tokens <= _MOST_TOKENS):
            raise UserError(f"max_tokens must be a whole number from 1 to {_MOST_TOKENS:,}.", code=WRONG_USE)
        if self.temperature is not None and not 0 <= self.temperature <= _HOTTEST:
            raise UserError(f"temperature must be from 0 to {_HOTTEST}.", code=WRONG_USE)
        return self.model

    def _body(self, providers: Providers) -> dict[str, Any]:
        if self.embed is not None:
            return {"input": f"{{{{ {self.embed} }}}}"}
        provider, _ = providers.route(self.model or "")
        sampling = {} if self.temperature is None else {"temperature": self.temperature}
        user = {"role": "user", "content": self.prompt}
        if provider is not None and provider.protocol is Protocol.ANTHROPIC:
            system = {} if self.system is None else {"system": self.system}
            return {**system, "messages": [user], "max_tokens": self.max_tokens or _CLAUDE_TOKENS, **sampling}
        messages = [user] if self.system is None else [{"role": "system", "content": self.system}, user]
        # OpenAI's newer models take only this name, other servers often only the older one.
        name = "max_completion_tokens" if provider is not None and provider.name == "openai" else "max_tokens"
        limit = {} if self.max_tokens is None else {name: self.max_tokens}
        return {"messages": messages, **limit, **sampling}


NO_ROWS = RowOptions()


def _refuse_equal_rows(template: Template, providers: Providers) -> None:
    rendering = RowSettings(template=template).rendering(providers)
    if rendering is not None and not rendering.columns:
        raise UserError(
            "The prompt names no column of the table, so that every row would be the same request. Name one in double "
            "braces: {{ text }}.",
            code=WRONG_USE,
        )


def _toml(text: str) -> str:
    """A basic string of TOML: JSON's, but that DEL is escaped as well."""
    return msgspec.json.encode(text).decode().replace("\x7f", "\\u007f")


def _compact(schema: bytes, path: Path | None) -> str:
    try:
        return OutputSchema(schema).text.decode()
    except Unprocessable as error:
        where = "" if path is None else f"--schema {path}: "  # a program has its schema at hand
        raise UserError(f"{where}{error}", code=WRONG_USE) from None


def settings_here(file: Path, options: RowOptions, providers: Providers) -> RowSettings:
    """Return the settings of the folders on this machine, from the working one down to the file's, and of the options.

    Raises:
        UserError: They have no sense.
    """
    return _read([*_files_here(file), *_of_options(options, providers)], lambda path: Path(path).read_bytes())


def settings_there(cloud: Cloud, key: str, options: RowOptions, providers: Providers) -> RowSettings:
    """Return the settings of the folders of a key in the bucket, and of the options.

    Raises:
        UserError: They have no sense.
    """
    found, is_whole = _files_there(cloud, key)
    return replace(_read([*found, *_of_options(options, providers)], cloud.files.get), is_whole=is_whole)


def has_template(cloud: Cloud, key: str, options: RowOptions, providers: Providers) -> bool:
    """Return whether the lines of a file that is dropped there are rows.

    Raises:
        UserError: The settings have no sense.
    """
    return settings_there(cloud, key, options, providers).template is not None


@dataclass(frozen=True, kw_only=True)
class OwnSettings:
    """The settings of a single file, to be laid beside it under `key`; `metadata` of the file name them."""

    key: str
    text: bytes
    metadata: dict[str, str]


def own_settings(file: Path, key: str, options: RowOptions, providers: Providers) -> OwnSettings | None:
    """The options as the own settings of a file that is dropped there; None where none are given.

    Raises:
        UserError: They do not make a template, or are longer than intake reads, or than S3 takes the key.
    """
    if not options.is_given:
        return None
    text = options.of(file, key).text(providers).encode()
    if len(text) > SETTINGS_BYTES:
        raise UserError(
            f"The options make a settings file of {len(text):,} bytes; at most {SETTINGS_BYTES:,} are read. Shorten "
            "the prompts, or put the common text into a column.",
            code=WRONG_USE,
        )
    name = new_name(text)
    beside = beside_key(key, name)
    if len(beside.encode()) > _KEY_BYTES:
        raise UserError(
            f"--key: its folder is too long for the settings beside it: {beside:.100}… has {len(beside.encode()):,} "
            f"bytes, and S3 takes {_KEY_BYTES:,}.",
            code=WRONG_USE,
        )
    return OwnSettings(key=beside, text=text, metadata={METADATA: name})


def refuse_table_without_template(file: Path, name: str, rows: RowSettings) -> None:
    """Refuse a table of which nobody says what is asked.

    Raises:
        NoTemplate: It is one.
    """
    if rows.template is None and holds_rows(file, name):
        raise NoTemplate(file, "is a table", "COLUMN")


def _of_options(options: RowOptions, providers: Providers) -> list[tuple[str, str]]:
    """The options as the settings file that they become: the last one, as the functions take it."""
    return [("The options", options.text(providers))] if options.is_given else []


def _read(files: list[tuple[str, str]], fetch: Callable[[str], bytes]) -> RowSettings:
    try:
        settings, schema = resolve(files, {}), read_schema(files, fetch)
        return RowSettings(
            template=find_template(files),
            delimiter=settings.delimiter,
            dedupe=settings.dedupe,
            cache_prefix=settings.cache_prefix,
            schema=schema,
            resends=resends_of(settings, has_schema=schema is not None),
        )
    except Unprocessable as error:
        raise UserError(str(error), code=WRONG_USE) from None


def read_schema(files: list[tuple[str, str]], fetch: Callable[[str], bytes]) -> OutputSchema | None:
    """The output schema of settings.

    Args:
        files: Settings files, by their places.
        fetch: Gives what lies in a place.

    Raises:
        Unprocessable: It has no sense, or is not there.
    """
    found = find_output_schema(files, {})
    if found is None:
        return None
    try:
        return OutputSchema(fetch(found.key or "") if found.text is None else found.text)
    except (Gone, OSError):
        raise Unprocessable(f"{found.key}, which output_schema names, is not there.") from None


def _files_here(file: Path) -> list[tuple[str, str]]:
    folder, here = file.resolve().parent, Path.cwd()
    folders = [folder]
    while folder != here and here in folder.parents:
        folder = folder.parent
        folders.append(folder)
    paths = [each / SETTINGS_FILE for each in reversed(folders)]
    return [(str(path), path.read_text(encoding="utf-8", errors="replace")) for path in paths if path.is_file()]


def _files_there(cloud: Cloud, key: str) -> tuple[list[tuple[str, str]], bool]:
    """The settings files that may be read, and whether those are all."""
    found, is_whole = [], True
    for each in settings_keys(key):
        try:
            found.append((each, cloud.files.get(each).decode(errors="replace")))
        except Gone as error:
            is_whole = is_whole and not isinstance(error, Locked)  # intake says what it finds
    return found, is_whole
