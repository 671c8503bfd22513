"""Process, a limit: the plainest loop that sends the same mail and would survive a crash.

    python -m tests.bench.plain DATABASE URL SAMPLE.json

For each 1,000 customers: one `INSERT … SELECT` into a ledger of one row per reader (with a primary
key and a unique index, as ours has), one SELECT of the page, a commit (WAL, synchronous=FULL), one
string per reader spliced into words that are ready, one POST over a kept `http.client` connection,
and one UPDATE over the page's range, committed with the next page. Nothing else: no incident,
variant, wave, component, suppression, lease, fence or retry, and no answer but 202. A reader's
values are as many bytes as ours, and their unsubscribe token is computed in the same way. Prints
one JSON object.
"""

from __future__ import annotations

import hashlib
import http.client
import json
import sys
import time
from collections.abc import Callable
from html import escape
from json.encoder import encode_basestring_ascii as encode
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

from notifier.settings import SANDBOX_KEY
from notifier.store.sqlite import library

BATCH = 1_000
_BASE = "https://status.example.com/u/"

Compose: TypeAlias = Callable[[list[tuple[int, str, str]]], bytes]

_LEDGER = """
CREATE TABLE plain_ledger (
    seq INTEGER NOT NULL PRIMARY KEY, customer_id INTEGER NOT NULL UNIQUE,
    address TEXT NOT NULL, name TEXT NOT NULL, state TEXT NOT NULL, reference TEXT
)"""
_CLAIM = """
INSERT INTO plain_ledger (seq, customer_id, address, name, state)
SELECT id, id, email, name, 'sending' FROM customers WHERE id > ? ORDER BY id LIMIT ?"""
_PAGE = "SELECT seq, address, name FROM plain_ledger WHERE seq > ? ORDER BY seq"
_MARK = "UPDATE plain_ledger SET state = 'accepted', reference = ? WHERE seq BETWEEN ? AND ?"
_COUNT = "SELECT count(*) FROM plain_ledger WHERE state = 'accepted'"


def main(database: str, url: str, sample_path: str) -> None:
    """Send the sample's mail to all customers, then say how many and how long it took."""
    connection: Any = library().connect(database, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute(_LEDGER)
    compose = prepare(json.loads(Path(sample_path).read_text()))
    wire = http.client.HTTPConnection(urlsplit(url).netloc)
    began = time.perf_counter()
    deliver(connection, compose, wire)
    seconds = time.perf_counter() - began
    print(json.dumps({"mails": connection.execute(_COUNT).fetchone()[0], "seconds": seconds}))


def deliver(connection: Any, compose: Compose, wire: http.client.HTTPConnection) -> None:
    """The loop. `connection` is the driver's own, with transactions left to us."""
    first = last = 0
    reference = ""
    while True:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(_MARK, (reference, first, last))
        connection.execute(_CLAIM, (last, BATCH))
        readers = connection.execute(_PAGE, (last,)).fetchall()
        connection.execute("COMMIT")
        if not readers:
            return
        reference = post(wire, compose(readers))
        first, last = readers[0][0], readers[-1][0]


def post(wire: http.client.HTTPConnection, body: bytes) -> str:
    """The provider's reference for one request."""
    head = {"Authorization": f"Bearer {SANDBOX_KEY}", "Content-Type": "application/json"}
    wire.request("POST", "/v3/mail/send", body, head)
    answer = wire.getresponse()
    answer.read()
    if answer.status != 202:
        sys.exit(f"the sink answered {answer.status}")
    return answer.headers["X-Message-Id"]


def prepare(sample: dict[str, Any]) -> Compose:
    """From a page of (id, address, name) to the body of its request."""
    mail, tags = sample["mail"], sample["tags"]
    rest = {
        "from": {"email": mail["from"], "name": mail["from_name"]},
        "subject": mail["subject"],
        "content": [
            {"type": "text/plain", "value": mail["text"]},
            {"type": "text/html", "value": mail["html"]},
        ],
    }
    tail = f"],{json.dumps(rest)[1:]}"
    keyed = hashlib.blake2b(key=b"k" * 64, person=b"unsubscribe/1", digest_size=16)

    def splice(number: int, address: str, name: str) -> str:
        mac = keyed.copy()
        mac.update(b"%d" % number)
        link = encode(f"{_BASE}{number}-{mac.hexdigest()}")[1:-1]
        to = encode(address)
        greeting = greeting_html = "Hello,"
        if name:
            encoded = encode(name)
            to += f',"name":{encoded}'
            greeting = f"Hello {encoded[1:-1]},"
            greeting_html = f"Hello {encode(escape(name))[1:-1]},"
        return (
            f'{{"to":[{{"email":{to}}}],"headers":{{"List-Unsubscribe":"<{link}>",'
            f'"List-Unsubscribe-Post":"List-Unsubscribe=One-Click"}},'
            f'"custom_args":{{"notifier_delivery_id":"1-{number}"}},'
            f'"substitutions":{{"{tags["greeting_text"]}":"{greeting}",'
            f'"{tags["greeting_html"]}":"{greeting_html}",'
            f'"{tags["link_text"]}":"{link}","{tags["link_html"]}":"{link}"}}}}'
        )

    def compose(readers: list[tuple[int, str, str]]) -> bytes:
        people = ",".join([splice(*reader) for reader in readers])
        return f'{{"personalizations":[{people}{tail}'.encode()

    return compose


if __name__ == "__main__":
    main(*sys.argv[1:])
