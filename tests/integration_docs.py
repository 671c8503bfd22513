"""Writes docs/integrations/ from the sources themselves: `python -m tests.integration_docs`.

One page for each tool, and the table of all of them in README.md, whose other words are written by
hand. tests/guard/test_integration_docs.py says when it has to be run.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from notifier.app import discover_sources
from notifier.domain.signal import Option
from notifier.ports import SourceModule
from notifier.web.admin_integrations import EVIDENCE

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs" / "integrations"
SAMPLES = Path("tests", "sources", "samples")
ADDRESS = "https://status.example.com/hooks/{name}/<key>"
_FIRST, _LAST = "<!-- the table begins -->", "<!-- the table ends -->"
_TESTED = {
    "recorded": "recorded requests",
    "documented": "the vendor’s examples",
    "fields": "the vendor’s list of fields",
}


def main() -> None:
    """Write every page anew, and remove those of tools that are gone."""
    for old in set(DOCS.glob("*.md")) - {DOCS / "README.md"}:
        old.unlink()
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")


def pages() -> dict[str, str]:
    """The text of every page by its file's name."""
    modules = sorted(discover_sources().values(), key=lambda module: module.TITLE.lower())
    made = {f"{module.NAME}.md": _page(module) for module in modules}
    return made | {"README.md": _with_table((DOCS / "README.md").read_text("utf-8"), modules)}


def _page(module: SourceModule) -> str:
    setup = module.SETUP
    parts = [
        f"# {module.TITLE}",
        "## Connect it",
        *_connect(module),
        *_settings(getattr(module, "OPTIONS", ())),
        "## Good to know",
        "\n".join(f"- {_words(note)}" for note in [*setup.notes, _protection(module)]),
        "## How it is read",
        *_how_it_is_read(module),
        "## How far it was tested",
        EVIDENCE[module.EVIDENCE] + _where_samples_are(module),
        *([f"[The vendor’s page]({setup.documents})"] if setup.documents else []),
        f"*Written from [{module.NAME}.py](../../notifier/sources/{module.NAME}.py) by"
        " `python -m tests.integration_docs`.*",
    ]
    return "\n\n".join(parts) + "\n"


def _connect(module: SourceModule) -> Iterator[str]:
    address = ADDRESS.format(name=module.NAME)
    steps = [
        "Add it in the admin, under Integrations, or with"
        f" `notifier integrations add {module.NAME} --name NAME`. Its address, {{url}}, is shown"
        " this once.",
        *module.SETUP.steps,
    ]
    yield "\n".join(
        f"{number}. {_words(step.replace('{url}', f'`{address}`'))}"
        for number, step in enumerate(steps, start=1)
    )
    setup = module.SETUP.at(address)
    if setup.template:
        yield f"{_words(setup.template_name)}:"
        yield f"```\n{setup.template.rstrip()}\n```"


def _settings(options: Sequence[Option]) -> Iterator[str]:
    if not options:
        return
    yield "## Settings of its own"
    rows = [
        f"| {one.label} | `{one.name}` | {_words(one.help)} |"
        f" {f'`{one.default}`' if one.default else ''} |"
        for one in options
    ]
    yield "\n".join(
        ["| setting | by its name | meaning | unless set |", "|---|---|---|---|", *rows]
    )


def _protection(module: SourceModule) -> str:
    if getattr(module, "ALWAYS_SIGNED", False):
        return "Every request has to be signed by the vendor. There is no secret to enter."
    if module.SIGNS:
        return (
            "Enter a signing secret, and whatever does not prove to know it is refused (401). While"
            " it is changed, the last one is believed too."
        )
    return (
        "It signs nothing: who knows the address may send. Keep it secret, and where the tool can"
        " send a header of your choice or has addresses of its own, ask for those."
    )


def _how_it_is_read(module: SourceModule) -> Iterator[str]:
    """The words at the head of the tool's file, which say what is its key, start and severity."""
    text = re.sub(r"/\n(?=\S)", "/", inspect.getdoc(module) or "")  # addresses of two lines
    text = re.sub(r"\s*See `_\w+`\.", "", text)
    for paragraph in text.split("\n\n"):
        if not re.fullmatch(r"[^\n(]+\s\(https://[^)]+\)\.", paragraph):
            yield _words(paragraph)


def _where_samples_are(module: SourceModule) -> str:
    folder = SAMPLES / module.NAME
    if not (ROOT / folder).is_dir():
        return ""
    return f" The requests are in [{folder}](../../{folder})."


def _with_table(readme: str, modules: Sequence[SourceModule]) -> str:
    before, _, rest = readme.partition(_FIRST)
    _, _, after = rest.partition(_LAST)
    rows = [
        f"| [{module.TITLE}]({module.NAME}.md) | `{module.NAME}` | {_TESTED[module.EVIDENCE]} |"
        f" {'yes' if module.SIGNS else ''} |"
        for module in modules
    ]
    table = ["| tool | name | tested with | can sign |", "|---|---|---|---|", *rows]
    return "\n".join([f"{before}{_FIRST}", *table, f"{_LAST}{after}"])


def _words(text: str) -> str:
    """Plain words as Markdown: but for `code` nothing in them is markup, nor GitHub's $formula$."""
    pieces = text.split("`")
    return "`".join(
        piece if index % 2 else re.sub(r"([*<$])", r"\\\1", piece)
        for index, piece in enumerate(pieces)
    )


if __name__ == "__main__":
    main()
