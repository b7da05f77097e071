"""Services and providers of which some calls raise, each time they are made."""

from collections.abc import Callable
from typing import Any

from batchdrop.aws.leases import Leases
from batchdrop.aws.provider_store import ProviderStore

PARTS = (Leases, ProviderStore)  # of the store

type Fails = Callable[[str, tuple[Any, ...]], bool]


class Failing:
    """Stands for a service: the calls that `fails` chooses, by method and arguments, raise."""

    def __init__(self, real: Any, fails: Fails, error: BaseException) -> None:
        self._real, self._fails, self._error = real, fails, error

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if isinstance(found, PARTS):
            return Failing(found, self._fails, self._error)
        if not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._fails(name, args):
                raise self._error.with_traceback(None)  # it would grow with each raise
            return found(*args, **kwargs)

        return call


class FailingApis:
    """Stands for the providers' clients, of which OpenAI's fails at a method."""

    def __init__(self, real: Any, method: str, error: BaseException) -> None:
        self._real, self._method, self._error = real, method, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def __getitem__(self, provider: str) -> Any:
        api = self._real[provider]
        return Failing(api, lambda name, _: name == self._method, self._error) if provider == "openai" else api


def calls(*names: str, part: str = "") -> Fails:
    """The calls of these methods whose first argument holds this."""
    return lambda name, args: name in names and part in str(args[0] if args else "")


def reads(part: str) -> Fails:
    return calls("get", "stream", "download", part=part)


def writes(part: str) -> Fails:
    return calls("put", "put_first", "put_first_version", "writer", part=part)
