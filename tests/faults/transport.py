"""P7: somebody with the wrong certificate stands where a provider should be."""

from __future__ import annotations

import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from urllib.parse import urlsplit

from tests.faults.certificates import Certificates, make_certificates
from tests.faults.site import Site, Told, open_site
from tests.faults.trial import Fault, Ground, Trial
from tests.processes import request_json

_HOST = "127.0.0.1"
_READ_AT_ONCE = 65_536
#: What an operator must be told, by what is wrong.
_SAID: Mapping[str, str] = {
    "expired": "certificate has expired",
    "self-signed": "self-signed certificate",
    "wrong host": "certificate is not valid for '127.0.0.1'",
}


class Front(socketserver.ThreadingTCPServer):
    """Takes TLS in front of a provider that speaks without, and counts what it could read."""

    daemon_threads = True

    def __init__(self, target: int, context: ssl.SSLContext) -> None:
        super().__init__((_HOST, 0), _Relay)
        self.target, self.context = target, context
        #: Bytes meant for the provider, and clients that went when they saw the certificate: both
        #: since it was changed.
        self.received = self.refusals = 0
        self.connected: set[socket.socket] = set()

    @property
    def place(self) -> str:
        """Host and port."""
        return f"{_HOST}:{self.server_address[1]}"

    def show(self, context: ssl.SSLContext) -> None:
        """Use this certificate from now on; whoever is connected has to come again."""
        self.context = context
        for client in list(self.connected):
            with suppress(OSError):
                client.shutdown(socket.SHUT_RDWR)
        self.received = self.refusals = 0


class _Relay(socketserver.BaseRequestHandler):
    server: Front

    def handle(self) -> None:
        front = self.server
        try:
            client = front.context.wrap_socket(self.request, server_side=True)
        except OSError:
            front.refusals += 1
            return
        front.connected.add(client)
        with suppress(OSError), client, socket.create_connection((_HOST, front.target)) as provider:
            answers = threading.Thread(target=_carry, args=[provider, client], daemon=True)
            answers.start()
            _carry(client, provider, self._count)
        front.connected.discard(client)

    def _count(self, data: bytes) -> None:
        self.server.received += len(data)


def _carry(
    source: socket.socket, sink: socket.socket, note: Callable[[bytes], None] | None = None
) -> None:
    """Whatever comes from one goes to the other, until one of them ends."""
    with suppress(OSError):
        while data := source.recv(_READ_AT_ONCE):
            if note:
                note(data)
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_RDWR)


@contextmanager
def _open_front(target: str, context: ssl.SSLContext) -> Iterator[Front]:
    """In front of the provider at this address."""
    with Front(urlsplit(target).port or 0, context) as front:
        threading.Thread(target=front.serve_forever, args=[0.05], daemon=True).start()
        try:
            yield front
        finally:
            front.shutdown()


def refuse_a_stranger(provider: str) -> Callable[[Ground], Iterator[Trial]]:
    """Refused before a byte is said, with a sentence that says why; healed, the message leaves."""

    def run(ground: Ground) -> Iterator[Trial]:
        certificates = make_certificates(ground.folder)
        with (
            open_site(ground, nodes=0) as site,
            _open_front(_address(site, provider), certificates.good) as front,
        ):
            site.settings |= _settings(provider, front, certificates)
            site.start()
            for number in range(ground.tries):
                what = list(_SAID)[number % len(_SAID)]
                front.show(certificates.wrong[what])
                told = site.say()
                broken = list(_look_at_refusal(site, told, provider, front, _SAID[what]))
                front.show(certificates.good)
                healed = time.time_ns()
                yield site.conclude(told, healed_ns=healed, broken=broken)
            yield site.last_look()

    return run


def _address(site: Site, provider: str) -> str:
    return site.box.smtp_url if provider == "smtp" else site.box.url


def _settings(provider: str, front: Front, certificates: Certificates) -> dict[str, str]:
    # The one is read by `requests`, the other by OpenSSL.
    trust = dict.fromkeys(("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"), str(certificates.authority))
    if provider == "smtp":
        smtp = {"NOTIFIER_EMAIL__PROVIDER": "smtp", "NOTIFIER_SMTP__URL": f"smtps://{front.place}"}
        return trust | smtp
    return trust | {f"NOTIFIER_{provider.upper()}__API_URL": f"https://{front.place}"}


def _look_at_refusal(
    site: Site, told: Told, provider: str, front: Front, said: str
) -> Iterator[str]:
    """What is wrong while the wrong certificate is shown, after it was tried."""
    is_post = provider == "x"
    deadline = time.monotonic() + 10
    left, why = False, ""
    while time.monotonic() < deadline and not (front.refusals and left and said in why):
        finding = site.look(told)
        left = not (finding.missing if is_post else finding.missing_posts)
        why = _reason(site, provider)
        time.sleep(0.05)
    if not front.refusals:
        yield "the certificate was never looked at"
    if front.received:
        yield f"{front.received} bytes were told to a stranger"
    if not left:
        yield "the other channel waited too"
    if said not in why:
        yield f"instead of {said!r} it says {why!r}"


def _reason(site: Site, provider: str) -> str:
    """What an operator reads of the channel."""
    status, answer = request_json("GET", f"{site.node.url}/api/v1/channels", token=site.token)
    if status != 200:
        return f"the API answered {status}"
    return next((c["reason"] or "" for c in answer["channels"] if c["channel"] == provider), "")


_WHAT = "an expired certificate, a self-signed one, one of another host"

FAULTS = (
    Fault("P7 x", f"{_WHAT}: X", refuse_a_stranger("x"), (3, 15)),
    Fault("P7 mail", f"{_WHAT}: SendGrid", refuse_a_stranger("sendgrid"), (3, 15)),
    Fault("P7 smtp", f"{_WHAT}: a mail server, by smtps", refuse_a_stranger("smtp"), (3, 15)),
)
