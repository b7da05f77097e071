"""The command: all its commands under one name, and the one place where every error ends."""

from collections.abc import Sequence

from batchdrop import __version__
from cyclopts import App

from batchdrop_cli import cloud_commands, exit_codes, file_commands, job_commands
from batchdrop_cli.mistakes import sentence
from batchdrop_cli.say import note

_EXIT_CODES = "Exit codes: " + "; ".join(f"{code} {meaning}" for code, meaning in exit_codes.MEANINGS.items()) + "."

app = App(
    name="batchdrop",
    help="Drop a JSONL file of LLM requests; the answers come back beside it, in order, at half price.",
    help_epilogue=_EXIT_CODES,
    version=__version__,
    help_format="plaintext",
    suppress_keyboard_interrupt=False,
)
local_app = App(name="local", help="The cloud on this machine: AWS's emulator with the deployed stack. No account.")
keys_app = App(name="keys", help="The providers' keys, in Secrets Manager.")
app.command(local_app)
app.command(keys_app)
local_app.command(cloud_commands.local_up, name="up")
local_app.command(cloud_commands.local_down, name="down")
keys_app.command(cloud_commands.keys_set, name="set")
keys_app.command(cloud_commands.keys_list, name="list")
app.command(cloud_commands.providers)
app.command(cloud_commands.demo)
app.command(cloud_commands.smoke_paid)
app.command(file_commands.validate)
app.command(file_commands.put)
app.command(file_commands.run)
app.command(file_commands.retry)
app.command(job_commands.list_jobs, name="jobs")
app.command(job_commands.show)
app.command(job_commands.wait)
app.command(job_commands.cancel)
app.command(job_commands.results)
app.command(job_commands.forget)


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command; the exit code, as `exit_codes` has it."""
    try:
        return _call(arguments)
    except KeyboardInterrupt:
        return exit_codes.INTERRUPTED
    except Exception as error:  # noqa: BLE001 - the one place where every error becomes a sentence
        text, code = sentence(error)
        note(text, style="red")
        return code


def _call(arguments: Sequence[str] | None) -> int:
    tokens = None if arguments is None else list(arguments)
    code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    return code if isinstance(code, int) else exit_codes.OK
