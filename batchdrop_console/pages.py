"""Pages out of templates: what is shown of a value, and how an error is said."""

import re
import time
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from decimal import ROUND_CEILING, ROUND_FLOOR, ROUND_HALF_EVEN, Decimal
from functools import partial, wraps
from pathlib import Path
from tempfile import gettempdir

from batchdrop.aws.keys import INPUT
from batchdrop.records import Job
from batchdrop.states import JobState
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from markupsafe import escape as as_html
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from batchdrop_cli.cloud import Cloud
from batchdrop_cli.escapes import escape
from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.say import Notify
from batchdrop_cli.user_errors import NoSuchJob, UserError, sentence
from batchdrop_cli.words import JOB_WORDS
from batchdrop_client.errors import in_words
from batchdrop_console.memory import Memory

FOLDER = Path(__file__).parent
_NOTES: ContextVar[list[str] | None] = ContextVar("notes", default=None)
# A word and a sign: a state is never shown by its colour alone.
STATES = {
    JobState.PLANNING: ("Reading", "◔", "busy"),
    JobState.HELD: ("Held", "‖", "held"),
    JobState.RUNNING: ("Running", "▶", "busy"),
    JobState.CANCELLING: ("Cancelling", "■", "held"),
    JobState.PUBLISHING: ("Writing results", "◕", "busy"),
    JobState.COMPLETED: ("Completed", "✓", "good"),
    JobState.CANCELLED: ("Cancelled", "■", "off"),
    JobState.FAILED: ("Failed", "✕", "bad"),
}


_RENEWED = (("/jobs", "jobs"), ("/live", "live"))  # parts of pages that ask for themselves again, by their addresses
_OWN_FOLDERS = re.compile(rf"{re.escape(gettempdir())}/batchdrop-[^/\s]+/(?:[\w-]{{22}}/)?", re.ASCII)  # of uploads
_DECIMALS = ((Decimal(1), 2), (Decimal("0.001"), 4))  # of dollars from so many on
READ_ONLY = "This console only reads. To change something, start it with: batchdrop console --write"
DONE = {
    "cancel": "The job is being cancelled. Answers received before are still published.",
    "approve": "The job is approved: its batches are sent within a minute, whatever they cost.",
    "reject": "The job is rejected: it ends within a minute. Nothing was sent, and nothing is paid.",
    "retry": "The failed lines were dropped as this job.",
    "drop": "The file was dropped as this job.",
}


class ReadOnly(UserError):  # noqa: N818 - a fact about a console
    """Nothing may be changed."""


@dataclass(frozen=True, kw_only=True)
class Console:
    """The objects that all pages share.

    Attributes:
        cloud: Whose jobs they show.
        may_write: Whether anything may be changed.
        log: Takes one line for each action.
        memory: What does not change any more, once read.
        now: Seconds since 1970.
    """

    cloud: Cloud
    may_write: bool = False
    log: Callable[[str], None]
    memory: Memory = field(default_factory=Memory)
    now: Callable[[], int] = lambda: int(time.time())


def console_of(request: Request) -> Console:
    found: Console = request.app.state.console
    return found


def notifier() -> Notify:
    """Takes what is said meanwhile for the page that is being made here, from whatever thread."""
    notes = _NOTES.get()
    return _say_nothing if notes is None else notes.append


def notify(text: str) -> None:
    """Take what the command's code says meanwhile, for the page that is being made."""
    notifier()(text)


def _say_nothing(_: str) -> None:
    """Nothing: no page is being made."""


Endpoint = Callable[[Request], Response]


def page(endpoint: Endpoint) -> Endpoint:
    """Say every error of an endpoint in the command's words, on a page."""

    @wraps(endpoint)
    def answer(request: Request) -> Response:
        _NOTES.set([])
        try:
            with in_words():
                return endpoint(request)
        except Exception as error:  # noqa: BLE001 - the one place where every error becomes a sentence
            return say_error(request, error)

    return answer


def say_error(request: Request, error: Exception) -> Response:
    """One sentence, and nothing of what the error holds."""
    text, status = say(error), _status(error)
    if "hx-request" not in request.headers:
        return render(request, "error.html", status=status, title="This did not work", text=text)
    part = next((name for end, name in _RENEWED if request.url.path.endswith(end)), None)
    return render(request, "error_part.html", status=status, part=part, url=_address(request), text=text)


def say(error: BaseException) -> str:
    """An error in the command's sentence; a file that was given to the page Drop has its own name."""
    return without_folders(sentence(error)[0])


def without_folders(text: str) -> str:
    """A text without the temporary folders of this machine, which say nothing to who reads it."""
    return _OWN_FOLDERS.sub("", text)


def _status(error: Exception) -> int:
    if not isinstance(error, UserError):
        return 500
    if isinstance(error, ReadOnly):
        return 403
    return 404 if isinstance(error, NoSuchJob) or error.code == WRONG_USE else 409  # the job is not as it has to be


def _address(request: Request) -> str:
    return f"{request.url.path}?{request.url.query}"


def render(request: Request, template: str, *, status: int = 200, **values: object) -> Response:
    console = console_of(request)
    notes = [without_folders(each) for each in _NOTES.get() or ()]
    shared = {"cloud": console.cloud, "may_write": console.may_write, "path": request.url.path, "notes": notes}
    return HTMLResponse(_environment.get_template(template).render(**shared, **values), status)


def load_templates() -> None:
    """Compile all of them, so that no page waits for that."""
    for name in _environment.list_templates():
        _environment.get_template(name)


def see_other(url: str) -> Response:
    """Show another page after a change, so that a reload does not repeat it."""
    return RedirectResponse(url, 303)


def _visible(value: object) -> object:
    """One line of text with nothing hidden in it; markup of our own as it is."""
    return escape(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def lines_of_text(text: str) -> Markup:
    """A text of several lines, each shown as the command shows one."""
    return Markup("\n").join(as_html(escape(line.expandtabs(4))) for line in text.splitlines())


def name_of(key: str) -> str:
    """A file's key as people say it."""
    return key.removeprefix(INPUT)


def money(dollars: str | Decimal | None, rounding: str = ROUND_HALF_EVEN) -> str:
    """`$0.0042`, `$1,234.56`, `$0.000082`; a dash where it is not known."""
    if dollars is None:
        return "–"  # noqa: RUF001 - a dash stands for no number
    amount = Decimal(dollars)
    decimals = next((number for least, number in _DECIMALS if abs(amount) >= least), 6) if amount else 2
    return f"${amount.quantize(Decimal(1).scaleb(-decimals), rounding):,}"


def size(count: int) -> str:
    """`512 bytes`, `91 kB`, `1.2 GB`."""
    amount = float(count)
    for unit in ("bytes", "kB", "MB", "GB"):
        if amount < 1000:  # noqa: PLR2004 - the next unit begins
            return f"{amount:.0f} {unit}" if unit == "bytes" or amount >= 10 else f"{amount:.1f} {unit}"  # noqa: PLR2004 - two digits are enough
        amount /= 1000
    return f"{amount:.1f} TB"


def time_of(at: str | None) -> str:
    """`2026-11-27 05:40`, of a time in the command's JSON."""
    return "–" if at is None else at.replace("T", " ")[:16]  # noqa: RUF001 - as above


def share(part: int, whole: int) -> int:
    """Per cent, rounded down: a hundred is all of them."""
    return part * 100 // whole if whole else 0


def summary_of(job: Job) -> str | None:
    return job.settings.summary


_environment = Environment(
    loader=FileSystemLoader(FOLDER / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    finalize=_visible,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters |= {
    "lines": lines_of_text,
    "least": partial(money, rounding=ROUND_FLOOR),
    "money": money,
    "most": partial(money, rounding=ROUND_CEILING),
    "name": name_of,
    "share": share,
    "size": size,
    "summary": summary_of,
    "time": time_of,
}
_environment.globals |= {"states": STATES, "job_words": JOB_WORDS, "read_only": READ_ONLY, "said": DONE}
