"""The sender for tools without HTTP, really run, against a real server on the loopback."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Iterator, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

import notifier.sources
from notifier.sources import checkmk, icinga2, monit, nagios
from tests.sources.bodies import request

SENDER = Path(notifier.sources.__file__).with_name("notifier-send.sh")
SHELL = shutil.which("dash") or shutil.which("sh") or ""
TOOLS = (
    *("date", "sed", "tail", "head", "tr", "awk", "iconv", "wc", "mv", "rm", "ln", "readlink"),
    *("expr", "cat", "mkdir", "timeout", "wget", "sh"),
)

pytestmark = pytest.mark.skipif(
    not SHELL or not (shutil.which("curl") or shutil.which("wget")),
    reason="the sender needs sh and either curl or wget",
)


class Receiver:
    """What a notifier would do with what arrives: keep it, and answer as told."""

    def __init__(self, port: int = 0) -> None:
        self.bodies: list[dict[str, Any]] = []
        self.raw: list[bytes] = []
        self.paths: list[str] = []
        self.headers: list[Mapping[str, str]] = []
        self.answers: list[int] = []
        self.seconds = 0.0
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                time.sleep(receiver.seconds)
                receiver.raw.append(body)
                receiver.bodies.append(json.loads(body))
                receiver.paths.append(self.path)
                receiver.headers.append(dict(self.headers))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, format: str, *args: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_address[1]
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.02,))
        self._thread.start()

    @property
    def keys(self) -> list[str]:
        return [body["dedup_key"] for body in self.bodies]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Site:
    """A machine with the sender on it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.spool = folder / "spool"
        self.environ = {
            "PATH": os.environ["PATH"],
            "NOTIFIER_URL": f"http://127.0.0.1:{port}/hooks/nagios/secret-key",
            "NOTIFIER_SPOOL": str(self.spool),
            "NOTIFIER_CONFIG": str(folder / "none.conf"),
        }

    def send(self, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
        done = self.start(*arguments, **environ)
        out, err = done.communicate(timeout=30)
        return subprocess.CompletedProcess(arguments, done.returncode, out, err)

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [SHELL, str(SENDER), *arguments],
            env=self.environ | environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @property
    def waiting(self) -> list[Path]:
        return sorted(self.spool.glob("*.json"))

    @property
    def log(self) -> str:
        file = self.spool / "log"
        return file.read_text() if file.exists() else ""


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


@pytest.fixture
def site(tmp_path: Path, receiver: Receiver) -> Site:
    return Site(tmp_path, receiver.port)


def a_port_that_is_closed() -> int:
    closed = Receiver()
    closed.close()
    return closed.port


NAGIOS = {
    "NAGIOS_NOTIFICATIONTYPE": "PROBLEM",
    "NAGIOS_HOSTNAME": "shop-01",
    "NAGIOS_HOSTSTATE": "UP",
    "NAGIOS_SERVICEDESC": "Checkout",
    "NAGIOS_SERVICESTATE": "CRITICAL",
    "NAGIOS_SERVICEOUTPUT": "HTTP CRITICAL: 503",
    "NAGIOS_LONGSERVICEOUTPUT": "first line\nsecond line",
    "NAGIOS_LASTSERVICESTATECHANGE": "1795363200",
    "NAGIOS_SERVICENOTESURL": "https://wiki.example.com/checkout",
}


def test_what_it_makes_of_a_tools_environment_is_what_we_read(
    site: Site, receiver: Receiver
) -> None:
    assert site.send(**NAGIOS).returncode == 0
    recovery = {"NAGIOS_NOTIFICATIONTYPE": "RECOVERY", "NAGIOS_SERVICESTATE": "OK"}
    site.send(**NAGIOS | recovery | {"NAGIOS_LASTSERVICESTATECHANGE": "1795363980"})
    (began,), (ended,) = (nagios.parse(request(raw), {}).signals for raw in receiver.raw)
    assert (began.condition, ended.condition) == ("firing", "resolved")
    assert began.key == ended.key == "shop-01!Checkout"
    assert began.title == "Checkout on shop-01 is CRITICAL"
    assert began.description == "HTTP CRITICAL: 503\nfirst line\nsecond line"
    assert began.severity == "CRITICAL"
    assert began.url == "https://wiki.example.com/checkout"
    assert began.position.timestamp() == 1795363200
    assert ended.position.timestamp() == 1795363980
    assert began.labels["host"] == "shop-01"
    assert site.waiting == []


def test_it_knows_the_environments_of_icinga_checkmk_and_monit(
    site: Site, receiver: Receiver
) -> None:
    site.send(
        ICINGA_NOTIFICATIONTYPE="ACKNOWLEDGEMENT",
        ICINGA_HOSTNAME="shop-01",
        ICINGA_HOSTSTATE="DOWN",
        ICINGA_LASTHOSTSTATECHANGE="1795363200.482",
    )
    site.send(
        NOTIFY_WHAT="SERVICE",
        NOTIFY_NOTIFICATIONTYPE="CUSTOM",
        NOTIFY_HOSTNAME="shop-01",
        NOTIFY_SERVICEDESC="CPU load",
    )
    monit_says = {"MONIT_HOST": "shop-01", "MONIT_SERVICE": "web", "MONIT_DESCRIPTION": "failed"}
    site.send("--status", "resolved", "--component", "shop", **monit_says)
    host, custom, service = (request(raw) for raw in receiver.raw)
    (acknowledged,) = icinga2.parse(host, {}).signals
    assert (acknowledged.key, acknowledged.condition) == ("shop-01", "acknowledged")
    assert acknowledged.position.timestamp() == 1795363200.482
    assert "CUSTOM" in checkmk.parse(custom, {}).ignored
    (ended,) = monit.parse(service, {}).signals
    assert (ended.key, ended.description) == ("shop-01!web", "failed")
    assert ended.labels["component"] == "shop"


HOSTILE = b"""say "hi" \\ \\n $(touch pwned) `id` ' % \x01\x1b[31m \xff\xc3( \xed\xa0\x80
line two\ttab \xf0\x9f\x94\xa5 end\\"""


def test_whatever_a_plugin_says_the_json_is_valid(
    site: Site, receiver: Receiver, tmp_path: Path
) -> None:
    environ = {name: value.encode() for name, value in (site.environ | NAGIOS).items()}
    for name in ("NAGIOS_SERVICEOUTPUT", "NAGIOS_SERVICEDESC"):
        environ[name] = HOSTILE
    command = [SHELL.encode(), str(SENDER).encode(), b"--label", b"odd=" + HOSTILE]
    subprocess.run(command, env=environ, cwd=tmp_path, check=True)
    (body,) = receiver.bodies
    said = body["description"]
    assert said.startswith('say "hi" \\ \\n $(touch pwned) `id` \' %')
    assert "\nline two tab 🔥 end\\\nfirst line\nsecond line" in said
    assert body["labels"]["odd"] == body["labels"]["service"]
    assert not (tmp_path / "pwned").exists()
    assert nagios.parse(request(receiver.raw[0]), {}).signals


def test_an_endless_output_is_cut(site: Site, receiver: Receiver) -> None:
    assert site.send(**NAGIOS | {"NAGIOS_SERVICEOUTPUT": "é" * 30_000}).returncode == 0
    assert 3_000 < len(receiver.bodies[0]["description"]) <= 8_000


def test_what_could_not_be_sent_goes_first_and_in_order(tmp_path: Path) -> None:
    port = a_port_that_is_closed()
    site = Site(tmp_path, port)
    for number in range(12):
        done = site.send("--key", f"k{number}", "--status", "firing")
        assert done.returncode == 1
    assert len(site.waiting) == 12
    assert "no answer" in site.log
    assert "secret-key" not in site.log
    receiver = Receiver(port)
    try:
        assert site.send("--key", "last", "--status", "resolved").returncode == 0
    finally:
        receiver.close()
    assert receiver.keys == [f"k{number}" for number in range(12)] + ["last"]
    assert receiver.paths[0] == "/hooks/nagios/secret-key"
    assert site.waiting == []


def test_flush_sends_what_waits_and_nothing_else(site: Site, receiver: Receiver) -> None:
    receiver.answers = [503]
    assert site.send("--key", "a", "--status", "firing").returncode == 1
    assert site.send("--flush").returncode == 0
    assert receiver.keys == ["a", "a"]
    assert site.send("--flush").returncode == 0
    assert len(receiver.bodies) == 2


def test_calls_at_once_send_each_alert_once(site: Site, receiver: Receiver) -> None:
    receiver.seconds = 0.05
    calls = [site.start("--key", f"k{number}", "--status", "firing") for number in range(10)]
    codes = []
    for call in calls:
        call.communicate(timeout=30)
        codes.append(call.returncode)
    assert codes == [0] * 10
    assert sorted(receiver.keys) == sorted(f"k{number}" for number in range(10))
    assert site.waiting == []


def test_a_lock_of_a_process_that_was_killed_is_taken_over(site: Site, receiver: Receiver) -> None:
    site.spool.mkdir()
    lock = site.spool / "lock"
    lock.symlink_to(f"{int(time.time()) - 5}.1")
    assert site.send("--key", "a", "--status", "firing").returncode == 0
    assert receiver.keys == []  # somebody may still be sending
    lock.unlink()
    lock.symlink_to(f"{int(time.time()) - 90}.1")
    assert site.send("--key", "b", "--status", "firing").returncode == 0
    assert receiver.keys == ["a", "b"]
    assert not lock.is_symlink()


def test_a_server_that_does_not_answer_holds_nobody_for_longer_than_ten_seconds(
    site: Site, receiver: Receiver
) -> None:
    receiver.seconds = 13
    began = time.monotonic()
    assert site.send("--key", "a", "--status", "firing").returncode == 1
    assert 9 < time.monotonic() - began < 13
    assert len(site.waiting) == 1


def test_a_refused_body_is_dropped_and_does_not_block_the_others(
    site: Site, receiver: Receiver
) -> None:
    receiver.answers = [503, 400, 202]
    site.send("--key", "odd", "--status", "firing")
    assert site.send("--key", "good", "--status", "firing").returncode == 0
    assert receiver.keys == ["odd", "odd", "good"]
    assert "Refused with 400" in site.log
    receiver.answers = [422]
    assert site.send("--key", "odd", "--status", "firing").returncode == 3


@pytest.mark.parametrize("answer", [301, 401, 404, 429, 500, 503])
def test_any_other_answer_means_later(site: Site, receiver: Receiver, answer: int) -> None:
    receiver.answers = [answer]
    assert site.send("--key", "a", "--status", "firing").returncode == 1
    assert f"the answer was {answer}" in site.log
    assert len(site.waiting) == 1


def test_the_spool_is_bounded_and_the_oldest_goes_first(site: Site, receiver: Receiver) -> None:
    site.spool.mkdir()
    for number in range(1, 1001):
        (site.spool / f"{number:012d}.json").write_text(json.dumps({"dedup_key": f"k{number}"}))
    receiver.answers = [503]
    assert site.send("--key", "new", "--status", "firing").returncode == 1
    names = [path.name for path in site.waiting]
    assert (len(names), names[0], names[-1]) == (1000, "000000000002.json", "000000001001.json")
    assert "the oldest alert, 000000000001.json, was dropped" in site.log


def test_where_nothing_can_be_kept_it_still_sends(tmp_path: Path, receiver: Receiver) -> None:
    site = Site(tmp_path, receiver.port)
    site.spool.write_text("a file where the folder should be")
    assert site.send("--key", "a", "--status", "firing").returncode == 0
    assert receiver.keys == ["a"]
    receiver.answers = [503]
    done = site.send("--key", "a", "--status", "firing")
    assert done.returncode == 4
    assert "cannot be written to" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--status", "firing"], "Neither --key nor --host"),
        (["--key", "a"], "Neither --status nor --type"),
        (["--key"], "its value is missing"),
        (["--nonsense", "a"], "is not known"),
        (["--key", "a", "--status", "firing", "--url", "ftp://x"], "address of the integration"),
        (["--key", "a", "--status", "firing", "--url", 'http://x/"'], "character"),
        (["--key", "a", "--status", "firing", "--header", "X: a\nurl = b"], "character"),
    ],
)
def test_a_wrong_call_says_so_and_keeps_nothing(
    site: Site, receiver: Receiver, arguments: list[str], said: str
) -> None:
    done = site.send(*arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert not site.waiting
    assert not receiver.bodies


def test_the_address_and_a_header_may_stand_in_a_file(
    site: Site, receiver: Receiver, tmp_path: Path
) -> None:
    config = tmp_path / "send.conf"
    config.write_text(f"url={site.environ.pop('NOTIFIER_URL')}\nheader=X-Secret: s 1\n")
    assert site.send("--config", str(config), "--key", "a", "--status", "firing").returncode == 0
    assert receiver.headers[0]["X-Secret"] == "s 1"


@pytest.mark.skipif(
    not (shutil.which("wget") and shutil.which("timeout")), reason="needs wget and timeout"
)
def test_without_curl_it_uses_wget(site: Site, receiver: Receiver, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    for tool in TOOLS:
        (folder / tool).symlink_to(shutil.which(tool) or tool)
    site.environ["PATH"] = str(folder)
    assert site.send("--header", "X-Secret: s1", **NAGIOS).returncode == 0
    assert nagios.parse(request(receiver.raw[0]), {}).signals
    assert receiver.headers[0]["X-Secret"] == "s1"
    receiver.answers = [503]
    assert site.send(**NAGIOS).returncode == 1
    assert "the answer was 503" in site.log
    assert site.send("--flush").returncode == 0
    assert len(receiver.bodies) == 3
