"""docs/integrations/ says what the sources say."""

from __future__ import annotations

from tests.integration_docs import DOCS, pages

COMMAND = "the sources say something else: run .venv/bin/python -m tests.integration_docs"


def test_every_tool_has_its_page_and_every_page_is_current() -> None:
    written = {file.name: file.read_text("utf-8") for file in DOCS.glob("*.md")}
    now = pages()
    assert set(written) == set(now), COMMAND
    old = [name for name, text in now.items() if written[name] != text]
    assert old == [], COMMAND


def test_no_page_has_a_gap_where_an_address_belongs() -> None:
    assert [name for name, text in pages().items() if "{url}" in text] == []
