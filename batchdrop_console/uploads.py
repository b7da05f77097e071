"""Files that were given to the page Drop: they lie in a private folder until they are sent, or the console ends.

A file is a request's for as long as it arrives, and then lies here: for a moment twice.
"""

import secrets
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from typing import IO

import msgspec

from batchdrop_cli.exit_codes import WRONG_USE
from batchdrop_cli.row_settings import RowOptions
from batchdrop_cli.user_errors import UserError

MOST_BYTES = 1_000_000_000  # of a file: a temporary folder may be memory
_MOST = 2  # that wait to be sent; the oldest goes


class Upload(msgspec.Struct, frozen=True, kw_only=True):
    """A file on this machine, the key it is meant for, and what is asked of each of its rows."""

    id: str
    path: Path
    key: str
    rows: RowOptions


class Uploads:
    def __init__(self) -> None:
        self._folder = TemporaryDirectory(prefix="batchdrop-console-")  # for this user alone
        self._found: dict[str, Upload] = {}
        self._lock = Lock()

    def add(self, file: IO[bytes], file_name: str, key: str, rows: RowOptions) -> Upload:
        name = secrets.token_urlsafe(16)
        path = Path(self._folder.name) / name / file_name
        path.parent.mkdir()
        with path.open("wb") as out:
            shutil.copyfileobj(file, out)
        found = Upload(id=name, path=path, key=key, rows=rows)
        with self._lock:
            self._found[name] = found
            old = [*self._found][:-_MOST]
        for each in old:
            self.forget(each)
        return found

    def get(self, name: str) -> Upload:
        """The file that waits to be sent.

        Raises:
            UserError: It was sent, or forgotten.
        """
        found = self._found.get(name)
        if found is None:
            raise UserError(
                "This file is not here any more: it was sent, or others came after it. Give it once more.",
                code=WRONG_USE,
            )
        return found

    def forget(self, name: str) -> None:
        with self._lock:
            found = self._found.pop(name, None)
        if found is not None:
            shutil.rmtree(found.path.parent, ignore_errors=True)

    def close(self) -> None:
        self._folder.cleanup()
