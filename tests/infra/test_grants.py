"""The documentation's table of grants is the template's."""

from faking.template import Template

from infra.grants import DOCUMENT, document


def test_the_table_of_grants_is_the_templates(template: Template) -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(template.document), "run python -m infra.grants"
