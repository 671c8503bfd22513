"""Icinga 2 (https://icinga.com/docs/icinga-2/latest/doc/03-monitoring-basics/#notification-commands).

The key is host and service, written as Icinga does ("host!service"). Read with values recorded
from Icinga 2.13. See `_checks`.
"""

from __future__ import annotations

from collections.abc import Mapping

from notifier.domain.signal import Evidence, Hook, Reading, Setup
from notifier.sources._checks import INSTALL, UNKNOWN, check_unknown, read_notification
from notifier.sources._reading import read_object
from notifier.sources._signing import unsigned

NAME = "icinga2"
TITLE = "Icinga 2"
SIGNS = False
EVIDENCE: Evidence = "recorded"
OPTIONS = (UNKNOWN,)
verify, check_options = unsigned, check_unknown
SETUP = Setup(
    steps=(
        *INSTALL,
        "Put the objects below into conf.d/notifier.conf and set vars.notifier = true on the hosts"
        " and services whose alerts we should hear of.",
        "Check and reload: icinga2 daemon -C, then systemctl reload icinga2.",
    ),
    template_name="conf.d/notifier.conf",
    template="""\
object User "notifier" { }

object NotificationCommand "notifier-host" {
  command = [ "/usr/local/bin/notifier-send.sh" ]
  env = {
    ICINGA_NOTIFICATIONTYPE = "$notification.type$"
    ICINGA_HOSTNAME = "$host.name$"
    ICINGA_HOSTSTATE = "$host.state$"
    ICINGA_HOSTOUTPUT = "$host.output$"
    ICINGA_LASTHOSTSTATECHANGE = "$host.last_state_change$"
    ICINGA_HOSTNOTESURL = "$host.notes_url$"
  }
}

object NotificationCommand "notifier-service" {
  command = [ "/usr/local/bin/notifier-send.sh" ]
  env = {
    ICINGA_NOTIFICATIONTYPE = "$notification.type$"
    ICINGA_HOSTNAME = "$host.name$"
    ICINGA_SERVICEDESC = "$service.name$"
    ICINGA_SERVICESTATE = "$service.state$"
    ICINGA_SERVICEOUTPUT = "$service.output$"
    ICINGA_LASTSERVICESTATECHANGE = "$service.last_state_change$"
    ICINGA_SERVICENOTESURL = "$service.notes_url$"
  }
}

apply Notification "notifier" to Host {
  command = "notifier-host"
  users = [ "notifier" ]
  types = [ Problem, Recovery, Acknowledgement, Custom ]
  assign where host.vars.notifier
}

apply Notification "notifier" to Service {
  command = "notifier-service"
  users = [ "notifier" ]
  types = [ Problem, Recovery, Acknowledgement, Custom ]
  assign where service.vars.notifier
}
""",
    notes=(
        "Icinga itself never tries again; the sender keeps what it cannot deliver.",
        "Values travel in the environment and never through a shell.",
        "Custom notifications are understood and change nothing: use one as a test.",
    ),
    documents="https://icinga.com/docs/icinga-2/latest/doc/03-monitoring-basics/#notification-commands",
)


def parse(hook: Hook, options: Mapping[str, str]) -> Reading:
    """The alert of one notification. Raises Unreadable."""
    return read_notification(read_object(hook), hook, options, tool="Icinga 2")
