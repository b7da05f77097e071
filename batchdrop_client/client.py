"""The way in: which cloud, what is dropped there, and its jobs."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from os import PathLike
from pathlib import Path
from threading import Lock
from types import MappingProxyType, TracebackType
from typing import Any, Self

from batchdrop.aws.keys import INPUT, is_job_id
from batchdrop.errors import BatchdropError
from batchdrop.providers.config import load_providers

from batchdrop_cli import drop, jobs, quoting
from batchdrop_cli.check import check_kind
from batchdrop_cli.cloud import Cloud, Target, find_cloud
from batchdrop_cli.dropped_rows import check_rows
from batchdrop_cli.row_settings import has_template, own_settings
from batchdrop_cli.state_dir import HERE, need_own
from batchdrop_cli.table_files import holds_rows
from batchdrop_cli.user_errors import NoTemplate
from batchdrop_client.errors import in_words
from batchdrop_client.gatherer import Gather, Gatherer
from batchdrop_client.job import Job
from batchdrop_client.results import Result
from batchdrop_client.settings import GivenRows, SchemaSource, metadata_of, read_limit
from batchdrop_client.sources import Source, as_file
from batchdrop_client.waits import Clock, logger

_NONE: Mapping[str, Any] = MappingProxyType({})
_KEY = f"{INPUT}requests.jsonl"  # of what is no file


class Client:
    """batchdrop's jobs on one cloud. It is looked for when it is first needed; threads may share a client.

    Without arguments it is the one that the command takes: the local cloud of this folder, or the one that was brought
    up last; the stack "batchdrop" on AWS where there never was one.
    """

    def __init__(
        self,
        *,
        local: bool | str | PathLike[str] = False,
        stack: str | None = None,
        region: str | None = None,
        profile: str | None = None,
        gather: Gather | None = None,
    ) -> None:
        """Say which cloud; `stack`, `region` and `profile` mean AWS.

        Args:
            local: The local cloud of this folder, or that of a state folder; never AWS instead.
            stack: The stack on AWS.
            region: Its region, when it is not the profile's.
            profile: The AWS profile; without it, what boto3 finds.
            gather: How `ask` gathers requests.

        Raises:
            ValueError: Both a local cloud and AWS are asked for.
        """
        folder = None if local is False else HERE if local is True else Path(local)
        self._target = Target(state_dir=folder, stack=stack, region=region, profile=profile)
        if folder is not None and self._target.means_aws:
            raise ValueError("local excludes stack, region and profile.")
        self._clock, self._lock = Clock(), Lock()
        self._found: Cloud | None = None
        self._gatherer = Gatherer(self._put_asked, gather or Gather())

    @classmethod
    def on(cls, cloud: Cloud, *, clock: Clock | None = None, gather: Gather | None = None) -> Self:
        """A client on a cloud that was found; for tests."""
        client = cls(gather=gather)
        client._found, client._clock = cloud, clock or Clock()
        return client

    @property
    def _cloud(self) -> Cloud:
        with self._lock:
            if self._found is None:
                if self._target.state_dir == HERE:
                    need_own(HERE)  # `.local` may have come with the folder, and would get the requests
                found = find_cloud(self._target, logger.info)
                _ = found.s3, found.store  # boto3 makes clients in one thread only
                self._found = found
            return self._found

    @in_words()
    def put(  # noqa: PLR0913 - what a drop is
        self,
        source: Source,
        *,
        name: str | None = None,
        key: str | None = None,
        settings: Mapping[str, Any] = _NONE,
        max_cost: str | float | Decimal | None = None,
        again: bool = False,
        model: str | None = None,
        prompt: str | None = None,
        system: str | None = None,
        embed: str | None = None,
        max_tokens: int | None = None,
        temperature: float | None = None,
        id_column: str | None = None,
        keep: str | Sequence[str] | None = None,
        delimiter: str | None = None,
        dedupe: bool | None = None,
        schema: SchemaSource | None = None,
    ) -> Job:
        """Drop requests, or rows of which a template makes requests; their job.

        Args:
            source: A path (`.jsonl`, `.csv`, `.tsv`, each also as `.gz` or `.zst`; `.parquet`, `.arrow`, `.xlsx`),
                bytes of JSON lines, an iterable of mappings, a frame of pandas or polars, or an Arrow table: a request
                each, or a row where a model is named or its folder has a template. What is no file is written to a
                temporary one.
            name: The file's name under `input/`; the path's own, or "requests.jsonl".
            key: The same with its folders, from `input/` on: settings of its folders apply.
            settings: Those of a `batchdrop.toml` for this file alone, by their names.
            max_cost: US dollars. What may cost more, or nobody knows how much, is not sent.
            again: Drop the same bytes although they are being processed; pay again.
            model: The model that is asked about each row.
            prompt: What it is asked, with columns in double braces: `Sentiment of: {{ text }}`.
            system: The system prompt; columns may stand in it, too.
            embed: The column that is embedded instead.
            max_tokens: The most tokens of an answer; for Claude 1,024 by default.
            temperature: From 0 to 2.
            id_column: The column that becomes `custom_id`.
            keep: The columns that come back with each result, as `row`, or a single one.
            delimiter: What separates a table's cells; without it a comma in `.csv` and a tab in `.tsv`.
            dedupe: Send requests that are equal once; each of their lines gets the answer.
            schema: What each answer is to fit, as `result.data` has it then: a JSON Schema as a mapping or the path of
                its file, or a class of pydantic's. What does not fit is sent again.

        Raises:
            AlreadyRunning: The same bytes are being processed, by `job_id`.
            TooExpensive: It may cost more than `max_cost`.
            BatchdropError: It is no file to be processed, or a setting is wrong. Nothing was sent.
            OSError: The file cannot be read.
        """
        if name is not None and key is not None:
            raise ValueError("Name a file or a key, not both.")
        settings = dict(settings)
        separates = settings.pop("delimiter", None)  # goes along as an option: metadata lose a tab
        metadata, cloud = metadata_of(settings, max_cost), self._cloud
        rows = GivenRows(
            model=model,
            prompt=prompt,
            system=system,
            embed=embed,
            max_tokens=max_tokens,
            temperature=temperature,
            id_column=id_column,
            keep=[keep] if isinstance(keep, str) else None if keep is None else list(keep),
            delimiter=separates if delimiter is None else delimiter,
            dedupe=dedupe,
            given_schema=schema,
        )
        key, providers = f"{INPUT}{name}" if name is not None else key, load_providers(cloud.prices_file)
        with as_file(source, key or _KEY, lambda: has_template(cloud, key or _KEY, rows, providers)) as path:
            key = drop.choose_key(path, key)
            if not holds_rows(path, key):
                check_kind(path, key)
            with _in_words_of_put(source):
                read = check_rows(cloud, path, key, rows, providers)
            other = quoting.read_fallback(metadata.get("batchdrop-fallback"), providers)
            if max_cost is not None:
                quoting.quote_before_upload(path, key, providers, read_limit(max_cost), read, fallback=other)
            own = own_settings(path, key, rows, providers)
            return self._job(drop.drop_file(cloud, path, key, again=again, metadata=metadata, settings=own))

    @in_words()
    def job(self, job_id: str = jobs.LATEST) -> Job:
        """The job of an id, or the newest: to go on with it in another process.

        Raises:
            NoSuchJob: There is none.
        """
        if is_job_id(job_id) and jobs.is_young(job_id):
            return self._job(job_id).refresh()
        row = jobs.find(self._cloud, job_id)
        return Job(self._cloud, row.id, self._clock, row)

    @in_words()
    def jobs(self, *, days: int = 7, limit: int = 20) -> list[Job]:
        """The jobs of the last days, the newest first, so many at most."""
        return [Job(self._cloud, row.id, self._clock, row) for row in jobs.recent(self._cloud, days=days, limit=limit)]

    def _job(self, job_id: str) -> Job:
        return Job(self._cloud, job_id, self._clock)

    # Single requests

    async def ask(self, body: Mapping[str, Any], *, model: str | None = None) -> Result:
        """Ask one request, gathered into a batch with others; its answer, minutes to hours later.

        Args:
            body: As a line of a file is: a bare body, or one of the vendors' batch forms.
            model: Takes the place of the body's.

        Raises:
            RequestFailed: There is no answer; `result.error` says why.
            BatchdropError: The batch was not dropped, or its job failed or is held.
            RuntimeError: The client's `async with` block is over, or another event loop waits for its answers.
        """
        return await self._gatherer.ask(body if model is None else _with_model(body, model))

    @property
    def asked_jobs(self) -> list[str]:
        """The ids of the jobs that `ask` dropped, in their order: their answers stay in the bucket."""
        return list(self._gatherer.jobs)

    def _put_asked(self, lines: bytes, key: str, settings: Mapping[str, Any]) -> Job:
        return self.put(lines, key=key, settings=settings, again=True)  # its ids are new: nobody else has these bytes

    async def __aenter__(self) -> Self:
        self._gatherer.begin()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drop what is gathered and wait for its answers; after an error drop nothing, and leave jobs to themselves."""
        await (self._gatherer.finish() if kind is None else self._gatherer.abandon())


@contextmanager
def _in_words_of_put(source: Source) -> Iterator[None]:
    """Name what is missing as `put` has it, where the command's options are named."""
    try:
        yield
    except NoTemplate as error:
        what = str(source) if isinstance(source, str | PathLike) else "What you put"
        raise BatchdropError(
            f"{what} {error.problem}: name a model and a prompt (or embed), or put a batchdrop.toml with [template] "
            f'into its folder in the bucket. For example: put(…, model="gpt-4o-mini", prompt="Sentiment of: '
            f'{{{{ {error.column} }}}}")'
        ) from None


def _with_model(line: Mapping[str, Any], model: str) -> dict[str, Any]:
    """The line with another model, where its form has the model."""
    form = next((name for name in ("body", "params") if isinstance(line.get(name), Mapping)), None)
    return {**line, "model": model} if form is None else {**line, form: {**line[form], "model": model}}
