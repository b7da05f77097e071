"""A key that is not there is a person's matter; one that cannot be read now is not."""

import pytest
from batchdrop.errors import AccountRefused, Transient
from batchdrop.providers.keys import Keys
from faking.cloud import TOML, FakeSecrets, simulated_providers
from moto import mock_aws

PROVIDER = simulated_providers(TOML.read_text(encoding="utf-8"))["openai"]


def keys(secrets: FakeSecrets) -> Keys:
    return Keys(secrets)  # type: ignore[arg-type]  # a stand-in by shape


def test_a_key_is_its_secrets_text_and_never_shows() -> None:
    key = keys(FakeSecrets({PROVIDER.secret: " sk-1\n"})).key(PROVIDER)
    assert (key.value, repr(key)) == ("sk-1", "Key(…)")


@pytest.mark.parametrize(
    "code", ["ResourceNotFoundException", "InvalidRequestException", "AccessDeniedException", "DecryptionFailure"]
)
def test_a_secret_that_a_person_must_fix_pauses_the_provider(code: str) -> None:
    secrets = FakeSecrets({PROVIDER.secret: "sk-1"})
    secrets.fails_as = code
    with pytest.raises(AccountRefused, match="no key in the secret"):
        keys(secrets).key(PROVIDER)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServiceError", "RequestTimeout"])
def test_a_secret_that_cannot_be_read_now_pauses_nothing(code: str) -> None:
    secrets = FakeSecrets({PROVIDER.secret: "sk-1"})
    secrets.fails_as = code
    with pytest.raises(Transient, match="cannot be read now"):
        keys(secrets).key(PROVIDER)


@mock_aws
def test_powertools_own_error_tells_that_there_is_no_secret() -> None:
    with pytest.raises(AccountRefused, match="no key in the secret"):
        Keys().key(PROVIDER)


def test_an_empty_secret_is_no_key() -> None:
    with pytest.raises(AccountRefused, match="is empty"):
        keys(FakeSecrets({PROVIDER.secret: " \n"})).key(PROVIDER)
