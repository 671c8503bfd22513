"""A mail server over real sockets that answers, or fails to answer, as a test has written.

It keeps to the rules of RFC 5321 on its own: MAIL inside a transaction is refused, so is DATA
without a recipient, and dots are undoubled. A script changes single answers.
"""

from __future__ import annotations

import base64
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Self

#: A reply, or something to do with the connection in place of replying.
Answer = str | Callable[[socket.socket], None]
#: Given the stage and what was said: the answer, or None for the usual one. Stages are GREETING,
#: the commands' names, HALF (1,000 bytes of a letter have come) and LETTER (its end has come).
Script = Callable[[str, str], Answer | None]

USUAL = {
    "GREETING": "220 scripted.example ESMTP",
    "AUTH": "235 2.7.0 welcome",
    "DATA": "354 go on",
    "LETTER": "250 2.0.0 Ok: queued as 4F2A",
    "QUIT": "221 2.0.0 bye",
}


class Gone(Exception):
    """The connection is over."""


def close(sock: socket.socket) -> None:
    """Hang up without an answer."""
    sock.close()
    raise Gone


def hang(sock: socket.socket) -> None:
    """Never answer; wait until the client hangs up."""
    with suppress(OSError):
        while sock.recv(65536):
            pass
    raise Gone


def always(stage: str, answer: Answer) -> Script:
    """The same answer at every such stage."""
    return lambda at, _said: answer if at == stage else None


def once(stage: str, answer: Answer) -> Script:
    """The answer at the first such stage only."""
    answers = [answer]
    return lambda at, _said: answers.pop() if at == stage and answers else None


def about(address: str, stage: str, answer: Answer) -> Script:
    """The answer at such a stage of every letter to one address."""
    now = [False]

    def script(at: str, said: str) -> Answer | None:
        if at in ("MAIL", "RCPT"):
            now[0] = address in said
        return answer if at == stage and now[0] else None

    return script


@dataclass
class Delivered:
    """A letter the server has taken."""

    sender: str
    recipient: str
    content: bytes


@dataclass
class _Conversation:
    server: ScriptedSmtp
    sock: socket.socket
    unread: bytes = b""
    commands: list[str] = field(default_factory=list)
    sender: str | None = None
    recipient: str | None = None

    def run(self) -> None:
        with suppress(Gone, OSError):
            self.say(self.answer("GREETING", ""))
            while True:
                self.obey(self.read_line())
        self.sock.close()

    def read_more(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise Gone
        self.unread += data

    def read_line(self) -> str:
        while b"\r\n" not in self.unread:
            self.read_more()
        line, _, self.unread = self.unread.partition(b"\r\n")
        return line.decode()

    def answer(self, stage: str, said: str) -> Answer:
        return self.server.script(stage, said) or USUAL.get(stage, "250 2.0.0 Ok")

    def say(self, answer: Answer) -> str:
        if not isinstance(answer, str):
            answer(self.sock)
            return ""
        self.sock.sendall(answer.encode() + b"\r\n")
        return answer

    def obey(self, line: str) -> None:
        self.commands.append(line)
        verb = line.split(" ", 1)[0].upper()
        act = getattr(self, f"on_{verb.lower()}", None)
        if act:
            act(line)
        else:
            self.say(self.answer(verb, line))

    def on_ehlo(self, line: str) -> None:
        encrypted = isinstance(self.sock, ssl.SSLSocket)
        extensions = [e for e in self.server.extensions if e != "STARTTLS" or not encrypted]
        lines = [f"250-{offer}" for offer in ("scripted.example", *extensions)]
        self.say(self.answer_or("EHLO", line, "\r\n".join([*lines, "250 HELP"])))

    def answer_or(self, stage: str, said: str, usual: str) -> Answer:
        return self.server.script(stage, said) or usual

    def on_starttls(self, line: str) -> None:
        if self.say(self.answer_or("STARTTLS", line, "220 go on")).startswith("2"):
            assert self.server.tls
            self.sock = self.server.tls.wrap_socket(self.sock, server_side=True)
            self.unread = b""

    def on_auth(self, line: str) -> None:
        self.server.logins.append(base64.b64decode(line.rsplit(maxsplit=1)[-1]).decode())
        self.say(self.answer("AUTH", line))

    def on_mail(self, line: str) -> None:
        if self.sender is not None:
            self.say("503 5.5.1 nested MAIL")
        elif self.say(self.answer("MAIL", line)).startswith("2"):
            self.sender = line.partition("<")[2].partition(">")[0]

    def on_rcpt(self, line: str) -> None:
        if self.sender is None:
            self.say("503 5.5.1 MAIL first")
        elif self.say(self.answer("RCPT", line)).startswith("2"):
            self.recipient = line.partition("<")[2].partition(">")[0]

    def on_rset(self, line: str) -> None:
        if self.say(self.answer("RSET", line)).startswith("2"):
            self.sender = self.recipient = None

    def on_data(self, line: str) -> None:
        usual = "354 go on" if self.recipient is not None else "554 5.5.1 no valid recipients"
        if not self.say(self.answer_or("DATA", line, usual)).startswith("3"):
            return
        content = self.read_letter()
        self.server.spoke_early.append(bool(self.unread))
        if self.recipient is None:
            self.say("554 5.5.1 no valid recipients")
        else:
            self.say_and_keep(content)
        self.sender = self.recipient = None

    def read_letter(self) -> bytes:
        """The content, with its dots undoubled."""
        half = self.server.script("HALF", "")
        data = bytearray(b"\r\n" + self.unread)
        searched = 0
        while (end := data.find(b"\r\n.\r\n", searched)) < 0:
            if half and len(data) > 1000:
                self.say(half)
                half = None
            searched = max(0, len(data) - 4)
            self.unread = b""
            self.read_more()
            data += self.unread
        self.unread = bytes(data[end + 5 :])
        lines = bytes(data[2 : end + 2]).split(b"\r\n")
        return b"\r\n".join(line.removeprefix(b".") for line in lines)

    def say_and_keep(self, content: bytes) -> None:
        assert self.sender is not None
        assert self.recipient is not None
        answer = self.answer("LETTER", self.recipient)
        if not isinstance(answer, str) or answer.startswith("2"):
            self.server.letters.append(Delivered(self.sender, self.recipient, content))
        self.say(answer)


class ScriptedSmtp:
    """The server; use it as a context manager. What it saw is in its lists."""

    def __init__(
        self,
        *scripts: Script,
        extensions: Iterable[str] = ("PIPELINING",),
        tls: ssl.SSLContext | None = None,
        smtps: bool = False,
    ) -> None:
        self.scripts = scripts
        self.extensions = tuple(extensions)
        self.tls = tls
        self.smtps = smtps
        #: Letters taken, and letters whose end came but got no reply: those may be taken.
        self.letters: list[Delivered] = []
        self.sessions: list[_Conversation] = []
        self.logins: list[str] = []
        #: For each letter: had more been said before its reply?
        self.spoke_early: list[bool] = []
        self._script_lock = threading.Lock()
        self._threads: list[threading.Thread] = []

    def script(self, stage: str, said: str) -> Answer | None:
        with self._script_lock:
            answers = [script(stage, said) for script in self.scripts]
        return next((answer for answer in answers if answer), None)

    def __enter__(self) -> Self:
        self._listener = socket.create_server(("127.0.0.1", 0))
        # Small, so that a large letter cannot vanish into buffers before the script goes on.
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
        self.port = self._listener.getsockname()[1]
        self._start(self._accept)
        return self

    def __exit__(self, *_error: object) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.hang_up()
        for thread in self._threads:
            thread.join(5)

    def hang_up(self) -> None:
        """Close every session, as a server that stops or thinks them idle."""
        for session in self.sessions:
            with suppress(OSError):
                session.sock.shutdown(socket.SHUT_RDWR)

    @property
    def recipients(self) -> list[str]:
        return [letter.recipient for letter in self.letters]

    def commands(self) -> list[str]:
        """The first word of all commands, session after session."""
        return [line.split(" ")[0] for session in self.sessions for line in session.commands]

    def _start(self, work: Callable[[], None]) -> None:
        self._threads.append(threading.Thread(target=work, daemon=True))
        self._threads[-1].start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                sock, _ = self._listener.accept()
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self._start(lambda sock=sock: self._serve(sock))  # type: ignore[misc]

    def _serve(self, sock: socket.socket) -> None:
        if self.smtps:
            assert self.tls
            try:
                sock = self.tls.wrap_socket(sock, server_side=True)
            except OSError:
                sock.close()
                return
        conversation = _Conversation(self, sock)
        self.sessions.append(conversation)
        conversation.run()
