"""Zabbix: the media type we give away is run, as Zabbix would, on values in place of its macros."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import textwrap

import pytest

from notifier.domain.receipt import Unreadable
from notifier.domain.signal import Condition, Signal, clean, severity_of
from notifier.sources import zabbix
from tests.sources.bodies import NOW, request, sample

MACROS = {
    "{EVENT.ID}": "48213",
    "{EVENT.VALUE}": "1",
    "{EVENT.ACK.STATUS}": "No",
    "{EVENT.NSEVERITY}": "5",
    "{EVENT.NAME}": 'Gateway says "no" \\ <b>',
    "{EVENT.OPDATA}": "*UNKNOWN*",
    "{HOST.NAME}": "pay-01",
    "{TRIGGER.HOSTGROUP.NAME}": "Payments",
    "{EVENT.TAGSJSON}": '[{"tag":"component","value":"payments"},{"tag":"public","value":""}]',
    "{EVENT.TIMESTAMP}": "1795363200",
    "{TRIGGER.ID}": "311",
    "{$ZABBIX.URL}": "https://zabbix.example.com",
}
#: What Zabbix's JavaScript has and Node has not.
HARNESS = """\
const answers = JSON.parse(process.argv[2]);
class HttpRequest {
  constructor() { this.headers = []; }
  addHeader(header) { this.headers.push(header); }
  getStatus() { return answers.status; }
  post(address, body) {
    process.stdout.write(JSON.stringify({address, body, headers: this.headers}));
    return '{}';
  }
}
const run = new Function('value', 'HttpRequest', answers.script);
try { run(answers.value, HttpRequest); } catch (error) { process.stderr.write(String(error)); }
"""


def parameters() -> dict[str, str]:
    pairs = re.findall(r"- name: (\w+)\n +value: '(.*)'\n", zabbix.SETUP.template)
    return dict(pairs)


def script() -> str:
    found = re.search(r"script: \|\n(.*?)\n +message_templates:", zabbix.SETUP.template, re.DOTALL)
    assert found
    return textwrap.dedent(found[1])


def run_media_type(macros: dict[str, str], *, status: int = 202) -> tuple[dict[str, str], str]:
    """What the media type posts, and what it throws."""
    node = shutil.which("node")
    if not node:
        pytest.skip("Node is not at hand to run the media type's JavaScript")
    given = {name: _fill(value, macros) for name, value in parameters().items()}
    told = json.dumps({"status": status, "value": json.dumps(given), "script": script()})
    done = subprocess.run([node, "-", told], input=HARNESS, capture_output=True, text=True)
    return json.loads(done.stdout), done.stderr


def _fill(value: str, macros: dict[str, str]) -> str:
    for macro, filled in (macros | {"{url}": "https://status.example.com/hooks/zabbix/k"}).items():
        value = value.replace(macro, filled)
    return value


def read(macros: dict[str, str]) -> Signal:
    posted, _ = run_media_type(macros)
    (signal,) = zabbix.parse(request(posted["body"]), {}).signals
    return signal


def test_what_the_media_type_posts_is_what_we_read() -> None:
    posted, thrown = run_media_type(MACROS)
    assert not thrown
    assert posted["address"] == "https://status.example.com/hooks/zabbix/k"
    signal = read(MACROS)
    assert (signal.key, signal.condition) == ("48213", Condition.FIRING)
    assert signal.title == 'Gateway says "no" \\ <b>'
    assert signal.description == ""
    assert signal.severity == "disaster"
    assert signal.position.timestamp() == 1795363200
    assert signal.labels == {
        "component": "payments",
        "public": "true",
        "host": "pay-01",
        "hostgroup": "Payments",
    }
    assert signal.url == "https://zabbix.example.com/tr_events.php?triggerid=311&eventid=48213"


def test_acknowledged_and_over_have_the_same_key() -> None:
    taken = read(MACROS | {"{EVENT.ACK.STATUS}": "Yes"})
    over = read(MACROS | {"{EVENT.ACK.STATUS}": "Yes", "{EVENT.VALUE}": "0"})
    assert (taken.condition, over.condition) == (Condition.ACKNOWLEDGED, Condition.RESOLVED)
    assert taken.key == over.key == "48213"


def test_macros_that_zabbix_does_not_know_count_as_missing() -> None:
    unknown = ("{EVENT.TIMESTAMP}", "{$ZABBIX.URL}", "{EVENT.TAGSJSON}", "{HOST.NAME}")
    signal = clean(read({name: v for name, v in MACROS.items() if name not in unknown}))
    assert signal.position == NOW
    assert signal.url == ""
    assert signal.labels == {"hostgroup": "Payments"}


def test_it_throws_where_we_do_not_take_the_alert_so_that_zabbix_tries_again() -> None:
    _, thrown = run_media_type(MACROS, status=503)
    assert "notifier answered 503" in thrown


def test_the_test_button_is_understood() -> None:
    assert "test" in zabbix.parse(sample("zabbix", "test_button"), {}).ignored


@pytest.mark.parametrize("number", ["0", "1", "2", "3", "4", "5", "Not classified", "Average"])
def test_every_severity_is_a_word_we_know(number: str) -> None:
    body = {"dedup_key": "1", "status": "firing", "severity": number}
    word = zabbix.parse(request(body), {}).signals[0].severity
    assert severity_of(word, default=None) == severity_of(word, default=zabbix_critical())


def zabbix_critical() -> object:
    return severity_of("critical", default=None)


def test_anything_else_is_refused() -> None:
    with pytest.raises(Unreadable, match=r"so it is not one of our Zabbix media type's\.$"):
        zabbix.parse(request({"status": "firing"}), {})
