"""An SMTP server that takes mail as strictly as a big provider does (aiosmtpd underneath).

AUTH is offered and optional, but given credentials must be right. PIPELINING is advertised on
top of what aiosmtpd says, because aiosmtpd does it: it reads commands from one buffered stream
and answers each in order (tests/sandbox/test_smtp.py sends whole transactions in one segment).
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import secrets
import socket
import struct
import threading
import time
from typing import Any, NoReturn

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session
from pydantic_core import to_json

from notifier.sandbox.faults import Fault, Faults
from notifier.sandbox.log import Log
from notifier.sandbox.smtp_mail import ADDRESS, Unacceptable, read_mail
from notifier.sandbox.traffic import Entry, Traffic

HOST_NAME = "sandbox.notifier.invalid"
SIZE_MAX = 30 * 1024 * 1024
_LINGER_ZERO = struct.pack("ii", 1, 0)


class SmtpServer:
    """Listens in a thread of its own from `start` to `stop`."""

    def __init__(
        self, *, user: str, password: str, log: Log, faults: Faults, traffic: Traffic
    ) -> None:
        self._handler = _Handler(log, faults, traffic)
        self._login = (user.encode(), password.encode())
        # aiosmtpd warns here of its own deprecated attribute at every right login.
        logging.getLogger("mail.log").setLevel(logging.ERROR)
        self._loop = asyncio.new_event_loop()
        self._server: asyncio.Server | None = None
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def start(self, address: tuple[str, int]) -> int:
        """Listen; returns the port. Raises OSError when the address is taken."""
        host, port = address
        listening = self._loop.create_server(self._make_session, host, port)
        try:
            self._server = self._loop.run_until_complete(listening)
        except OSError:
            self._loop.close()
            raise
        self._thread.start()
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    def stop(self) -> None:
        """End every connection and free the port."""
        asyncio.run_coroutine_threadsafe(self._end(), self._loop).result(timeout=10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    async def _end(self) -> None:
        assert self._server is not None  # noqa: S101 - for the type checker
        self._server.close()
        sessions = asyncio.all_tasks(self._loop) - {asyncio.current_task()}
        for session in sessions:
            session.cancel()
        await asyncio.gather(*sessions, return_exceptions=True)
        await self._loop.shutdown_default_executor()

    def _make_session(self) -> _Connection:
        return _Connection(
            self._handler,
            hostname=HOST_NAME,
            ident="ESMTP notifier sandbox",
            data_size_limit=SIZE_MAX,
            enable_SMTPUTF8=True,
            auth_require_tls=False,
            authenticator=self._authenticate,
            loop=self._loop,
        )

    def _authenticate(
        self, _server: SMTP, _session: Session, _envelope: Envelope, _mechanism: str, login: Any
    ) -> AuthResult:
        user, password = self._login
        right = hmac.compare_digest(login.login, user)
        right &= hmac.compare_digest(login.password, password)
        return AuthResult(success=right, handled=False, auth_data=login)


class _Transaction(Envelope):
    """One mail from MAIL FROM to its end."""

    def __init__(self) -> None:
        super().__init__()
        self.received_ns = 0
        self.entry = Entry(0, "smtp", "", 0, 0)


class _Connection(SMTP):
    """One client's connection, which can be ill-treated."""

    def _create_envelope(self) -> _Transaction:
        return _Transaction()

    async def close(self) -> NoReturn:
        """End the connection in good order."""
        self._writer.close()
        await _until_cancelled()

    async def reset(self) -> NoReturn:
        """End it by a TCP reset."""
        connection = self._writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_ZERO)
        self._writer.transport.abort()
        await _until_cancelled()


class _Handler:
    """The hooks of aiosmtpd."""

    def __init__(self, log: Log, faults: Faults, traffic: Traffic) -> None:
        self._log = log
        self._faults = faults
        self._traffic = traffic

    async def handle_EHLO(  # noqa: N802
        self,
        _server: _Connection,
        session: Session,
        _envelope: _Transaction,
        hostname: str,
        responses: list[str],
    ) -> list[str]:
        session.host_name = hostname
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_MAIL(  # noqa: N802
        self,
        server: _Connection,
        session: Session,
        envelope: _Transaction,
        address: str,
        options: list[str],
    ) -> str:
        if refusal := _refuse_address(envelope, address):
            return refusal
        envelope.received_ns = time.time_ns()
        peer = int(session.peer[1]) if session.peer else 0
        envelope.entry = self._traffic.begin(
            "smtp", f"MAIL FROM:<{address}>", envelope.received_ns, peer
        )
        if refusal := await self._strike(server, envelope, "mail", address.encode()):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return "250 2.1.0 OK"

    async def handle_RCPT(  # noqa: N802
        self,
        server: _Connection,
        _session: Session,
        envelope: _Transaction,
        address: str,
        options: list[str],
    ) -> str:
        if refusal := _refuse_address(envelope, address):
            return refusal
        if refusal := await self._strike(server, envelope, "rcpt", address.encode()):
            return refusal
        envelope.rcpt_tos.append(address)
        envelope.rcpt_options.extend(options)
        return "250 2.1.5 OK"

    async def handle_DATA(  # noqa: N802
        self, server: _Connection, _session: Session, envelope: _Transaction
    ) -> str:
        fault = self._faults.take("smtp", "data", _content(envelope))
        if fault is None:
            return self._answered(envelope, await self._accept(envelope))
        return self._answered(envelope, await self._misbehave(fault, server, envelope))

    async def _strike(
        self, server: _Connection, envelope: _Transaction, command: str, argument: bytes
    ) -> str | None:
        """Let the fault ordered for this command happen; None when there is none."""
        fault = self._faults.take("smtp", command, argument)
        if fault is None:
            return None
        return self._answered(envelope, await self._misbehave(fault, server, envelope))

    async def _misbehave(self, fault: Fault, server: _Connection, envelope: _Transaction) -> str:
        envelope.entry.answer = f"fault {fault.fault}"
        match fault.fault:
            case "202_then_lost":
                return await self._accept(envelope, lost=True)
            case "close_after":
                await server.push(await self._accept(envelope))
                await server.close()
            case "accept_then_reset":
                await self._accept(envelope)
                await server.reset()
        if fault.accepts and fault.moment == "data":
            await self._accept(envelope)
        if fault.status:
            return await _fail(fault, server)
        if fault.fault == "hang":
            await asyncio.sleep(fault.seconds)
            await server.close()
        return await server.reset()

    async def _accept(self, envelope: _Transaction, *, lost: bool = False) -> str:
        """Log the mail once per recipient; off the loop, since it waits for the disk."""
        queue_id = secrets.token_hex(8)
        try:
            mail = read_mail(_content(envelope))
        except Unacceptable as error:
            return f"550 5.6.0 {error}"
        entries = [
            to_json(
                {
                    "service": "smtp",
                    "received_ns": envelope.received_ns,
                    "request": envelope.entry.request,
                    "id": f"{queue_id}.{number}",
                    "to": address,
                    "name": mail.names.get(address.lower()),
                    "role": "to",
                    **mail.fields,
                }
            )
            for number, address in enumerate(envelope.rcpt_tos, start=1)
        ]
        try:
            await asyncio.to_thread(self._log.append, entries, lost=lost)
        except OSError as error:
            return f"452 4.3.1 The sandbox cannot write its log: {error.strerror}"
        return f"250 2.0.0 OK: queued as {queue_id}"

    @staticmethod
    def _answered(envelope: _Transaction, status: str) -> str:
        envelope.entry.answer = envelope.entry.answer or status[:3]
        return status


def _content(envelope: _Transaction) -> bytes:
    return envelope.content if isinstance(envelope.content, bytes) else b""


def _refuse_address(envelope: _Transaction, address: str) -> str | None:
    if not address.isascii() and not envelope.smtp_utf8:
        return "553 5.6.7 Non-ASCII address needs the SMTPUTF8 option (RFC 6531)"
    if not ADDRESS.fullmatch(address):
        return "553 5.1.3 The address is not one that mail can be sent to"
    return None


async def _fail(fault: Fault, server: _Connection) -> str:
    status = f"{fault.fault} {fault.fault[0]}.3.0 As ordered from the sandbox"
    if fault.status == 421:
        await server.push(status)
        await server.close()
    return status


async def _until_cancelled() -> NoReturn:
    """aiosmtpd cancels a session's task once its connection is gone; nothing is to be sent."""
    while True:
        await asyncio.sleep(3600)
