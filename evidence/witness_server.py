"""A witness for other teams' ledgers: it cosigns a checkpoint that extends the last one it saw.

Source: C2SP tlog-witness. The steps for each request, each with the status of its refusal:

1. the request has its form (400);
2. the origin is one of the ledgers it was told of (404);
3. one of their keys signed the checkpoint (403);
4. the old size is not larger than the checkpoint (400), and is what the witness knows (409);
5. the consistency proof holds (422);
6. the checkpoint is on the disk before the cosignature is given away.

The state is one file for each ledger: the last checkpoint with its signatures and the cosignature.
Beside it is a mark that there is one, so that a file that is gone is not taken for a new ledger.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
import socket
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import IO, Any

from muniment.schemas import times
from muniment.schemas.errors import InputError, MunimentError, StoreError, VerificationError

from .checkpoint import Checkpoint
from .keyfiles import KeyFiles
from .keys import SigningKey, new_ed25519
from .merkle import verify_consistency
from .note import COSIGNATURE_V1, NoteSignature, SignedNote, VerifierKey, cosign_note
from .outside import write_durably
from .witness import PATH, SIZE_TYPE

_MAX_BODY = 1 << 18
_MAX_PROOF = 63
_MAX_STATE = 1 << 19
_SECONDS = 20
"""How long a client may be silent."""
_OLD = re.compile(r"old (0|[1-9][0-9]{0,15})")
_TEXT_TYPE = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer to one request."""

    status: int
    body: bytes
    type: str = _TEXT_TYPE


@dataclass(frozen=True, slots=True)
class _Request:
    """What a client submits."""

    old: int
    proof: tuple[bytes, ...]
    note: SignedNote
    checkpoint: Checkpoint


class Witness:
    """One witness with its key and its memory.

    Args:
        name: its name in cosignatures, a URL without scheme such as ``witness.example.com/one``.
        key: its Ed25519 key.
        folder: where it keeps the last checkpoint of each ledger, in ``logs``, and in ``known``
            which ledgers those are; one process at a time.
        logs: verifier keys of the ledgers it cosigns for.
        clock: gives the time of cosignatures, UTC.
    """

    def __init__(
        self,
        name: str,
        key: SigningKey,
        folder: Path,
        logs: Sequence[VerifierKey],
        clock: Callable[[], datetime] = times.now,
    ) -> None:
        self.name = name
        self.vkey = VerifierKey(name, COSIGNATURE_V1, key.public)
        self._key = key
        self._memory = folder / "logs"
        self._known = folder / "known"
        for place in (self._memory, self._known):
            place.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._clock = clock
        self._logs: dict[str, list[VerifierKey]] = {}
        for log in logs:
            self._logs.setdefault(log.name, []).append(log)
        self._locks = {origin: threading.Lock() for origin in self._logs}

    def add_checkpoint(self, body: bytes) -> Reply:
        """Answer one ``add-checkpoint`` request."""
        try:  # (1)
            request = _parse(body)
        except (VerificationError, ValueError) as error:
            return _refuse(400, f"malformed: {error}")
        origin = request.checkpoint.origin
        if origin not in self._logs:  # (2)
            return _refuse(404, "this ledger is not known here")
        lines = self._signed(request.note, self._logs[origin])
        if not lines:  # (3)
            return _refuse(403, "no key of this ledger signed the checkpoint")
        if request.old > request.checkpoint.size:  # (4)
            return _refuse(400, "the old size is larger than the checkpoint")
        with self._locks[origin]:
            try:
                return self._judge(request, lines)
            except (OSError, MunimentError) as error:
                return _refuse(503, f"the witness cannot answer: {error}")

    def _judge(self, request: _Request, lines: Sequence[NoteSignature]) -> Reply:
        checkpoint = request.checkpoint
        last = self._load(checkpoint.origin)
        known, known_at = (last[0].size, last[1]) if last else (0, 0)
        if request.old != known:  # (4)
            return Reply(409, f"{known}\n".encode(), SIZE_TYPE)
        try:  # (5)
            if last is not None and known:
                verify_consistency(
                    known, checkpoint.size, request.proof, last[0].root, checkpoint.root
                )
            elif request.proof:
                return _refuse(422, "nothing is to be proved from size 0 on")
        except VerificationError as error:
            return _refuse(422, f"not consistent with what was cosigned before: {error}")
        at = int(self._clock().timestamp())
        if at < known_at:
            return _refuse(503, "the clock of the witness is behind its last cosignature")
        mine = cosign_note(request.note.text, self.name, self._key, at)
        note = SignedNote(request.note.text, (*lines, mine))
        write_durably(self._memory / _name(checkpoint.origin), note.to_bytes())  # (6)
        self._mark(checkpoint.origin)
        return Reply(200, str(mine).encode())

    @staticmethod
    def _signed(note: SignedNote, keys: Sequence[VerifierKey]) -> list[NoteSignature]:
        """One line of each trusted key whose lines hold.

        NOTE: a key can make any number of lines that hold, and a note with too many is not read.
        """
        held: list[NoteSignature] = []
        for key in dict.fromkeys(keys):
            try:
                note.verify(key)
            except VerificationError:
                continue
            lines = (
                line for line in note.signatures if (line.name, line.key_id) == (key.name, key.id)
            )
            held.append(next(lines))
        return held

    def _load(self, origin: str) -> tuple[Checkpoint, int] | None:
        """The last checkpoint cosigned for a ledger, and when.

        Raises:
            StoreError: ``witness.state``: the file is gone, or not what this witness wrote.
        """
        try:
            data = (self._memory / _name(origin)).read_bytes()
        except FileNotFoundError as error:
            if not (self._known / _name(origin)).exists():
                return None
            raise StoreError("witness.state", f"what was cosigned for {origin} is gone") from error
        try:
            note = SignedNote.from_bytes(data[:_MAX_STATE])
            checkpoint, at = _checkpoint(note.text), note.verify(self.vkey) or 0
            if checkpoint.origin != origin:
                raise ValueError("it is of another ledger")
        except (VerificationError, ValueError) as error:
            raise StoreError(
                "witness.state", f"what was cosigned for {origin} cannot be read: {error}"
            ) from error
        self._mark(origin)
        return checkpoint, at

    def _mark(self, origin: str) -> None:
        """Put down that something was cosigned for a ledger."""
        mark = self._known / _name(origin)
        if not mark.exists():
            write_durably(mark, f"{origin}\n".encode())


def _name(origin: str) -> str:
    """Name of a ledger's files."""
    return hashlib.sha256(origin.encode()).hexdigest()


def _parse(body: bytes) -> _Request:
    """Read a request.

    Raises:
        ValueError, CheckpointError: it has not the form.
    """
    head, separator, rest = body.partition(b"\n\n")
    first, *hashes = head.decode("ascii").split("\n")
    old = _OLD.fullmatch(first)
    if not separator or old is None:
        raise ValueError("no old size")
    if len(hashes) > _MAX_PROOF:
        raise ValueError("the proof is too long")
    note = SignedNote.from_bytes(rest)
    return _Request(int(old[1]), tuple(map(_hash, hashes)), note, _checkpoint(note.text))


def _hash(line: str) -> bytes:
    try:
        data = base64.b64decode(line, validate=True)
    except binascii.Error as error:
        raise ValueError("a hash of the proof is not base64") from error
    if len(data) != 32 or base64.b64encode(data).decode() != line:
        raise ValueError("a hash of the proof is not one")
    return data


def _checkpoint(text: str) -> Checkpoint:
    """Read a checkpoint; lines that other ledgers add are allowed, and cosigned with it.

    Raises:
        ValueError, CheckpointError: it has not the form.
    """
    lines = text.split("\n")
    if not all(lines[3:-1]):
        raise ValueError("an empty line in the checkpoint")
    return Checkpoint.from_text("\n".join([*lines[:3], lines[-1]]))


def _refuse(status: int, why: str) -> Reply:
    return Reply(status, f"{why}\n".encode())


# Its files


def witness_folder(config: Path, name: str) -> Path:
    """Where the witness of that name keeps its key and its memory."""
    return config / "witnesses" / name.replace("/", "%2F")


def open_witness(
    config: Path,
    name: str,
    logs: Sequence[VerifierKey],
    keys: KeyFiles,
    passphrase: str | None = None,
    clock: Callable[[], datetime] = times.now,
) -> tuple[Witness, IO[bytes]]:
    """The witness of that name; made, with a new key, when it is not there.

    Args:
        config: the user's configuration folder.
        passphrase: encrypts a new key.

    Returns:
        The witness, and its lock: no second process can open it until that is closed.

    Raises:
        InputError: ``witness.name``, ``witness.logs``, or what loading the key raises.
        StoreError: ``witness.state-lost``, ``witness.busy`` or ``witness.unwritable``.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9./_-]{0,99}", name) or "//" in name:
        raise InputError(
            "witness.name",
            f"{name!r} cannot name a witness",
            expected="a URL without scheme, such as witness.example.com/one",
            found=name,
        )
    if not logs:
        raise InputError("witness.logs", "no ledger is named that the witness is to cosign for")
    folder = witness_folder(config, name)
    key_file, memory, known = folder / "key.pem", folder / "logs", folder / "known"
    try:
        if not key_file.exists():
            memory.mkdir(parents=True, exist_ok=True, mode=0o700)
            known.mkdir(exist_ok=True, mode=0o700)
            keys.save(key_file, new_ed25519(), passphrase)
        lock = _lock(folder / "lock")
    except OSError as error:
        raise StoreError(
            "witness.unwritable", f"{folder} cannot be written: {error.strerror}"
        ) from error
    if not memory.is_dir() or not (known.is_dir() or any(memory.iterdir())):
        lock.close()
        raise StoreError(
            "witness.state-lost",
            "the key of this witness is there, but not what it cosigned before",
            hint="bring it back from a backup, or start a witness under another name: this one "
            "could cosign a second history",
        )
    return Witness(name, keys.load(key_file), folder, logs, clock), lock


def _lock(path: Path) -> IO[bytes]:
    import fcntl

    file = path.open("ab")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        file.close()
        raise StoreError("witness.busy", "another process runs this witness") from error
    return file


# HTTP


class WitnessServer(ThreadingHTTPServer):
    """The HTTP side of one witness; ``serve_forever`` runs it, ``shutdown`` ends it.

    Raises:
        StoreError: ``witness.listen``: the address cannot be used.
    """

    daemon_threads = True
    lifetime = 60.0
    """Seconds after which a connection is cut, whatever it does."""
    most = 64
    """Connections at once; more are closed unread."""

    def __init__(
        self, witness: Witness, host: str, port: int, report: Callable[[str], None]
    ) -> None:
        self.witness = witness
        self.report = report
        self._free = threading.BoundedSemaphore(self.most)
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            super().__init__((host, port), _Handler)
        except (OSError, OverflowError) as error:
            raise StoreError(
                "witness.listen", f"the witness cannot listen on {host}:{port}: {error}"
            ) from error

    @property
    def url(self) -> str:
        """Submission prefix, as a policy names it."""
        host, port = self.server_address[:2]
        text = host.decode() if isinstance(host, bytes | bytearray) else host
        return f"http://[{text}]:{port}" if ":" in text else f"http://{text}:{port}"

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer in a thread of its own, if not too many are busy."""
        if not self._free.acquire(blocking=False):
            self.shutdown_request(request)
            return
        try:
            super().process_request(request, client_address)
        except BaseException:
            self._free.release()
            raise

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        """Answer one connection within its time."""
        # NOTE: the handler's timeout is for one wait; a client that trickles bytes never meets it.
        end = threading.Timer(self.lifetime, _cut, [request])
        end.daemon = True
        try:
            end.start()
            super().process_request_thread(request, client_address)
        finally:
            end.cancel()
            self._free.release()

    def handle_error(self, request: object, client_address: object) -> None:
        """NOTE: a client that goes away is no news, and nothing of it is printed."""


def _cut(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    timeout = _SECONDS
    server: WitnessServer

    def do_POST(self) -> None:
        length = self.headers.get("Content-Length", "")
        if self.path != PATH:
            self._reply(_refuse(404, "there is nothing here but " + PATH), close=True)
        elif "Transfer-Encoding" in self.headers or not re.fullmatch(r"[0-9]{1,9}", length):
            self._reply(_refuse(411, "the length of the request must be given"), close=True)
        elif int(length) > _MAX_BODY:
            self._reply(_refuse(413, f"at most {_MAX_BODY} bytes are read"), close=True)
        else:
            body = self.rfile.read(int(length))
            reply = self.server.witness.add_checkpoint(body)
            self._reply(reply, close=len(body) < int(length))

    def _reply(self, reply: Reply, *, close: bool) -> None:
        self.send_response(reply.status)
        self.send_header("Content-Type", reply.type)
        self.send_header("Content-Length", str(len(reply.body)))
        if close:
            # NOTE: what was not read would be taken for the next request.
            self.send_header("Connection", "close")
            self.close_connection = True
        self.end_headers()
        self.wfile.write(reply.body)

    def version_string(self) -> str:
        return "muniment"

    def log_message(self, format: str, *args: object) -> None:
        self.server.report(format % args)
