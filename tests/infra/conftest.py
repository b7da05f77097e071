import pytest
from faking.template import Template, synthesise


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Template:
    """The stack with the defaults of `cdk.json`."""
    return synthesise(tmp_path_factory.mktemp("cdk.out"))
