"""Checkmk (https://docs.checkmk.com/latest/en/notifications.html#scripts).

A notification script gets the alert as NOTIFY_* variables. The key is host and service; an `id` in
a script's body is that of one notification. Bodies as sent by third parties' scripts are read too.
See `_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from notifier.domain.signal import Evidence, Hook, Reading, Setup
from notifier.sources._checks import INSTALL, UNKNOWN, check_unknown, read_notification
from notifier.sources._reading import read_object
from notifier.sources._signing import unsigned

NAME = "checkmk"
TITLE = "Checkmk"
SIGNS = False
EVIDENCE: Evidence = "documented"
OPTIONS = (UNKNOWN,)
verify, check_options = unsigned, check_unknown
SETUP = Setup(
    steps=(
        *INSTALL,
        "As the site's user, link the sender into the site:"
        " ln -s /usr/local/bin/notifier-send.sh ~/local/share/check_mk/notifications/notifier",
        "In Setup > Events > Notifications add a rule whose method is the script notifier, without"
        " parameters, for the hosts and services we should hear of.",
        "Let the rule match recoveries too (OK and UP), or an end is never proposed.",
    ),
    notes=(
        "The monitoring's user is the site's user.",
        "The script's first parameter may name the address instead of the settings file:"
        " with several integrations, give each rule its own.",
        "Downtimes, flapping and custom notifications are understood and change nothing.",
    ),
    documents="https://docs.checkmk.com/latest/en/notifications.html#scripts",
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The alert of one notification. Raises Unreadable."""
    return read_notification(read_object(hook), hook, options, tool="Checkmk")
