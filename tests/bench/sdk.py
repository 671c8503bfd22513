"""Process, a peer: the sendgrid SDK's helper classes as its documents use them, no ledger.

    python -m tests.bench.sdk URL SAMPLE.json

1,000 personalizations per request, with the same values per reader as ours; they are given ready
to this peer, while ours makes them. Prints one JSON object.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sendgrid
from sendgrid.helpers.mail import CustomArg, From, Header, Mail, Personalization, Substitution, To

from notifier.settings import SANDBOX_KEY

BATCH = 1_000


def main(url: str, sample_path: str) -> None:
    """Send the sample's mail to all its readers, then say how long it took."""
    sample = json.loads(Path(sample_path).read_text())
    readers = sample["readers"]
    client = sendgrid.SendGridAPIClient(SANDBOX_KEY, host=url)
    began = time.perf_counter()
    for start in range(0, len(readers), BATCH):
        answer = client.send(compose(sample, readers[start : start + BATCH]))
        if answer.status_code != 202:
            sys.exit(f"the sink answered {answer.status_code}")
    print(json.dumps({"mails": len(readers), "seconds": time.perf_counter() - began}))


def compose(sample: dict[str, Any], readers: Sequence[dict[str, str]]) -> Mail:
    """One request."""
    mail = sample["mail"]
    message: Any = Mail(
        from_email=From(mail["from"], mail["from_name"]),
        subject=mail["subject"],
        plain_text_content=mail["text"],
        html_content=mail["html"],
    )
    for reader in readers:
        message.add_personalization(personalize(sample["tags"], reader))
    return message


def personalize(tags: dict[str, str], reader: dict[str, str]) -> Personalization:
    """What differs for one reader: the same as in `notifier.channels._sendgrid_body`."""
    one: Any = Personalization()
    one.add_to(To(reader["address"], reader["name"]))
    one.add_header(Header("List-Unsubscribe", f"<{reader['link']}>"))
    one.add_header(Header("List-Unsubscribe-Post", "List-Unsubscribe=One-Click"))
    one.add_custom_arg(CustomArg("notifier_delivery_id", reader["id"]))
    one.add_substitution(Substitution(tags["greeting_text"], reader["greeting"]))
    one.add_substitution(Substitution(tags["greeting_html"], reader["greeting_html"]))
    one.add_substitution(Substitution(tags["link_text"], reader["link"]))
    one.add_substitution(Substitution(tags["link_html"], reader["link"]))
    return one


if __name__ == "__main__":
    main(*sys.argv[1:])
