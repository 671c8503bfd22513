"""The demo's stage: a folder, a sandbox as a process of its own, and a site that points at it."""

from __future__ import annotations

import json
import re
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click
from rich.console import Console
from rich.panel import Panel

from notifier.app import load_settings
from notifier.cli import northvale
from notifier.cli.server import Site, open_site
from notifier.domain.delivery import SETTLED, State
from notifier.services import access, incidents, reports
from notifier.services.incidents import Published
from notifier.services.reports import UpdateReport
from notifier.settings import SANDBOX_HTTP, SANDBOX_SMTP, Settings

_START_SECONDS = 15.0
_DELIVER_SECONDS = 12.0
_MAIL_AFTER = timedelta(seconds=2)
_THREADS = 8
#: What `notifier sandbox` says once it listens.
_LISTENS = re.compile(r"(?P<http>http://\S+)\s.*?(?P<smtp>smtp://\S+)\s", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Stage:
    """A site that is up and filled, and the sandbox it talks to."""

    folder: Path
    site: Site
    sandbox: str
    log: Path
    password: str


@contextmanager
def stage(keep: Path | None, port: int) -> Iterator[Stage]:
    """Everything the demo needs, taken down at the end of the block."""
    password = secrets.token_urlsafe(12)
    with _folder(keep) as folder, _sandbox(folder) as (http, smtp):
        port = _port(port)
        settings = _settings(folder, port, http, smtp)
        with open_site(settings, host="127.0.0.1", port=port, threads=_THREADS) as site:
            northvale.fill(site.n, password=password)
            yield Stage(folder, site, http, folder / "sandbox.jsonl", password)


def show(opened: Stage, *, kept: bool) -> None:
    """Say where everything is, and serve until SIGTERM or Ctrl-C."""
    link = access.make_sign_in_link(opened.site.n, northvale.OPERATOR, minutes=12 * 60)
    rows = (
        ("Sign in, once, with", link),
        ("or as", f"{northvale.OPERATOR}, with the password {opened.password}"),
        ("What customers see", f"{opened.sandbox}/"),
        ("Data", f"{opened.folder} ({'kept' if kept else 'removed at the end'})"),
    )
    click.echo(f"{northvale.NAME}, which does not exist, is up at {opened.site.url}\n")
    click.echo("\n".join(f"  {label:20} {value}" for label, value in rows))
    click.echo("\nNothing leaves this machine. Ctrl-C ends it.")
    opened.site.run()


def run_once(opened: Stage) -> None:
    """Declare the sample, wait for every message, show what was received.

    Raises ClickException when a message did not arrive, or arrived twice.
    """
    n = opened.site.n
    declaration = northvale.disruption(n.clock(), mail_after=_MAIL_AFTER)
    before = len(_received(opened.log))
    began = time.time_ns()
    published = incidents.declare(n, declaration, by="notifier demo")
    update = _wait(opened, published)
    received = _received(opened.log)[before:]
    _judge(update, received)
    _print(received, began)


def _wait(opened: Stage, published: Published) -> UpdateReport:
    """How the update stands once all its messages are settled, or the time is up."""
    end = time.monotonic() + _DELIVER_SECONDS
    with Console(stderr=True).status("Waiting for every message …"):
        while True:
            update = reports.report(opened.site.n, published.incident.id).latest
            states = [post.state for post in update.posts]
            states += [update.mail.state] if update.mail else []
            if SETTLED.issuperset(states) or time.monotonic() > end:
                return update
            time.sleep(0.05)


def _judge(update: UpdateReport, received: list[dict[str, Any]]) -> None:
    """Believe the sandbox's log, not our own ledger."""
    for post in update.posts:
        if post.state is not State.ACCEPTED:
            raise click.ClickException(f"the post on {post.channel} is {post.state}: {post.reason}")
    mails = Counter(message["to"] for message in received if message["to"])
    expected = update.mail.recipients if update.mail else 0
    if len(mails) != expected or set(mails.values()) != {1}:
        raise click.ClickException(
            f"{expected} customers should have one mail each; {len(mails)} have"
            f" {mails.total()} in all"
        )


def _print(received: list[dict[str, Any]], began: int) -> None:
    post = next(message for message in received if message["service"] == "x")
    mails = [message for message in received if message["to"]]
    console = Console(highlight=False)
    for title, text in (
        (f"X, {_after(post, began)} after the declaration", post["text"]),
        (
            f"{mails[0]['name']}, one of {len(mails)} by e-mail, {_after(mails[0], began)} after"
            " the declaration",
            f"Subject: {mails[0]['subject']}\n\n{mails[0]['text'].strip()}",
        ),
    ):
        console.print(Panel(_plain(text), title=title, title_align="left"))
    console.print(f"Every message arrived once: 1 post and {len(mails)} mails.")


def _plain(text: str) -> str:
    """Rich would read square brackets as its markup."""
    return text.replace("[", r"\[")


def _after(message: Mapping[str, Any], began: int) -> str:
    return f"{(message['received_ns'] - began) / 1e9:.2f} s"


def _received(log: Path) -> list[dict[str, Any]]:
    """The accepted messages in the sandbox's log (see `notifier.sandbox.log`)."""
    lines = [json.loads(line) for line in log.read_text("utf-8").splitlines()]
    return [line for line in lines if "to" in line]


@contextmanager
def _folder(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="notifier-demo-") as name:
            yield Path(name)
    else:
        keep.mkdir(parents=True, exist_ok=True)
        yield keep.resolve()


@contextmanager
def _sandbox(folder: Path) -> Iterator[tuple[str, str]]:
    """A sandbox of our own; (address of X and SendGrid, address of the mail server)."""
    usual = (urlsplit(SANDBOX_HTTP).port or 0, urlsplit(SANDBOX_SMTP).port or 0)
    output = folder / "sandbox.out"
    process, addresses = _start_sandbox(folder, output, usual)
    if addresses is None:
        process, addresses = _start_sandbox(folder, output, (0, 0))
    if addresses is None:
        said = output.read_text("utf-8", "replace").strip() or "it says nothing"
        raise click.ClickException(f"the sandbox did not start: {said}")
    try:
        yield addresses
    finally:
        process.terminate()
        process.wait()


def _start_sandbox(
    folder: Path, output: Path, ports: tuple[int, int]
) -> tuple[subprocess.Popen[bytes], tuple[str, str] | None]:
    """The process and where it says that it listens; None when it has ended instead.

    It is asked, and not its port: at that port somebody else's sandbox might answer.
    """
    command = [sys.executable, "-u", "-m", "notifier", "sandbox", "--port", str(ports[0])]
    command += ["--smtp-port", str(ports[1]), "--log", str(folder / "sandbox.jsonl")]
    with output.open("wb") as out:
        # A session of its own: Ctrl-C ends the site first, then we end the sandbox.
        process = subprocess.Popen(  # noqa: S603 (our own command)
            command, stdin=subprocess.DEVNULL, stdout=out, stderr=out, start_new_session=True
        )
    end = time.monotonic() + _START_SECONDS
    while time.monotonic() < end and process.poll() is None:
        said = output.read_text("utf-8", "replace")
        if found := _LISTENS.search(said):
            return process, (found["http"], found["smtp"])
        time.sleep(0.02)
    process.kill()
    process.wait()
    return process, None


def _port(wanted: int) -> int:
    """The wanted port, or a free one when it is taken."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            free: int = probe.getsockname()[1]
            return free
    raise click.ClickException("this machine has no free port on 127.0.0.1")


def _settings(folder: Path, port: int, http: str, smtp: str) -> Settings:
    """Settings from nowhere but here: the operator's own may hold real credentials."""
    config = folder / "notifier.toml"
    config.touch()
    return load_settings(
        path=config,
        environ={
            "NOTIFIER_DATABASE_URL": f"sqlite:///{folder / 'notifier.db'}",
            "NOTIFIER_BASE_URL": f"http://127.0.0.1:{port}",
            "NOTIFIER_SECRET_KEY": _key(folder),
            "NOTIFIER_SITE__NAME": northvale.NAME,
            "NOTIFIER_SITE__TIME_ZONE": northvale.ZONE,
            "NOTIFIER_EMAIL__FROM": northvale.SENDER,
            "NOTIFIER_X__API_URL": http,
            "NOTIFIER_SENDGRID__API_URL": http,
            "NOTIFIER_SMTP__URL": smtp,
        },
    )


def _key(folder: Path) -> str:
    """The key that signs links, the same as long as the folder is kept."""
    file = folder / "secret.key"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(secrets.token_hex(32))
    return file.read_text().strip()
