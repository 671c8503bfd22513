"""Netdata: bodies with the fields its documentation lists, and our shell function run by bash."""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Hook, Signal
from notifier.sources import netdata
from tests.sources.bodies import NOW, request, sample, shared_request


def only(hook: Hook) -> Signal:
    (signal,) = netdata.parse(hook, {}).signals
    return signal


def test_the_severity_is_the_state() -> None:
    began, ended = (only(sample("netdata", name)) for name in ("firing", "resolved"))
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.severity == "warning"
    assert began.labels["rooms"] == "all, prod"
    assert began.position < ended.position


def test_a_node_in_the_link_belongs_to_the_key() -> None:
    body = {"alert": "a", "chart": "c", "severity": "critical"}
    links = [f"https://app.netdata.cloud/spaces/s/nodes/{node}" for node in ("n1", "n2")]
    keys = {only(request(body | {"alert_url": link})).key for link in links}
    assert len(keys) == 2


def test_a_node_that_is_reachable_again_ends_its_alert() -> None:
    began, ended = (only(sample("netdata", name)) for name in ("unreachable", "reachable"))
    assert began.key == ended.key
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)


def test_the_token_of_the_test_is_shown() -> None:
    reading = netdata.parse(sample("netdata", "test_button"), {})
    assert not reading.signals
    assert reading.ignored.endswith("8c6e6f0a")


def test_the_documented_fields_are_read() -> None:
    alert = only(shared_request("netdata/alert_field_list_example.json"))
    assert (alert.condition, alert.severity) == (Condition.FIRING, "critical")
    assert alert.url == "https://app.netdata.cloud/alert/1"
    node = only(shared_request("netdata/reachability_field_list_example.json"))
    assert (node.key, node.condition) == ("reachability:db1", Condition.FIRING)


@pytest.mark.parametrize("body", [{"alert": "a"}, {"severity": "clear"}, {"status": "down"}])
def test_other_bodies_are_refused(body: dict[str, str]) -> None:
    with pytest.raises(Unreadable, match="alert with a severity"):
        netdata.parse(request(body), {})


class Taker(BaseHTTPRequestHandler):
    """Keeps the last request and answers 202."""

    taken: Hook | None = None

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in self.headers.items()}
        type(self).taken = Hook("POST", headers, "", body, NOW)
        self.send_response(202)
        self.end_headers()

    def log_message(self, *_args: object) -> None:
        return


@pytest.fixture
def address() -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Taker)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/hooks/netdata/key"
    server.shutdown()
    thread.join()
    server.server_close()


#: What alarm-notify.sh has set when it calls `custom_sender`.
AGENT = """
set -u
docurl() { curl --write-out '%{http_code}' --output /dev/null --silent --show-error "$@"; }
info() { echo "info: $*"; }
error() { echo "error: $*"; }
sent=0 host='db1' chart='disk_space._' name='disk_space_usage' when='1795363331'
summary='' info='space "used" & <more>, 90% $(id)' goto_url='https://app.netdata.cloud/a?b=c&d=e'
context='disk.space' classification='Utilization' component='Disk' roles='sysadmin'
"""


def test_the_agents_function_sends_what_we_read(address: str, tmp_path: Path) -> None:
    if not (shutil.which("bash") and shutil.which("curl")):
        pytest.skip("bash and curl are not both at hand")
    signals = []
    for status in ("WARNING", "CLEAR"):
        script = tmp_path / "notify.sh"
        function = netdata.SETUP.template.replace("{url}", address)
        script.write_text(f"{AGENT}\nstatus={status}\n{function}\ncustom_sender x\necho $sent\n")
        ran = subprocess.run(["bash", script], capture_output=True, text=True, timeout=30)
        assert ran.stdout.splitlines()[-1] == "1", ran
        assert Taker.taken is not None
        signals.append(only(Taker.taken))
    began, ended = signals
    assert (began.condition, ended.condition) == (Condition.FIRING, Condition.RESOLVED)
    assert began.key == ended.key == "db1/disk_space._/disk_space_usage"
    assert began.description == 'space "used" & <more>, 90% $(id)'
    assert began.url == "https://app.netdata.cloud/a?b=c&d=e"
    assert began.position.timestamp() == 1795363331
    assert began.labels["host"] == "db1"
    assert began.labels["component"] == "Disk"


def test_the_agents_own_test_is_ignored() -> None:
    hook = request(b"dedup_key=h%2Fc%2Ftest_alarm&status=CRITICAL&alert=test_alarm")
    assert netdata.parse(hook, {}).ignored
