"""The providers' keys, from AWS Secrets Manager, through Powertools' cache. They are never written anywhere else."""

import hashlib
from typing import NamedTuple

import msgspec
from aws_lambda_powertools.utilities.parameters import SecretsProvider
from aws_lambda_powertools.utilities.parameters.exceptions import GetParameterError
from botocore.exceptions import ClientError

from batchdrop.errors import AccountRefused, Transient
from batchdrop.pause_codes import PauseCode
from batchdrop.providers.config import ProviderConfig

_CACHE_SECONDS = 300
_NO_KEY = {  # only a person can fix these
    "ResourceNotFoundException",
    "InvalidRequestException",  # it is marked for deletion
    "AccessDeniedException",
    "DecryptionFailure",
}


class Key(NamedTuple):
    """A key, whose text never shows in a representation."""

    value: str

    def __repr__(self) -> str:
        return "Key(…)"


class Keys:
    """Reads a secret when it is first needed; again after five minutes, or when the provider refused it."""

    def __init__(self, secrets: SecretsProvider | None = None) -> None:
        self._secrets = secrets

    def key(self, provider: ProviderConfig, *, fresh: bool = False) -> Key:
        """The provider's key.

        Raises:
            AccountRefused: There is none, or none that this function may read.
            Transient: Secrets Manager does not answer.
        """
        if self._secrets is None:
            self._secrets = SecretsProvider()
        try:
            value = self._secrets.get(provider.secret, max_age=_CACHE_SECONDS, force_fetch=fresh)
        except GetParameterError as error:
            if _code(error.__context__) in _NO_KEY:  # Powertools wraps every error there is
                raise AccountRefused(f"no key in the secret {provider.secret!r}", PauseCode.NO_KEY) from error
            raise Transient(f"the secret {provider.secret!r} cannot be read now") from error
        text = value.decode() if isinstance(value, bytes) else str(value or "")
        if not text.strip():
            raise AccountRefused(f"the secret {provider.secret!r} is empty", PauseCode.NO_KEY)
        return Key(text.strip())


def account_id(provider: ProviderConfig, key: Key) -> str:
    """Tells apart the accounts that calls go to, by address, headers and key, none of which it tells.

    Twelve hex digits of a digest.
    """
    names = [provider.base_url, sorted(provider.headers.items()), key.value]
    return hashlib.sha256(b"batchdrop " + msgspec.json.encode(names)).hexdigest()[:12]


def _code(error: BaseException | None) -> str | None:
    return error.response["Error"]["Code"] if isinstance(error, ClientError) else None
