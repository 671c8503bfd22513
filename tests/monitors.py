"""Alertmanager, monit and Nagios as processes of their own, set up as we tell operators to.

Each watches sign-in of a fictional site. What their configurations have besides our template is
what the tool needs to run in a folder, with waits that are short.
"""

from __future__ import annotations

import getpass
import grp
import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import notifier.sources
from notifier.domain.incident import Severity
from notifier.domain.signal import Setup
from notifier.sources import alertmanager, monit, nagios
from tests.processes import Process, free_port, request_json

ROOT = Path(__file__).resolve().parents[1]
SENDER = Path(notifier.sources.__file__).with_name("notifier-send.sh")
#: Debian's build of Alertmanager reads its own templates from there, wherever it is itself.
_ALERTMANAGER_TEMPLATES = Path("/usr/share/prometheus/alertmanager/default.tmpl")
_CHECK = """\
#!/bin/sh
: >{folder}/looked
[ -e {folder}/up ] && echo "OK - people can sign in" && exit 0
echo "CRITICAL - sign-in answers 503; <b>really</b> \\"503\\""
exit 2
"""


@dataclass(frozen=True, slots=True)
class Monitor:
    """A running tool, and how it comes to know that sign-in fails, or works again."""

    process: Process
    fail: Callable[[], object]
    recover: Callable[[], object]


@dataclass(frozen=True, slots=True)
class Tool:
    """A tool that may be installed here. `start` takes a folder and the integration's address.

    `severity` is how bad the failing sign-in is to it; monit knows no such thing.
    """

    source: str
    severity: Severity | None
    missing: Callable[[], str]
    start: Callable[[Path, str], AbstractContextManager[Monitor]]


def find(command: str) -> str | None:
    """The program: an installed one, else what scripts/real_senders.sh has unpacked."""
    unpacked = sorted(map(str, ROOT.glob("build/senders/*/usr/*bin")))
    return shutil.which(command, path=":".join([os.environ["PATH"], "/usr/sbin", *unpacked]))


def _missing(command: str, *, besides: Callable[[], str] = str) -> Callable[[], str]:
    """Why a tool cannot run here; "" if it can."""

    def look() -> str:
        if find(command) is None:
            return f"{command} is not installed, and not in build/senders (see `make senders`)"
        return besides()

    return look


def _templates_are_missing() -> str:
    there = _ALERTMANAGER_TEMPLATES.exists()
    return "" if there else f"Alertmanager needs {_ALERTMANAGER_TEMPLATES} (see `make senders`)"


def _poster_is_missing() -> str:
    there = shutil.which("curl") or shutil.which("wget")
    return "" if there else "notifier-send.sh needs curl or wget"


def paste(setup: Setup, address: str, instead: Mapping[str, str]) -> str:
    """What an operator pastes, with what a test cannot keep to replaced: paths and long waits."""
    text = setup.template.replace("{url}", address)
    for shown, ours in instead.items():
        assert shown in text, f"the template does not have {shown!r} any more:\n{text}"
        text = text.replace(shown, ours)
    return text


@contextmanager
def start_alertmanager(folder: Path, address: str) -> Iterator[Monitor]:
    """Alertmanager, which is told of alerts as Prometheus tells it."""
    waits = {"group_wait: 10s": "group_wait: 1s", "group_interval: 1m": "group_interval: 1s"}
    (folder / "alertmanager.yml").write_text(paste(alertmanager.SETUP, address, waits))
    url = f"http://127.0.0.1:{free_port()}"
    command = [
        find("prometheus-alertmanager") or "",
        "--config.file=alertmanager.yml",
        "--storage.path=data",
        f"--web.listen-address={url.removeprefix('http://')}",
        "--cluster.listen-address=",
    ]
    alert = {
        "labels": {"alertname": "SignInFails", "service": "sign-in", "severity": "critical"},
        "annotations": {"summary": "sign-in answers 503"},
        "startsAt": datetime.now(UTC).isoformat(),
    }

    def tell(**more: str) -> None:
        status, answer = request_json("POST", f"{url}/api/v2/alerts", [alert | more])
        assert status == 200, answer

    def is_ready() -> bool:
        try:
            return request_json("GET", f"{url}/api/v2/status")[0] == 200
        except OSError:
            return False

    with _running(command, folder, is_ready) as process:
        yield Monitor(process, tell, lambda: tell(endsAt=datetime.now(UTC).isoformat()))


@contextmanager
def start_monit(folder: Path, address: str) -> Iterator[Monitor]:
    """monit, which runs a check once a second."""
    queue = {"/var/lib/monit/events": f"{folder}/events"}
    config = folder / "monitrc"
    config.write_text(f"""\
set daemon 1
set idfile {folder}/id
set pidfile {folder}/pid
set statefile {folder}/state
{paste(monit.SETUP, address, queue)}
check program sign-in with path "{_write_check(folder)}"
  if status != 0 then alert
""")
    config.chmod(0o600)
    with _watching([find("monit") or "", "-I", "-c", str(config)], folder) as monitor:
        yield monitor


@contextmanager
def start_nagios(folder: Path, address: str) -> Iterator[Monitor]:
    """Nagios, which runs a check once a second, and our sender when it fails twice."""
    sender = folder / "notifier-send.sh"
    shutil.copy(SENDER, sender)
    sender.chmod(0o755)
    (folder / "notifier-send.conf").write_text(f"url={address}\nspool={folder}/spool\n")
    (folder / "notifier.cfg").write_text(
        paste(nagios.SETUP, address, {"/usr/local/bin/notifier-send.sh": str(sender)})
    )
    (folder / "site.cfg").write_text(_NAGIOS_SITE.format(check=_write_check(folder)))
    (folder / "results").mkdir()
    (folder / "nagios.cfg").write_text(
        _NAGIOS.format(
            folder=folder, user=getpass.getuser(), group=grp.getgrgid(os.getgid()).gr_name
        )
    )
    settings = {"NOTIFIER_CONFIG": str(folder / "notifier-send.conf")}
    command = [find("nagios4") or "", str(folder / "nagios.cfg")]
    with _watching(command, folder, settings) as monitor:
        yield monitor


_NAGIOS = """\
cfg_file={folder}/notifier.cfg
cfg_file={folder}/site.cfg
enable_environment_macros=1
nagios_user={user}
nagios_group={group}
log_file={folder}/nagios.log
lock_file={folder}/lock
status_file={folder}/status
object_cache_file={folder}/objects
state_retention_file={folder}/retention
check_result_path={folder}/results
command_file={folder}/commands
query_socket={folder}/query
temp_file={folder}/temporary
temp_path={folder}
check_external_commands=0
check_for_updates=0
execute_host_checks=0
interval_length=1
use_syslog=0
"""
_NAGIOS_SITE = """\
define timeperiod {{
  timeperiod_name  24x7
  alias            always
  monday           00:00-24:00
  tuesday          00:00-24:00
  wednesday        00:00-24:00
  thursday         00:00-24:00
  friday           00:00-24:00
  saturday         00:00-24:00
  sunday           00:00-24:00
}}
define command {{
  command_name  check
  command_line  {check}
}}
define host {{
  host_name           web01
  address             127.0.0.1
  max_check_attempts  1
  check_period        24x7
  contacts            notifier
}}
define service {{
  host_name            web01
  service_description  sign-in
  check_command        check
  check_interval       1
  retry_interval       1
  max_check_attempts   2
  check_period         24x7
  notification_period  24x7
  contacts             notifier
}}
"""


def _write_check(folder: Path) -> Path:
    """A check as such tools run it: it fails while there is no file "up"."""
    check = folder / "check.sh"
    check.write_text(_CHECK.format(folder=folder))
    check.chmod(0o755)
    return check


@contextmanager
def _watching(
    command: list[str], folder: Path, settings: Mapping[str, str] | None = None
) -> Iterator[Monitor]:
    """A tool that runs the check by itself, once it has done so and found all well."""
    up = folder / "up"
    up.touch()
    with _running(command, folder, (folder / "looked").exists, settings) as process:
        yield Monitor(process, up.unlink, up.touch)


@contextmanager
def _running(
    command: list[str],
    folder: Path,
    is_ready: Callable[[], bool],
    settings: Mapping[str, str] | None = None,
) -> Iterator[Process]:
    """A process that is ready, ended with the block. It inherits no proxy: all is local."""
    output = folder / "tool.out"
    with output.open("wb") as out:
        popen = subprocess.Popen(
            command,
            env={"PATH": os.environ["PATH"], **(settings or {})},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    process = Process(popen, "", output)
    try:
        _wait_until(is_ready, process)
        yield process
    finally:
        try:
            process.stop()
        finally:
            if popen.poll() is None:
                process.kill()


def _wait_until(is_ready: Callable[[], bool], process: Process) -> None:
    end = time.monotonic() + 15
    while not is_ready():
        ended = process.popen.poll() is not None
        assert not ended, f"it ended:\n{process.output.read_text()}"
        assert time.monotonic() < end, f"it is not ready:\n{process.output.read_text()}"
        time.sleep(0.02)


TOOLS = (
    Tool(
        "alertmanager",
        Severity.CRITICAL,
        _missing("prometheus-alertmanager", besides=_templates_are_missing),
        start_alertmanager,
    ),
    Tool("monit", None, _missing("monit"), start_monit),
    Tool(
        "nagios",
        Severity.CRITICAL,
        _missing("nagios4", besides=_poster_is_missing),
        start_nagios,
    ),
)
