"""The command that serves the console: the door to `batchdrop_console`, whose packages are an extra."""

from importlib.util import find_spec
from typing import Annotated

from cyclopts import Parameter

from batchdrop_cli.cloud import Target, find_cloud
from batchdrop_cli.exit_codes import OK
from batchdrop_cli.options import DEFAULT_TARGET, between
from batchdrop_cli.user_errors import UserError
from local_cloud.extras import how_to_install

_PACKAGES = ("jinja2", "python_multipart", "starlette", "uvicorn")
_HIGHEST_PORT = 65_535


def console(
    *,
    write: Annotated[
        bool, Parameter(negative="", help="Allow changes, too: drop, cancel, approve, reject, retry.")
    ] = False,
    port: Annotated[
        int, Parameter(metavar="NUMBER", help="Its port; 0 takes a free one.", validator=between(0, _HIGHEST_PORT))
    ] = 0,
    no_browser: Annotated[bool, Parameter(negative="", help="Print the address, and open no browser.")] = False,
    target: Target = DEFAULT_TARGET,
) -> int:
    missing = [each for each in _PACKAGES if find_spec(each) is None]
    if missing:
        raise UserError(f"The console needs {', '.join(missing)}: {how_to_install('console')}")
    from batchdrop_console.server import serve  # noqa: PLC0415 - its packages may not be installed

    serve(find_cloud(target), port=port, may_write=write, opens_browser=not no_browser)
    return OK
