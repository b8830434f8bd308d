"""Witnesses: ours, over real HTTP, and what the client makes of others that do not behave."""

from __future__ import annotations

import base64
import http.client
import shutil
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.checkpoint import Checkpoint, sign_checkpoint
from muniment.evidence.keyfiles import KeyFiles
from muniment.evidence.keys import SigningKey, new_ed25519
from muniment.evidence.merkle import consistency_proof, hash_leaf, root_of
from muniment.evidence.note import (
    COSIGNATURE_V1,
    ED25519,
    SignedNote,
    VerifierKey,
    cosign_note,
    sign_note,
)
from muniment.evidence.policy import Policy, cosigned_at
from muniment.evidence.policy import Witness as Known
from muniment.evidence.tiles import add_leaf, node_reader
from muniment.evidence.witness import anchor_at_witnesses, cosign
from muniment.evidence.witness_server import Reply, Witness, WitnessServer, open_witness
from muniment.schemas.errors import MunimentError, StoreError

ORIGIN = "evidence.example.com"
NAME = "witness.example.com/one"


class Log:
    """A little log whose every size can be signed."""

    def __init__(
        self, clock: Callable[[], Any], leaves: str, key: SigningKey | None = None
    ) -> None:
        self.key = key or new_ed25519()
        self.clock, self.leaves = clock, leaves
        self.vkey = VerifierKey(ORIGIN, ED25519, self.key.public)
        self.tiles: dict[tuple[int, int], bytes] = {}
        for at, leaf in enumerate(leaves):
            self.tiles.update(add_leaf(at, hash_leaf(leaf.encode()), self.read))

    def read(self, level: int, number: int) -> bytes:
        return self.tiles.get((level, number), b"")

    def signed(self, size: int) -> Any:
        root = root_of([hash_leaf(leaf.encode()) for leaf in self.leaves[:size]])
        return sign_checkpoint(Checkpoint(ORIGIN, size, root), self.key, self.clock())

    def note(self, size: int) -> bytes:
        return bytes(self.signed(size).note.to_bytes())

    def proof(self, old: int, new: int) -> list[bytes]:
        return consistency_proof(old, new, node_reader(self.read)) if old else []

    def request(self, old: int, new: int) -> bytes:
        return ask(old, self.proof(old, new), self.note(new))


def ask(old: int | str, proof: list[bytes], note: bytes) -> bytes:
    lines = "".join(base64.b64encode(item).decode() + "\n" for item in proof)
    return f"old {old}\n{lines}\n".encode() + note


@pytest.fixture
def log(clock: Any) -> Log:
    return Log(clock, "abcdefghij")


@pytest.fixture
def witness(tmp_path: Path, log: Log, clock: Any) -> Iterator[Witness]:
    keys = KeyFiles(tmp_path, lambda name: None)
    made, lock = open_witness(tmp_path, NAME, [log.vkey], keys, clock=clock)
    yield made
    lock.close()


def status(reply: Reply) -> tuple[int, bytes]:
    return reply.status, reply.body if reply.status == 409 else b""


def test_a_witness_follows_a_log(witness: Witness, log: Log, clock: Any) -> None:
    """From nothing to 3, to 7, to 7 again, to 10: each is cosigned with the time of the clock."""
    for old, new in [(0, 3), (3, 7), (7, 7), (7, 10)]:
        clock.move(hours=1)
        reply = witness.add_checkpoint(log.request(old, new))
        assert reply.status == 200, reply.body
        note = SignedNote.from_bytes(f"{log.signed(new).note.text}\n".encode() + reply.body)
        assert cosigned_at(note, witness.vkey) == int(clock().timestamp())


def test_each_refusal_has_its_status(witness: Witness, log: Log, clock: Any) -> None:
    """400, 403, 404, 409 with the size, 422; and no refusal changes what the witness knows."""
    assert witness.add_checkpoint(log.request(0, 5)).status == 200
    other = Log(clock, "abXdefghij", log.key)
    stranger = Log(clock, "abcdefghij")
    foreign = Checkpoint("other.example.com", 7, bytes(32))
    foreign_note = sign_checkpoint(foreign, log.key, clock()).note.to_bytes()
    proof = log.proof(5, 7)
    cases = {
        "behind": (log.request(3, 7), (409, b"5\n")),
        "unknown to the client": (log.request(0, 7), (409, b"5\n")),
        "rolled back": (log.request(0, 4), (409, b"5\n")),
        "shrunk": (ask(5, [], log.note(4)), (400, b"")),
        "forked": (other.request(5, 7), (422, b"")),
        "two of one size": (ask(5, [], other.note(5)), (422, b"")),
        "no proof": (ask(5, [], log.note(7)), (422, b"")),
        "long proof": (ask(5, [*proof, bytes(32)], log.note(7)), (422, b"")),
        "another's key": (stranger.request(5, 7), (403, b"")),
        "another log": (ask(5, proof, foreign_note), (404, b"")),
        "64 hashes": (ask(5, [bytes(32)] * 64, log.note(7)), (400, b"")),
        "a short hash": (ask(5, [bytes(31)], log.note(7)), (400, b"")),
        "leading zero": (ask("05", proof, log.note(7)), (400, b"")),
        "no old": (log.note(7), (400, b"")),
        "empty": (b"", (400, b"")),
        "not text": (b"old 5\n\xff\n\n" + log.note(7), (400, b"")),
        "no note": (b"old 5\n\nhello\n", (400, b"")),
        "loose base64": (b"old 5\n" + b"A" * 42 + b"B=\n\n" + log.note(7), (400, b"")),
    }
    for name, (body, expected) in cases.items():
        assert status(witness.add_checkpoint(body)) == expected, name
    assert witness.add_checkpoint(log.request(3, 7)).type == "text/x.tlog.size"
    assert witness.add_checkpoint(log.request(5, 7)).status == 200


def test_a_proof_from_nothing_is_refused(witness: Witness, log: Log) -> None:
    """The proof from size 0 must be empty."""
    assert witness.add_checkpoint(ask(0, [bytes(32)], log.note(5))).status == 422


def test_lines_that_other_logs_add_are_cosigned_too(witness: Witness, log: Log) -> None:
    """A checkpoint with extension lines is cosigned whole; one with an empty line is refused."""
    from muniment.evidence.note import sign_note

    for more, expected in (("timestamp 5\n", 200), ("\n", 400)):
        text = log.signed(3).note.text + more
        note = SignedNote(text, (sign_note(text, ORIGIN, log.key),)).to_bytes()
        reply = witness.add_checkpoint(ask(0, [], note))
        assert reply.status == expected
    # The one that was cosigned is remembered with its line.
    assert status(witness.add_checkpoint(log.request(0, 3))) == (409, b"3\n")


def test_what_was_cosigned_survives(tmp_path: Path, log: Log, clock: Any) -> None:
    """Opened again, a witness knows what it cosigned; without its memory it does not start."""
    keys = KeyFiles(tmp_path, lambda name: None)
    first, lock = open_witness(tmp_path, NAME, [log.vkey], keys, clock=clock)
    assert first.add_checkpoint(log.request(0, 5)).status == 200
    with pytest.raises(StoreError) as busy:
        open_witness(tmp_path, NAME, [log.vkey], keys)
    assert busy.value.code == "witness.busy"
    lock.close()
    second, lock = open_witness(tmp_path, NAME, [log.vkey], keys, clock=clock)
    assert second.vkey == first.vkey
    assert status(second.add_checkpoint(log.request(0, 4))) == (409, b"5\n")
    lock.close()
    (memory,) = tmp_path.glob("witnesses/*/logs")
    memory.rename(tmp_path / "gone")
    with pytest.raises(StoreError) as lost:
        open_witness(tmp_path, NAME, [log.vkey], keys)
    assert lost.value.code == "witness.state-lost"


def test_what_was_cosigned_and_is_gone(tmp_path: Path, log: Log, clock: Any) -> None:
    """Where a ledger's file was removed, even while nothing ran, its forks are not cosigned; other
    ledgers go on. A memory of before there were marks gets its mark when it is read."""
    keys = KeyFiles(tmp_path, lambda name: None)
    other = VerifierKey("other.example.com", ED25519, log.key.public)
    fork = Log(clock, "zyxwvutsrq", log.key)
    first, lock = open_witness(tmp_path, NAME, [log.vkey, other], keys, clock=clock)
    assert first.add_checkpoint(log.request(0, 5)).status == 200
    (file,) = tmp_path.glob("witnesses/*/logs/*")
    (mark,) = tmp_path.glob("witnesses/*/known/*")
    mark.unlink()
    assert status(first.add_checkpoint(log.request(0, 5))) == (409, b"5\n")
    lock.close()
    file.unlink()
    again, lock = open_witness(tmp_path, NAME, [log.vkey, other], keys, clock=clock)
    assert again.add_checkpoint(fork.request(0, 5)).status == 503
    text = Checkpoint("other.example.com", 1, hash_leaf(b"x")).to_text()
    note = SignedNote(text, (sign_note(text, "other.example.com", log.key),)).to_bytes()
    assert again.add_checkpoint(ask(0, [], note)).status == 200
    lock.close()
    for name in ("logs", "known"):
        (folder,) = tmp_path.glob(f"witnesses/*/{name}")
        shutil.rmtree(folder)
    folder.with_name("logs").mkdir()
    with pytest.raises(StoreError) as lost:
        open_witness(tmp_path, NAME, [log.vkey], keys)
    assert lost.value.code == "witness.state-lost"


def test_a_ledger_cannot_fill_the_memory(witness: Witness, log: Log) -> None:
    """A key can make any number of lines that hold; one is kept, and the witness can go on."""
    note = log.signed(5).note
    at = int(log.clock().timestamp())
    lines = [cosign_note(note.text, ORIGIN, log.key, at + number) for number in range(98)]
    cosigner = log.vkey.cosigner()
    witness._logs[ORIGIN].append(cosigner)
    full = SignedNote(note.text, (*note.signatures, *lines)).to_bytes()
    assert witness.add_checkpoint(ask(0, [], full)).status == 200
    kept = SignedNote.from_bytes(next(witness._memory.iterdir()).read_bytes())
    assert [line.name for line in kept.signatures] == [ORIGIN, ORIGIN, NAME]
    assert witness.add_checkpoint(log.request(5, 7)).status == 200


def test_damaged_memory_cosigns_nothing(
    witness: Witness, log: Log, tmp_path: Path, clock: Any
) -> None:
    """If the last checkpoint cannot be read, was changed, or is from later than now: 503."""
    assert witness.add_checkpoint(log.request(0, 5)).status == 200
    (file,) = tmp_path.glob("witnesses/*/logs/*")
    whole = file.read_bytes()
    for damaged in (b"", whole.replace(b"\n5\n", b"\n3\n"), whole[:-30]):
        file.write_bytes(damaged)
        assert witness.add_checkpoint(log.request(5, 7)).status == 503
    file.write_bytes(whole)
    clock.move(hours=-1)
    assert witness.add_checkpoint(log.request(5, 7)).status == 503


def test_nothing_is_given_away_that_is_not_on_the_disk(
    witness: Witness, log: Log, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the state cannot be written, there is no cosignature."""

    def full(*_: Any) -> None:
        raise OSError("no space left")

    monkeypatch.setattr("muniment.evidence.witness_server.write_durably", full)
    assert witness.add_checkpoint(log.request(0, 5)).status == 503
    monkeypatch.undo()
    assert witness.add_checkpoint(log.request(0, 5)).status == 200


def test_two_histories_at_once_get_one_cosignature(witness: Witness, log: Log, clock: Any) -> None:
    """Of many threads with two histories of one size, only one history is ever cosigned."""
    other = Log(clock, "zyxwvutsrq", log.key)
    replies: list[tuple[Log, int]] = []

    def push(which: Log) -> None:
        replies.append((which, witness.add_checkpoint(which.request(0, 8)).status))

    threads = [threading.Thread(target=push, args=(which,)) for which in [log, other] * 8]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    winners = {id(which) for which, code in replies if code == 200}
    assert len(winners) == 1


# Over HTTP


@contextmanager
def running(server: HTTPServer) -> Iterator[HTTPServer]:
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def served(witness: Witness) -> Iterator[WitnessServer]:
    server = WitnessServer(witness, "127.0.0.1", 0, lambda line: None)
    with running(server):
        yield server


def test_http_requests_without_form_are_refused(served: WitnessServer) -> None:
    """Another path, no length, too long, a broken length, another method: a status, no hang."""
    cases: list[tuple[str, str, dict[str, str], int]] = [
        ("POST", "/", {"Content-Length": "0"}, 404),
        ("POST", "/add-checkpoint", {"Content-Length": "0"}, 400),
        ("POST", "/add-checkpoint", {"Content-Length": "99999999"}, 413),
        ("POST", "/add-checkpoint", {"Content-Length": "-1"}, 411),
        ("POST", "/add-checkpoint", {"Transfer-Encoding": "chunked"}, 411),
        ("GET", "/add-checkpoint", {}, 501),
    ]
    for method, path, headers, expected in cases:
        connection = http.client.HTTPConnection(*served.server_address[:2])  # type: ignore[arg-type]
        connection.putrequest(method, path)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        answer.read()
        connection.close()
        assert answer.status == expected, (method, path, headers)


def test_connections_end(witness: Witness, log: Log) -> None:
    """Who trickles a request is cut off, and who comes when all places are taken is not answered;
    afterwards there is room again."""
    server = WitnessServer(witness, "127.0.0.1", 0, lambda line: None)
    server.most, server.lifetime = 1, 0.5
    server._free = threading.BoundedSemaphore(1)
    with running(server):
        slow = socket.create_connection(server.server_address[:2])  # type: ignore[arg-type]
        slow.sendall(b"POST /add-checkpoint HTTP/1.1\r\n")
        while server._free._value:
            time.sleep(0.01)
        late = socket.create_connection(server.server_address[:2])  # type: ignore[arg-type]
        late.settimeout(60)
        assert late.recv(1) == b""
        slow.settimeout(60)
        assert slow.recv(1) == b""
        assert server._free.acquire(timeout=60)
        server._free.release()
        known = Known("w", witness.vkey, server.url)
        assert cosign(known, log.signed(5), 0, lambda old: [])[0].name == NAME
        slow.close()
        late.close()


def test_a_ledger_is_cosigned_over_http(lab: Any, tmp_path: Path) -> None:
    """Asked once, then again, then after more records, then by a witness who knows a size of its
    own: every cosignature is kept once and holds under the policy."""
    keys = KeyFiles(tmp_path, lambda name: None)
    witness, lock = open_witness(tmp_path, NAME, [lab.vkey], keys, clock=lab.clock)
    with lock, running(WitnessServer(witness, "127.0.0.1", 0, lambda line: None)) as server:
        text = f"log {lab.vkey}\nwitness one {witness.vkey} {server.url}/\nquorum one\n"  # type: ignore[attr-defined]
        policy = Policy.parse(text.encode())
        first = anchor_at_witnesses(lab.ledger, policy)
        assert (first.size, first.is_met, first.asked[0].is_new) == (1, True, True)
        again = anchor_at_witnesses(lab.ledger, policy, ["one", "one"])
        assert (again.is_met, [item.is_new for item in again.asked]) == (True, [False])
        lab.append(lab.statement(), lab.statement(title="Two"))
        assert anchor_at_witnesses(lab.ledger, policy).is_met
        with lab.storage.read() as reader:
            anchors = reader.anchors()
        assert [(item.size, item.kind, item.source) for item in anchors] == [
            (size, "witness", f"{NAME}+{witness.vkey.id.hex()}") for size in (1, 3)
        ]
        # A client that knows nothing is told the size, and goes on from there.
        lab.append(lab.statement(title="Three"))
        checkpoint = lab.ledger.checkpoint()
        line, _ = cosign(
            policy.witnesses[0], checkpoint, 0, lambda old: lab.ledger.consistency(old, 4)
        )
        assert line.name == NAME


def test_a_witness_that_knows_more_shows_the_rollback(lab: Any, witness: Witness) -> None:
    """Who has cosigned more than the ledger has makes ``outside.rollback``."""
    lab.append(lab.statement())
    small = lab.ledger.checkpoint()
    with scripted((409, "text/x.tlog.size", b"7\n")) as known, pytest.raises(MunimentError) as it:
        cosign(known, small, 0, lambda old: [])
    assert (it.value.code, it.value.expected) == ("outside.rollback", "7 records or more")


# What others may answer


@contextmanager
def scripted(*answers: tuple[int, str, bytes]) -> Iterator[Known]:
    """A witness that gives these answers one after the other, the last one for ever."""
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            code, kind, body = left.pop(0) if len(left) > 1 else left[0]
            self.send_response(code)
            self.send_header("Content-Type", kind)
            if code == 302:
                self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None: ...

    vkey = VerifierKey("w.example.com", COSIGNATURE_V1, new_ed25519().public)
    with running(HTTPServer(("127.0.0.1", 0), Handler)) as server:
        yield Known("w", vkey, f"http://127.0.0.1:{server.server_port}")


SIZE = "text/x.tlog.size"
ANSWERS = {
    "no line": ([(200, "", b"")], "note.malformed"),
    "no signature": ([(200, "", b"hello\n")], "note.malformed"),
    "another's line": ([(200, "", b"\xe2\x80\x94 x AAAAAAAA\n")], "note.unsigned"),
    "too long": ([(200, "", b"x" * 100_000)], "witness.unreachable"),
    "no such log": ([(404, "", b"")], "witness.refused"),
    "not trusted": ([(403, "", b"no\x1b[2J")], "witness.refused"),
    "not understood": ([(400, "", b"")], "witness.refused"),
    "a fork": ([(422, "", b"")], "outside.fork"),
    "a conflict without type": ([(409, "text/plain", b"1\n")], "witness.refused"),
    "no size": ([(409, SIZE, b"01\n")], "witness.unreachable"),
    "the same size, old style": ([(409, SIZE, b"0\n")], "outside.fork"),
    "sizes without end": ([(409, SIZE, b"%d\n" % size) for size in (1, 2, 1, 2, 1)], "witness"),
    "broken": ([(500, "", b"")], "witness.unreachable"),
    "sent elsewhere": ([(302, "", b"")], "witness.unreachable"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_bad_answers_have_their_codes(name: str, log: Log) -> None:
    """What a witness may answer wrongly: an error of ours, with nothing taken from it."""
    answers, code = ANSWERS[name]
    with scripted(*answers) as known, pytest.raises(MunimentError) as caught:
        cosign(known, log.signed(5), 0, lambda old: log.proof(old, 5))
    assert caught.value.code.startswith(code)
    assert "\x1b" not in str(caught.value.found)


def test_a_witness_that_forgot_is_told_apart(log: Log) -> None:
    """Who names less than what they have cosigned has lost its memory, and is not asked further."""
    with scripted((409, SIZE, b"2\n")) as known, pytest.raises(MunimentError) as caught:
        cosign(known, log.signed(5), 3, lambda old: log.proof(old, 5))
    assert caught.value.code == "witness.forgot"


def test_a_forged_line_is_not_taken(log: Log) -> None:
    """A line in the witness's name that its key did not make is refused."""
    line = cosign_note(log.signed(5).note.text, "w.example.com", new_ed25519(), 5)
    with scripted((200, "", b"")) as known:
        forged = str(replace(line, key_id=known.vkey.id)).encode()
    with scripted((200, "", forged)) as other, pytest.raises(MunimentError) as caught:
        cosign(replace(known, url=other.url), log.signed(5), 0, lambda old: [])
    assert caught.value.code == "signature.invalid"


def cosigned(log: Log, *lines: tuple[str, int], before: bytes = b"") -> int | str:
    """The time taken from a witness that signs these texts at these times; or the error's code."""
    key, at, start = new_ed25519(), log.signed(5), int(log.clock().timestamp())
    signed = [
        str(cosign_note(at.note.text + more, "w.example.com", key, start + late))
        for more, late in lines
    ]
    vkey = VerifierKey("w.example.com", COSIGNATURE_V1, key.public)
    with scripted((200, "", before + "".join(signed).encode())) as known:
        try:
            return cosign(replace(known, vkey=vkey), at, 0, lambda old: [], log.clock)[1]
        except MunimentError as error:
            return error.code


def test_an_answer_holds_signature_lines_alone(log: Log) -> None:
    """Text that an answer smuggles in before its lines does not become part of the checkpoint."""
    assert cosigned(log, ("\nx\n", 0), before=b"x\n\n") == "note.malformed"
    assert cosigned(log, ("", 0), before=b"\n") == "note.malformed"


@pytest.mark.parametrize("late", [-90_000, 90_000, 1 << 62])
def test_a_time_that_cannot_be_is_refused(log: Log, late: int) -> None:
    """A cosignature a day before the checkpoint or a day after now is not taken; a second line
    with a better time does not help it."""
    assert cosigned(log, ("", 60)) == int(log.clock().timestamp()) + 60
    assert cosigned(log, ("", late)) == "witness.time"
    assert cosigned(log, ("", late), ("", 0)) == "witness.time"


@pytest.mark.parametrize("url", [None, "file:///etc/hosts", "ftp://example.com", "nonsense"])
def test_only_http_is_spoken(url: str | None, log: Log) -> None:
    """A URL of another scheme is the policy's mistake, and nothing is opened."""
    vkey = VerifierKey("w.example.com", COSIGNATURE_V1, new_ed25519().public)
    with pytest.raises(MunimentError) as caught:
        cosign(Known("w", vkey, url), log.signed(5), 0, lambda old: [])
    assert caught.value.code == "witness.url"


def test_nobody_at_home(lab: Any) -> None:
    """If no witness answers: ``witness.unreachable``, exit 3, and nothing is kept."""
    vkey = VerifierKey("w.example.com", COSIGNATURE_V1, new_ed25519().public)
    for url in ("http://127.0.0.1:1", "http://[::1", "http://127.0.0.1:port"):
        policy = Policy.parse(f"witness w {vkey} {url}\nquorum w\n".encode())
        with pytest.raises(StoreError) as caught:
            anchor_at_witnesses(lab.ledger, policy)
        assert (caught.value.code, caught.value.exit_code) == ("witness.unreachable", 3)
    with lab.storage.read() as reader:
        assert reader.anchors() == []
