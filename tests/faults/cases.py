"""What can go wrong with a job of one batch: each case arranges it before the file is dropped."""

import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
from batchdrop.providers.config import Providers

from faults.aws import Message
from faults.outside import Fault
from faults.structured import Structured
from faults.told import PLACES
from faults.world import World
from provider_simulator.facts import Style

OPENAI, ANTHROPIC = "openai", "anthropic"
HOUR = 3_600
LINES = 1_000  # of the job


class Scene(NamedTuple):
    """A world, and the undisturbed job in it: its lines, the names of its calls, and the seconds that it took."""

    world: World
    provider: str
    lines: Sequence[dict[str, Any]]
    calls: Sequence[str]
    took: float

    @property
    def create(self) -> int:
        """The number of the call that creates the batch."""
        return next(number for number, name in enumerate(self.calls, 1) if _is_create(name))


class Case(NamedTuple):
    """A fault. `quietly` says why it changes nothing where nothing had to be healed; `structured` is of its job.

    `stays_paused`: the provider never comes back, and the job ends without it.
    """

    title: str
    arrange: Callable[[Scene], None]
    quietly: str = ""
    providers: tuple[str, ...] = (OPENAI, ANTHROPIC)
    structured: Structured | None = None
    stays_paused: bool = False


def wire(fault: str, operation: str = "create", **settings: Any) -> Callable[[Scene], None]:
    return lambda scene: scene.world.simulator.fault(fault, provider=scene.provider, operation=operation, **settings)


def goes(**shape: Any) -> Callable[[Scene], None]:
    """The first batch goes this way, unless `times` says otherwise."""
    return lambda scene: scene.world.simulator.shape(**{"provider": scene.provider, "times": 1, **shape})


def at_create(fault: Fault, calls_later: int = 0) -> Callable[[Scene], None]:
    """Something strikes the create, or a call after it."""

    def arrange(scene: Scene) -> None:
        scene.world.clients.outside.faults[scene.create + calls_later] = fault

    return arrange


def refused(code: int, **error: Any) -> Callable[[Scene], None]:
    """The provider refuses whatever would begin a batch, three times."""

    def arrange(scene: Scene) -> None:
        operation = "upload" if scene.provider == OPENAI else "create"
        wire("status", operation, code=code, times=3, **error)(scene)

    return arrange


def late(seconds: float) -> Callable[[Scene], None]:
    """Each message comes so much later."""

    def arrange(scene: Scene) -> None:
        scene.world.arrives = lambda _, message: 0 if message.receives else seconds

    return arrange


def told_wrongly(times: int, **rewriting: Any) -> Callable[[Scene], None]:
    """So many looks at the batch are rewritten, from the one on that finds it ended."""

    def arrange(scene: Scene) -> None:
        looks = sum(name.startswith("GET") and "/batches/" in name for name in scene.calls)
        wire("rewritten", "retrieve", after=looks - 1, times=times, **rewriting)(scene)

    return arrange


def half_failing(then: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """A fifth of the lines are refused, so that there is an error file, and something else is wrong as well."""

    def arrange(scene: Scene) -> None:
        goes(failing={"match": "", "fraction": 0.2, "status": 400})(scene)
        then(scene)

    return arrange


def both(*arranged: Callable[[Scene], None]) -> Callable[[Scene], None]:
    def arrange(scene: Scene) -> None:
        for each in arranged:
            each(scene)

    return arrange


def stale_list(scene: Scene) -> None:
    """Two batches, which lists call unfinished for ever."""
    providers = {
        name: msgspec.structs.replace(each, limits=msgspec.structs.replace(each.limits, requests_per_batch=LINES // 2))
        for name, each in scene.world.services.providers.items()
    }
    scene.world.services = replace(scene.world.services, providers=Providers(providers))
    status = "status" if scene.provider == OPENAI else "processing_status"
    wire("rewritten", "list", times=None, values={status: "in_progress"})(scene)


def input_deleted(scene: Scene) -> None:
    """A fifth of the lines are refused; the dropped version is deleted once it has been planned."""
    goes(failing={"match": "", "fraction": 0.2, "status": 400})(scene)

    def arrives(step: str, _: Message) -> float:
        if step == "submit":
            for key in [each for each in scene.world.aws.objects if each.startswith("input/")]:
                del scene.world.aws.objects[key]
        return 0

    scene.world.arrives = arrives


def lost(scene: Scene) -> None:
    """The first message of each unit never comes, S3's event among them."""
    known: set[str] = set()

    def arrives(step: str, message: Message) -> float | None:
        unit = f"{step} {message.body}"
        if unit in known:
            return 0
        known.add(unit)
        return None

    scene.world.arrives = arrives


def repeated(seconds: float) -> Callable[[Scene], None]:
    """Each message comes twice."""

    def arrange(scene: Scene) -> None:
        scene.world.twice = seconds

    return arrange


def each_worker(fault: Fault, *, at: int = 3) -> Callable[[Scene], None]:
    """Something strikes a worker of each step, at the step's so-manieth call."""

    def arrange(scene: Scene) -> None:
        calls = Counter[str]()

        def meets(_: str) -> Fault | None:
            step = scene.world.working[0] if scene.world.working else ""
            calls[step] += 1
            return fault if calls[step] == at else None

        scene.world.clients.outside.meets = meets

    return arrange


def dies_always(step: str, times: int) -> Callable[[Scene], None]:
    """The workers of a step die at their first call, until its message is dead."""

    def arrange(scene: Scene) -> None:
        left = [times]

        def meets(_: str) -> Fault | None:
            worker = scene.world.working
            if worker is None or worker[0] != step or not left[0]:
                return None
            left[0] -= 1
            return Fault.DIES_BEFORE_AND_COMES_LATE

        scene.world.clients.outside.meets = meets

    return arrange


def webhook(fault: Fault, times: int) -> Callable[[Scene], None]:
    """A topic and a webhook are told of the job's end, and so many deliveries to the webhook are struck."""

    def arrange(scene: Scene) -> None:
        scene.world.aws.places = PLACES
        struck = iter([fault] * times)
        scene.world.clients.outside.meets = lambda name: next(struck, None) if name == "notify webhook" else None

    return arrange


def every(count: int, called: str, fault: Fault) -> Callable[[Scene], None]:
    """Each so-manieth call of this name is struck."""

    def arrange(scene: Scene) -> None:
        seen = Counter[str]()

        def meets(name: str) -> Fault | None:
            if not name.startswith(called):
                return None
            seen[called] += 1
            return fault if seen[called] % count == 1 else None

        scene.world.clients.outside.meets = meets

    return arrange


_ANY = (Fault.DIES_BEFORE, Fault.DIES_AFTER, Fault.REPLY_LOST, Fault.THROTTLED, Fault.THROTTLED_FOR_LONG)


def storm(share: float, called: str = "", faults: Sequence[Fault] = _ANY) -> Callable[[Scene], None]:
    """So many of all calls of this name are struck, by whatever comes."""

    def arrange(scene: Scene) -> None:
        draw = random.Random(called)  # noqa: S311 - the same each time

        def meets(name: str) -> Fault | None:
            return draw.choice(faults) if name.startswith(called) and draw.random() < share else None

        scene.world.clients.outside.meets = meets

    return arrange


def _is_create(name: str) -> bool:
    return name.startswith("POST") and name.endswith("/batches")


_NO_CREDIT = {"error_code": "insufficient_quota", "message": "Your credit balance is too low to use this API."}
_BUSY = {"match": "", "fraction": 0.1, "status": 500}
_EMPTY = {"match": "", "status": 400, "message": _NO_CREDIT["message"]}
_STORAGE = "File storage is full: 100 GB. Delete files, or send smaller ones. (exceeded your file storage quota)"
_SPENT = "You have reached your specified API usage limits. You will regain access on 2027-01-01 at 00:00 UTC."
_BUDGET = {"type": "budget_exceeded", "error_code": "400", "message": "Budget has been exceeded! Max budget: 5.0"}
_NO_FILE = "Cannot find file file-1, or the project does not have access to it."
_ODD = "Something here is odd, and nobody has heard of it."
_INCIDENT = {"fail_batch": "invalid_request", "fail_message": "Cannot find file file-1 or it does not have access."}
_READ = "its rows are read where they stand"
_AWS_REPEATS = "AWS' client repeats the call; a write that was done finds its own mark"


def hurried(then: Callable[[Scene], None] = lambda _: None) -> Callable[[Scene], None]:
    """The job must be done in six hours, its batch hangs, and something is wrong with the calls for what it left."""

    def arrange(scene: Scene) -> None:
        scene.world.aws.put("input/folder/batchdrop.toml", b'deadline = "6h"', {})
        limits = {"realtime_concurrency": 1, "realtime_requests_per_minute": 600, "realtime_tokens_per_minute": 10**6}
        providers = {
            name: msgspec.structs.replace(each, limits=msgspec.structs.replace(each.limits, **limits))
            for name, each in scene.world.services.providers.items()
        }
        scene.world.services = replace(scene.world.services, providers=Providers(providers))
        goes(seconds_to_complete=10**6, times=None)(scene)
        then(scene)

    return arrange


_OTHERS = {OPENAI: "anthropic/claude-haiku-4-5", ANTHROPIC: "anthropic/claude-sonnet-4-5"}


_GONE = {
    OPENAI: "The model `gpt-4o-mini` does not exist or you do not have access to it.",
    ANTHROPIC: "model: claude-haiku-4-5",
}


def with_fallback(then: Callable[[Scene], None]) -> Callable[[Scene], None]:
    """The job has a fallback, and something is wrong with its own model, or provider."""

    def arrange(scene: Scene) -> None:
        then(scene)
        settings = scene.world.aws.objects.pop("input/folder/batchdrop.toml", None)
        text = settings[-1].body if settings else b""
        fallback = f'fallback = "{_OTHERS[scene.provider]}"'.encode()
        scene.world.aws.put("input/folder/batchdrop.toml", text + b"\n" + fallback, {})

    return arrange


def own_model_fails(**failing: Any) -> Callable[[Scene], None]:
    """Every line of the job's own model fails so, whenever it is sent."""

    def arrange(scene: Scene) -> None:
        model = "gpt-4o-mini" if scene.provider == OPENAI else "claude-haiku-4-5"
        goes(failing={"match": f'"{model}"', "message": _GONE[scene.provider], **failing}, times=None)(scene)

    return arrange


def at_call(number: int, fault: Fault) -> Callable[[Scene], None]:
    """Something strikes the so-manieth call at real time."""

    def arrange(scene: Scene) -> None:
        seen = Counter[str]()

        def meets(name: str) -> Fault | None:
            seen[name] += name.startswith("POST") and name.endswith(("/chat/completions", "/v1/messages"))
            return fault if seen[name] == number and name.startswith("POST") else None

        scene.world.clients.outside.meets = meets

    return arrange


def cut_off(scene: Scene) -> None:
    """No answer fits, for all are cut off at their limit of tokens."""
    goes(misfits=1.0, stops=["length" if scene.provider == OPENAI else "max_tokens"], times=None)(scene)


def _misfits() -> Iterator[Case]:
    for name in ("same", "with_errors"):
        structured = Structured(name)
        some, ever = goes(misfits=0.1, times=None), goes(misfits=1.0, times=None)
        yield Case(f"a tenth of each batch's answers does not fit (`{name}`)", some, structured=structured)
        yield Case(f"no answer of the first batch fits (`{name}`)", goes(misfits=1.0), structured=structured)
        yield Case(f"no answer ever fits (`{name}`)", ever, structured=structured)


CASES: dict[str, list[Case]] = {
    "What the others were asked": [
        Case("reply to create lost", wire("reply_lost")),
        Case("expired half-done", goes(expire_fraction=0.5)),
        Case("10 % of lines fail", goes(failing=_BUSY | {"status": 400}, times=None), "they end with their reason"),
        Case("kill -9 after submit", at_create(Fault.DIES_AFTER)),
    ],
    "While a batch is created": [
        Case("timeout, and it was created", wire("timeout")),
        Case("connection reset, nothing was created", wire("connection_reset")),
        Case("500, nothing was created", wire("status", code=500)),
        Case("200 and HTML instead of an answer", wire("garbage")),
        Case("429", wire("status", code=429, times=2, retry_after=0)),
        Case("the create arrives five minutes late", wire("late", seconds=300)),
        Case("the create arrives 25 minutes late", wire("late", seconds=1_500)),
        Case("the create arrives two and a half hours late", wire("late", seconds=9_000)),
        Case("killed before the create", at_create(Fault.DIES_BEFORE)),
        Case("killed while it waits for the answer", at_create(Fault.DIES_AFTER_AND_COMES_LATE)),
        Case("killed after it, the message is gone", at_create(Fault.DIES_AFTER_FOR_GOOD)),
        Case("the table refuses the write after it", at_create(Fault.THROTTLED_FOR_LONG, 1)),
        Case("the reply to the write after it is lost", at_create(Fault.REPLY_LOST, 1), _AWS_REPEATS),
        Case("the worker sleeps past its lease, then creates", at_create(Fault.SLEEPS)),
        Case("the worker wakes up after three hours, then creates", at_create(Fault.SLEEPS_FOR_HOURS)),
        Case("the message comes again while it creates", at_create(Fault.TWICE), "the claim holds"),
        Case("reply to the upload lost, twice", wire("reply_lost", "upload", times=2), providers=(OPENAI,)),
        Case("500 to the upload, three times", wire("status", "upload", times=3), providers=(OPENAI,)),
        Case("the key is refused three times (401)", refused(401)),
        Case("the key is refused three times, in Latin-1", refused(401, message="Ungültig", charset="latin-1")),
        Case("the key is refused three times, in UTF-16", refused(401, charset="utf-16")),
        Case("no credit, three times", refused(400, type="invalid_request_error", **_NO_CREDIT)),
        Case("the usage limit is reached, three times (400)", refused(400, message=_SPENT)),
        Case(
            "the hard limit is reached, three times (400)", refused(400, message="Billing hard limit has been reached")
        ),
        Case('a gateway\'s budget is spent, three times (400, code "400")', refused(400, **_BUDGET)),
        Case("the file storage is full, three times (400)", refused(400, message=_STORAGE), providers=(OPENAI,)),
        Case("the file is not known yet, twice (400)", wire("status", code=400, times=2, message=_NO_FILE)),
        Case("the body is cut on its way, twice (400)", wire("status", code=400, times=2, message="unexpected EOF")),
        Case("the file is too large (400)", wire("status", code=400, message="File is too large.")),
        Case("a server takes 300 requests a batch (400)", wire("status", code=400, message="At most 300 requests.")),
        Case("refused for what nobody knows, twice (400)", wire("status", code=400, times=2, message=_ODD)),
        Case("request 499 of many is named (400)", wire("status", code=400, times=2, message="requests.499.params")),
    ],
    "While the provider has it": [
        Case("10 % of lines fail for now (500)", goes(failing=_BUSY)),
        Case("every line fails for now (500)", goes(failing={"match": "", "status": 500})),
        Case("every line fails for want of credit", goes(failing=_EMPTY)),
        Case("cancelled by the provider, half-done", goes(cancel_fraction=0.5)),
        Case("expired with nothing done", goes(expire_fraction=0.0)),
        Case("fails whole: token limit, three times", goes(fail_batch="token_limit_exceeded", times=3), "", (OPENAI,)),
        Case("fails whole: cannot find the file, twice", goes(**_INCIDENT, times=2), "", (OPENAI,)),
        Case("fails whole: no credit, twice", goes(fail_batch="insufficient_quota", times=2), "", (OPENAI,)),
        Case("fails whole: file storage full", goes(fail_batch="x", fail_message=_STORAGE), "", (OPENAI,)),
        Case("fails whole: for what nobody knows, twice", goes(fail_batch="x", times=2), "", (OPENAI,)),
        Case("fails whole: blames line 500", goes(fail_batch="invalid_json_line", fail_line=500), "", (OPENAI,)),
        Case("fails whole, for good", goes(fail_batch="model_not_found"), "its lines end with the reason", (OPENAI,)),
        Case("not known for ten minutes (404)", goes(not_found_after_create=600)),
        Case("an unknown status, for 30 answers", wire("unknown_status", "*", times=30), "it is asked again"),
        Case("HTML instead of any answer, 30 times", wire("garbage", "*", after=4, times=30)),
        Case("500 to every question, 60 times", wire("status", "*", after=4, times=60)),
        Case("stuck in progress", goes(stuck=True)),
        Case("stuck, and stuck when cancelled", goes(stuck="always")),
    ],
    "When the results are read": [
        Case("output cut in the middle, twice", wire("cut", "results", bytes=50_000, times=2), "it goes on from there"),
        Case("output cut at its start, 30 times", wire("cut", "results", bytes=0, times=30)),
        Case("500 to the download, ten times", wire("status", "results", times=10)),
        Case("three results are missing", goes(forget=3)),
        Case("three results are counted, and never given", goes(lose=3), "named after three days, and not paid again"),
        Case("five results are there twice", goes(repeat=5), "the first one counts"),
        Case("five answers are there as expired, too", goes(contradict=5), "the answer counts"),
        Case("five results of unknown requests", goes(foreign=5)),
        Case("two rows to a line", goes(layout="pairs"), _READ),
        Case("all rows on one line", goes(layout="one_line"), _READ),
        Case("one array of rows", goes(layout="array"), _READ),
        Case("one array within an object", goes(layout="in_an_object"), _READ),
        Case("rows printed over many lines", goes(layout="printed"), _READ),
        Case("a printed array", goes(layout="printed_array"), _READ),
        Case("a byte-order mark before the first row", goes(layout="bom"), _READ),
        Case("NaN in five rows", goes(layout="nan"), _READ),
        Case("halves of surrogate pairs in five rows", goes(layout="surrogates"), _READ),
        Case("Latin-1 in five rows", goes(layout="latin_1"), _READ),
        Case(
            "completed before its output file is named",
            half_failing(told_wrongly(1, without=["output_file_id"])),
            "it is asked again",
            (OPENAI,),
        ),
        Case(
            "completed half an hour before its output file is named",
            half_failing(told_wrongly(3, without=["output_file_id"])),
            "",
            (OPENAI,),
        ),
        Case(
            "completed three hours before its output file is named",
            half_failing(told_wrongly(11, without=["output_file_id"])),
            "",
            (OPENAI,),
        ),
        Case(
            "a wrong output file is named at first",
            told_wrongly(1, values={"output_file_id": "file-wrong"}),
            "it is asked again",
            (OPENAI,),
        ),
        Case("a list that never tells an end", stale_list, "its batches are asked for by their ids"),
        Case("the dropped version is deleted once it is planned", input_deleted, "failed.jsonl has empty lines"),
        Case("three result lines break off", goes(garble=3), "they are named, and not paid again"),
    ],
    "When answers do not fit the output schema": [
        *_misfits(),
        Case(
            "no answer of the first batch fits, and the reply to the next create is lost",
            both(goes(misfits=1.0), wire("reply_lost", after=1)),
            structured=Structured(),
        ),
        Case(
            "every answer is cut off at its limit of tokens",
            cut_off,
            "they are named, and not paid again",
            structured=Structured(),
        ),
        Case(
            "every answer is a refusal",
            goes(stops=["refusal"]),
            "a refusal is the answer",
            structured=Structured(style=Style(stop="refusal")),
        ),
    ],
    "When a deadline comes near": [
        Case("the batch hangs until the last safe moment", hurried()),
        Case("the reply to a call is lost", hurried(wire("reply_lost", "realtime", after=499))),
        Case("a call times out, and was answered", hurried(wire("timeout", "realtime", after=499))),
        Case("the connection is reset, ten times", hurried(wire("connection_reset", "realtime", after=499, times=10))),
        Case(
            "429 with Retry-After, five times",
            hurried(wire("status", "realtime", code=429, retry_after=20, after=499, times=5)),
            "it waits as long as it is told",
        ),
        Case(
            "529, twice",
            hurried(wire("status", "realtime", code=529, after=499, times=2)),
            "it is called again at once",
        ),
        Case("503 to twenty calls", hurried(wire("status", "realtime", code=503, after=499, times=20))),
        Case("the key is refused at a call (401)", hurried(wire("status", "realtime", code=401, after=499))),
        Case("killed before a call", hurried(at_call(500, Fault.DIES_BEFORE_AND_COMES_LATE))),
        Case("killed while it waits for a reply", hurried(at_call(500, Fault.DIES_AFTER_AND_COMES_LATE))),
        Case("killed, and its message is gone", hurried(at_call(500, Fault.DIES_AFTER_FOR_GOOD))),
        Case("the worker sleeps past its claim, then calls", hurried(at_call(500, Fault.SLEEPS))),
    ],
    "When a model or a provider fails for good, and there is a fallback": [
        Case("every line of the model gets 404", with_fallback(own_model_fails(status=404))),
        Case("500 to every line, at every attempt", with_fallback(own_model_fails(status=500, message="busy"))),
        Case(
            "400 to every line: the requests are invalid",
            with_fallback(own_model_fails(status=400, message="busy")),
            "they end with their reason",
        ),
        Case(
            "the model is not taken in batches",
            with_fallback(goes(fail_batch="model_not_found", times=None)),
            providers=(OPENAI,),
        ),
        Case(
            "the key is refused until a deadline (401)",
            with_fallback(hurried(wire("status", "*", code=401, times=None))),
            providers=(OPENAI,),
            stays_paused=True,
        ),
    ],
    "Messages, workers and AWS": [
        Case("every message lost", lost),
        Case("every message an hour late", late(HOUR)),
        Case("every message twice", repeated(0), "the second finds nothing to do"),
        Case("every message twice, an hour apart", repeated(HOUR), "the second finds nothing to do"),
        *(
            Case(f"{step}'s message is dead-lettered", dies_always(step, 5))
            for step in ("plan", "submit", "collect", "assemble", "publish")
        ),
        Case("SIGKILL of a worker of each step", each_worker(Fault.DIES_AFTER)),
        Case("the same, and their messages are gone", each_worker(Fault.DIES_AFTER_FOR_GOOD)),
        Case("a worker of each step sleeps past its lease", each_worker(Fault.SLEEPS)),
        Case(
            "every other table write loses its reply",
            every(2, "dynamodb.TransactWriteItems", Fault.REPLY_LOST),
            _AWS_REPEATS,
        ),
        Case("every other object's write loses its reply", every(2, "s3.PutObject", Fault.REPLY_LOST), _AWS_REPEATS),
        Case(
            "a third of all calls to the table are throttled", storm(0.2, "dynamodb.", [Fault.THROTTLED]), _AWS_REPEATS
        ),
        Case(
            "a fifth of all writes to the table meet another",
            storm(0.2, "dynamodb.", [Fault.CONFLICTED]),
            "the write is repeated",
        ),
        Case("a webhook answers 503, twenty times", webhook(Fault.THROTTLED, 20)),
        Case("a webhook takes its message and does not say so, twenty times", webhook(Fault.REPLY_LOST, 20)),
        Case("one in twenty of all calls goes wrong", storm(0.05)),
        Case("one in ten of all calls goes wrong", storm(0.1)),
    ],
}
