"""Nagios 4 (https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/macrolist.html).

The key is host and service: $SERVICEPROBLEMID$ is documented as 0 in a recovery, and is not always.
Read with macro values recorded from Nagios 4.4.6. See `_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from notifier.domain.signal import Evidence, Hook, Reading, Setup
from notifier.sources._checks import INSTALL, UNKNOWN, check_unknown, read_notification
from notifier.sources._reading import read_object
from notifier.sources._signing import unsigned

NAME = "nagios"
TITLE = "Nagios"
SIGNS = False
EVIDENCE: Evidence = "recorded"
OPTIONS = (UNKNOWN,)
verify, check_options = unsigned, check_unknown
SETUP = Setup(
    steps=(
        *INSTALL,
        "Set enable_environment_macros=1 in nagios.cfg: the sender reads the alert from the"
        " environment, so that no plugin's output ever meets a shell.",
        "Add the objects below, and the contact to the contact groups of your hosts and services.",
        "Check and reload: nagios4 -v nagios.cfg, then systemctl reload nagios4.",
    ),
    template_name="notifier.cfg",
    template="""\
define command {
  command_name  notifier
  command_line  /usr/local/bin/notifier-send.sh
}
define contact {
  contact_name                   notifier
  alias                          notifier
  host_notifications_enabled     1
  service_notifications_enabled  1
  host_notification_period       24x7
  service_notification_period    24x7
  host_notification_options      d,u,r
  service_notification_options   w,u,c,r
  host_notification_commands     notifier
  service_notification_commands  notifier
}
""",
    notes=(
        "Nagios itself never tries again; the sender keeps what it cannot deliver.",
        "Only hard states are notified of: what comes in has been checked max_check_attempts"
        " times.",
        "Downtimes, flapping and custom notifications are understood and change nothing.",
    ),
    documents="https://assets.nagios.com/downloads/nagioscore/docs/nagioscore/4/en/macrolist.html",
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The alert of one notification. Raises Unreadable."""
    return read_notification(read_object(hook), hook, options, tool="Nagios")
