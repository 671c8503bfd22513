"""Whatever is sent to a real server's hooks: never a 5xx, and no memory that stays away."""

from __future__ import annotations

import gzip
import http.client
import re
import socket
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from notifier.app import build, load_settings
from notifier.services import audience, integrations
from notifier.services.integrations import Wanted
from tests.processes import Process, environment, sandbox, server

pytestmark = pytest.mark.slow

SOURCES = ("alertmanager", "monit", "uptime_kuma", "generic", "statuscake")
_MB = 1_000_000
_DEEP = b"[" * 10_000
_BOMB = b"".join(b'<!ENTITY l%d "%s">' % (i, b"&l%d;" % (i - 1) * 10) for i in range(1, 10))

CORPUS: dict[str, bytes] = {
    "empty": b"",
    "truncated": b'{"alerts": [{"status": "fir',
    "nested 10,000 deep": _DEEP,
    "objects 10,000 deep": b'{"a":' * 10_000,
    "10 MB of one text": b'{"alerts": "' + b"x" * 10 * _MB + b'"}',
    "2 MB of one text": b'{"alerts": "' + b"x" * (2 * _MB) + b'"}',
    "2 MB of small alerts": b'{"alerts":[' + b'{"status":"firing"},' * 95_000 + b"{}]}",
    "2 MB of keys": b"{" + b",".join(b'"k%d":1' % i for i in range(170_000)) + b"}",
    "NaN": b'{"alerts": [{"status": "firing", "startsAt": NaN}]}',
    "duplicate keys": b'{"alerts": [], "alerts": [{"status": "firing"}]}',
    "invalid UTF-8": b'{"alerts": [{"status": "\xff\xfe"}]}',
    "half characters": b'{"alerts": [{"status": "firing", "fingerprint": "\\ud800"}]}',
    "NUL": b'{"alerts": [{"status": "firing", "fingerprint": "\\u0000\x00"}]}',
    "a number of 5,000 digits": b'{"alerts": ' + b"9" * 5_000 + b"}",
    "zip": gzip.compress(b"0" * 50 * _MB),
    "XML bomb": b"<?xml version='1.0'?><!DOCTYPE m [<!ENTITY l0 'lol'>" + _BOMB + b"]><m>&l9;</m>",
    "XML from a file": b"<!DOCTYPE m [<!ENTITY f SYSTEM 'file:///etc/passwd'>]><monit>&f;</monit>",
    "a form of 100,000 fields": b"&".join(b"k%d=v" % i for i in range(100_000)),
    "multipart of 10,000 parts": b"--x\r\n\r\n\r\n" * 10_000 + b"--x--",
}
KINDS = ("application/json", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x")


def test_no_body_makes_an_error_or_keeps_memory(tmp_path: Path) -> None:
    with sandbox(tmp_path) as box:
        settings = environment(tmp_path, box)
        paths = _connect(settings)
        with server(tmp_path, settings) as serving:
            for path in paths:  # what is loaded once stays
                _status(serving, path, b"{}", KINDS[0])
            before = _resident_mb(serving)
            answers = _send_everything(serving, paths)
            grown = _resident_mb(serving) - before
            assert _status(serving, paths[0], b'{"alerts": []}', KINDS[0]) == 202
    bad = {what: status for what, status in answers.items() if status >= 500}
    assert bad == {}
    assert grown < 50


def test_a_body_that_unpacks_is_not_unpacked(tmp_path: Path) -> None:
    with sandbox(tmp_path) as box:
        settings = environment(tmp_path, box)
        path = _connect(settings)[0]
        with server(tmp_path, settings) as serving:
            address = urlsplit(serving.url)
            connection = http.client.HTTPConnection(address.netloc, timeout=20)
            headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
            connection.request("POST", path, CORPUS["zip"], headers)
            assert connection.getresponse().status == 415
            connection.close()


def test_a_chunked_body_without_a_length_is_taken(tmp_path: Path) -> None:
    with sandbox(tmp_path) as box:
        settings = environment(tmp_path, box)
        path = _connect(settings)[0]
        with server(tmp_path, settings) as serving:
            address = urlsplit(serving.url)
            with socket.create_connection((address.hostname, address.port), timeout=20) as peer:
                head = f"POST {path} HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
                peer.sendall(head.encode() + b'8\r\n{"alerts\r\n6\r\n": []}\r\n0\r\n\r\n')
                assert peer.recv(1_000).startswith(b"HTTP/1.1 202")


def _connect(settings: dict[str, str]) -> list[str]:
    """One integration of each source; the paths of their addresses."""
    n = build(load_settings(environ=settings))
    audience.put_component(n, slug_="heat", name="Heat")
    made = [integrations.create(n, Wanted(source=s, name=s, component="heat")) for s in SOURCES]
    n.db.close()
    return [urlsplit(address).path for _id, address in made]


def _send_everything(serving: Process, paths: list[str]) -> dict[tuple[str, str, str], int]:
    return {
        (path.split("/")[2], what, kind): _status(serving, path, body, kind)
        for path in paths
        for what, body in CORPUS.items()
        for kind in (KINDS if len(body) < _MB else KINDS[:1])
    }


def _status(serving: Process, path: str, body: bytes, kind: str) -> int:
    connection = http.client.HTTPConnection(urlsplit(serving.url).netloc, timeout=60)
    connection.request("POST", path, body, {"Content-Type": kind})
    status = connection.getresponse().status
    connection.close()
    return status


def _resident_mb(serving: Process) -> float:
    found = re.search(
        r"VmRSS:\s+([0-9]+) kB", Path(f"/proc/{serving.popen.pid}/status").read_text()
    )
    assert found
    return int(found[1]) * 1024 / 1e6
