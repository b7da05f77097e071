"""Where the console begins: Ctrl-C ends the command quietly also while its modules are imported, for a second or so.

Nothing else is imported here at first, so that hardly any of that second is without the handler.
"""

import os
import signal
from collections.abc import Sequence
from types import FrameType
from typing import Never

_INTERRUPTED = 130  # as `exit_codes` has it, which is not imported yet


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with these arguments, or the console's; the exit code, as `exit_codes` has it."""
    is_heard = arguments is None and signal.getsignal(signal.SIGINT) is signal.default_int_handler  # a shell may not
    if is_heard:
        signal.signal(signal.SIGINT, _quit)
    from batchdrop_cli import application  # noqa: PLC0415 - nothing is begun yet that would have to be ended

    try:
        return application.run(arguments, begin=_raise_when_interrupted if is_heard else _change_nothing)
    except KeyboardInterrupt:
        return _INTERRUPTED
    finally:
        if is_heard:
            signal.signal(signal.SIGINT, _quit)


def _raise_when_interrupted() -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def _change_nothing() -> None:
    """Leave signals to the program that runs the command in its own process, or to the shell."""


def _quit(_: int, __: FrameType | None) -> Never:
    """End at once: an exception would be printed, or taken by an import for a missing module."""
    os._exit(_INTERRUPTED)
