"""How the settings files are named that the command lays beside a dropped file: each belongs to one drop alone."""

import hashlib
import re
from collections.abc import Mapping
from uuid import uuid4

from batchdrop.aws.keys import SETTINGS_FILE
from batchdrop.inputs.job_settings import OWN_SETTINGS, own_metadata

METADATA = f"batchdrop-{OWN_SETTINGS}"
_OURS = re.compile(rf"(?P<content>[0-9a-f]{{16}})-[0-9a-f]{{8}}\.{re.escape(SETTINGS_FILE)}")


def new_name(text: bytes) -> str:
    return f"{hashlib.sha256(text).hexdigest()[:16]}-{uuid4().hex[:8]}.{SETTINGS_FILE}"


def named_by(metadata: Mapping[str, str]) -> str | None:
    """The settings file that an object's metadata name."""
    return own_metadata(metadata).get(OWN_SETTINGS)


def belongs_to_one(name: str | None) -> bool:
    """Return whether the command gave the name: a person's file may be named by many objects."""
    return name is not None and _OURS.fullmatch(name) is not None


def content_of(metadata: Mapping[str, str]) -> str | None:
    """Return the text by which two objects have the same settings of their own."""
    name = named_by(metadata)
    ours = _OURS.fullmatch(name or "")
    return name if ours is None else ours["content"]
