"""`completion`: the words of the command for a shell's Tab key."""

from typing import Annotated, Literal

from cyclopts import Parameter

from batchdrop_cli.exit_codes import OK


def completion(
    shell: Annotated[Literal["bash", "zsh", "fish"], Parameter(help="The shell.")],
    /,
) -> int:
    from batchdrop_cli.application import app  # noqa: PLC0415 - which names this module

    print(app.generate_completion(prog_name="batchdrop", shell=shell))  # noqa: T201 - ours, and a shell reads it
    return OK
