"""RFC 3161 time stamps over checkpoints, from a real authority on this machine."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st
from rfc3161_client import HashAlgorithm, TimestampRequestBuilder

from muniment.evidence import timestamp
from muniment.evidence.checkpoint import sign_checkpoint, verify_checkpoint
from muniment.evidence.config import Config
from muniment.evidence.storage import AnchorRow
from muniment.evidence.timestamp import (
    KIND,
    Authority,
    load_roots,
    stamp,
    verify_timestamps,
    verify_token,
)
from muniment.evidence.workspace import Workspace
from muniment.schemas.errors import InputError, MunimentError, VerificationError
from muniment.schemas.finding import Check, Outcome

from ..tsa import Answer, Chain, OpenSsl, send, serve, token
from .conftest import Lab

LONG_AGO = datetime(2015, 6, 1, tzinfo=UTC)
CHAIN = Chain.new()
OTHER = Chain.new()
NOTE = b"evidence.example.com\n1\nroot\n\n\xe2\x80\x94 a signature\n"


@pytest.fixture(autouse=True)
def direct(monkeypatch: pytest.MonkeyPatch) -> None:
    """No proxy stands between the test and its authority."""
    monkeypatch.setenv("no_proxy", "*")


@pytest.fixture(scope="session")
def openssl(tmp_path_factory: pytest.TempPathFactory) -> OpenSsl:
    """An authority whose chain is valid now."""
    return OpenSsl(tmp_path_factory.mktemp("tsa") / "here", CHAIN)


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    """The roots that are trusted."""
    return CHAIN.write_roots(tmp_path / "roots.pem")


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(MunimentError) as caught:
        action()
    return caught.value.code


def last_note(lab: Lab) -> bytes:
    with lab.storage.read() as reader:
        return reader.last_checkpoint() or b""


def anchors(lab: Lab) -> list[tuple[int, str]]:
    with lab.storage.read() as reader:
        return [(item.size, item.source) for item in reader.anchors()]


def stored_proof(lab: Lab) -> bytes:
    with lab.storage.read() as reader:
        return reader.anchors()[0].proof


def put(lab: Lab, proof: bytes, size: int = 1, source: str = "https://tsa.example.com") -> None:
    """Store a token as somebody with direct access to the database could."""
    with lab.storage.write() as writer:
        writer.add([AnchorRow(size=size, kind=KIND, source=source, proof=proof)])


def check(lab: Lab, roots: Path | None) -> Check:
    with lab.storage.read() as reader:
        return verify_timestamps(reader, lab.vkey, roots)


def codes(checked: Check) -> list[str]:
    return [finding.code for finding in checked.findings]


def query(data: bytes = NOTE, algorithm: HashAlgorithm = HashAlgorithm.SHA256) -> bytes:
    builder = TimestampRequestBuilder().data(data).hash_algorithm(algorithm)
    return builder.build().as_bytes()


# Getting one


def test_a_stamp_is_stored_and_verified(lab: Lab, openssl: OpenSsl, roots: Path) -> None:
    """A token by openssl over the latest checkpoint is stored, and verification counts it."""
    lab.append(lab.statement())
    before = datetime.now(UTC).replace(microsecond=0)
    with serve(openssl.answer) as (url, _):
        made = stamp(lab.storage, lab.vkey, Authority(url, (CHAIN.root,)))
    assert (made.size, made.source, made.is_new) == (2, url, True)
    assert before <= made.time <= datetime.now(UTC)
    assert anchors(lab) == [(2, url)]
    checked = check(lab, roots)
    assert (checked.outcome, checked.checked) == (Outcome.HELD, 1)
    assert (checked.findings, checked.not_checked) == ([], [])


def test_one_stamp_for_each_checkpoint_and_authority(lab: Lab, openssl: OpenSsl) -> None:
    """Asking again for the same checkpoint sends nothing; a new checkpoint or authority counts."""
    with serve(openssl.answer) as (first, requests), serve(openssl.answer) as (second, _):
        here, there = (Authority(url, (CHAIN.root,)) for url in (first, second))
        made = stamp(lab.storage, lab.vkey, here)
        again = stamp(lab.storage, lab.vkey, here)
        assert (again.is_new, again.time, len(requests)) == (False, made.time, 1)
        stamp(lab.storage, lab.vkey, there)
        lab.append(lab.statement())
        assert stamp(lab.storage, lab.vkey, here).is_new
    assert sorted(anchors(lab)) == sorted([(1, first), (1, second), (2, first)])


def test_every_request_has_its_own_number(lab: Lab) -> None:
    """No two requests over the same checkpoint carry the same nonce."""
    with serve(lambda handler, body: send(handler, b"", 500)) as (url, requests):
        for _ in range(2):
            code_of(lambda: stamp(lab.storage, lab.vkey, Authority(url, (CHAIN.root,))))
    assert len(set(requests)) == 2


def test_two_at_once_store_one(lab: Lab, openssl: OpenSsl) -> None:
    """Whoever comes second while the authority is asked finds the first one's token."""

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        put(lab, openssl.reply(query(last_note(lab))), source=url)
        openssl.answer(handler, body)

    with serve(answer) as (url, _):
        assert not stamp(lab.storage, lab.vkey, Authority(url, (CHAIN.root,))).is_new
    assert anchors(lab) == [(1, url)]


# An authority that misbehaves


def _refuse(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    send(handler, bytes.fromhex("30073005020102" + "3000"))


def _redirect(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(302)
    handler.send_header("Location", "http://127.0.0.1:1/elsewhere")
    handler.send_header("Content-Length", "0")
    handler.end_headers()


def _cut(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.send_response(200)
    handler.send_header("Content-Length", "1000")
    handler.end_headers()
    handler.wfile.write(b"0")


def _not_http(handler: BaseHTTPRequestHandler, body: bytes) -> None:
    handler.wfile.write(b"\x00\xff garbage\r\n\r\n")


ANSWERS: dict[str, tuple[Answer, str]] = {
    "garbage": (lambda handler, _: send(handler, b"<html>no</html>"), "timestamp.unreachable"),
    "nothing": (lambda handler, _: send(handler, b""), "timestamp.unreachable"),
    "huge": (lambda handler, _: send(handler, bytes(1 << 20)), "timestamp.unreachable"),
    "cut": (_cut, "timestamp.unreachable"),
    "refusal": (_refuse, "timestamp.refused"),
    "error": (lambda handler, _: send(handler, b"", 500), "timestamp.unreachable"),
    "missing": (lambda handler, _: send(handler, b"", 404), "timestamp.unreachable"),
    "redirect": (_redirect, "timestamp.unreachable"),
    "not HTTP": (_not_http, "timestamp.unreachable"),
}


@pytest.mark.parametrize("case", ANSWERS)
def test_a_bad_answer_is_told_and_not_stored(lab: Lab, case: str) -> None:
    """Whatever an authority answers instead of a token, there is one of our errors, no row."""
    answer, code = ANSWERS[case]
    with serve(answer) as (url, _):
        authority = Authority(url, (CHAIN.root,))
        assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == code
    assert anchors(lab) == []


def test_nobody_listens(lab: Lab) -> None:
    """An authority that cannot be reached is told as such."""
    with serve(lambda handler, body: None) as (url, _):
        pass
    authority = Authority(url, (CHAIN.root,))
    assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == "timestamp.unreachable"


@pytest.mark.parametrize("dribbles", [False, True])
def test_a_slow_authority_is_given_up(
    lab: Lab, dribbles: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither silence nor one byte at a time holds the command for ever."""
    monkeypatch.setattr(timestamp, "_SECONDS", 0.2)
    over = threading.Event()

    def answer(handler: BaseHTTPRequestHandler, body: bytes) -> None:
        handler.send_response(200)
        handler.end_headers()
        while not over.wait(0.01) if dribbles else not over.wait():
            handler.wfile.write(b"0")
            handler.wfile.flush()

    with serve(answer) as (url, _):
        authority = Authority(url, (CHAIN.root,))
        assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == "timestamp.unreachable"
        over.set()
    assert anchors(lab) == []


def test_a_replayed_answer_is_refused(lab: Lab, openssl: OpenSsl) -> None:
    """A token over the right checkpoint, but for another request, repeats the wrong nonce."""
    old = openssl.reply(query(last_note(lab)))
    with serve(lambda handler, _: send(handler, old)) as (url, _):
        authority = Authority(url, (CHAIN.root,))
        assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == "timestamp.nonce"
    assert anchors(lab) == []


def test_a_token_over_other_bytes_is_refused(lab: Lab, openssl: OpenSsl) -> None:
    """An authority that stamps something else is caught before anything is stored."""
    with serve(lambda handler, _: send(handler, openssl.reply(query(b"other")))) as (url, _):
        authority = Authority(url, (CHAIN.root,))
        assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == "timestamp.imprint"
    assert anchors(lab) == []


def test_an_untrusted_authority_is_refused(lab: Lab, openssl: OpenSsl) -> None:
    """A token whose chain does not end in a trusted root is not stored."""
    with serve(openssl.answer) as (url, _):
        authority = Authority(url, (OTHER.root,))
        assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == "timestamp.untrusted"
    assert anchors(lab) == []


# Judging a token


def test_the_hand_made_token_is_one(tmp_path: Path) -> None:
    """Tokens of ``token`` hold, so that what is asserted of faulty ones is about their fault."""
    time = datetime.now(UTC).replace(microsecond=0)
    assert verify_token(token(CHAIN, NOTE, time), NOTE, (CHAIN.root,)) == time


def test_a_chain_that_expired_later_still_counts() -> None:
    """What was signed while the certificates were valid stays good when they have expired."""
    chain = Chain.new(LONG_AGO - timedelta(days=30), LONG_AGO + timedelta(days=30))
    proof = token(chain, NOTE, LONG_AGO)
    assert verify_token(proof, NOTE, (chain.root,)) == LONG_AGO


@pytest.mark.parametrize("days", [-31, 31])
def test_a_chain_that_was_not_valid_then_does_not(days: int) -> None:
    """A time stated outside the validity of the certificates is not believed."""
    chain = Chain.new(LONG_AGO - timedelta(days=30), LONG_AGO + timedelta(days=30))
    proof = token(chain, NOTE, LONG_AGO + timedelta(days=days))
    assert code_of(lambda: verify_token(proof, NOTE, (chain.root,))) == "timestamp.untrusted"


def test_openssl_with_an_expired_certificate(tmp_path: Path) -> None:
    """A real authority that goes on signing with an expired certificate is not believed."""
    chain = Chain.new(LONG_AGO, LONG_AGO + timedelta(days=30))
    proof = OpenSsl(tmp_path / "tsa", chain).reply(query())
    assert code_of(lambda: verify_token(proof, NOTE, (chain.root,))) == "timestamp.untrusted"


@pytest.mark.parametrize(
    "purpose", [ExtendedKeyUsageOID.CODE_SIGNING, ExtendedKeyUsageOID.EMAIL_PROTECTION]
)
def test_a_certificate_for_something_else(purpose: object) -> None:
    """A certificate of a trusted root that is not for time stamps makes none."""
    chain = Chain.new(purpose=purpose)  # type: ignore[arg-type]
    proof = token(chain, NOTE, datetime.now(UTC))
    assert code_of(lambda: verify_token(proof, NOTE, (chain.root,))) == "timestamp.untrusted"


def test_an_intermediate_certificate() -> None:
    """A chain of three holds under the root alone: the token carries the one in the middle."""
    chain = Chain.under_an_intermediate()
    proof = token(chain, NOTE, datetime.now(UTC))
    verify_token(proof, NOTE, (chain.root,))
    bare = token(replace(chain, others=()), NOTE, datetime.now(UTC))
    assert code_of(lambda: verify_token(bare, NOTE, (chain.root,))) == "timestamp.untrusted"


@pytest.mark.parametrize("attempt", range(4))
def test_a_purpose_is_not_lent(attempt: int) -> None:
    """A code-signing certificate does not pass for an authority's because a look-alike that
    nobody signed is put beside it."""
    chain = Chain.new(purpose=ExtendedKeyUsageOID.EMAIL_PROTECTION)
    for named in (chain.certificate, chain.look_alike()):
        forged = replace(chain, others=(chain.look_alike(),))
        proof = token(forged, NOTE, datetime.now(UTC), named)
        with pytest.raises(VerificationError):
            verify_token(proof, NOTE, (chain.root,))


def test_the_token_names_its_certificate() -> None:
    """A token that names another certificate under its signature is refused, as RFC 3161 asks."""
    proof = token(CHAIN, NOTE, datetime.now(UTC), named=OTHER.certificate)
    assert code_of(lambda: verify_token(proof, NOTE, (CHAIN.root,))) == "timestamp.untrusted"


def test_another_hash_is_refused(openssl: OpenSsl) -> None:
    """The imprint is a SHA-256 and nothing else."""
    proof = openssl.reply(query(algorithm=HashAlgorithm.SHA512))
    assert code_of(lambda: verify_token(proof, NOTE, (CHAIN.root,))) == "timestamp.imprint"


def test_a_signature_by_another_key() -> None:
    """A token with the authority's certificate, signed with another key, does not hold."""
    forged = Chain(CHAIN.root, CHAIN.certificate, OTHER.key)
    proof = token(forged, NOTE, datetime.now(UTC))
    assert code_of(lambda: verify_token(proof, NOTE, (CHAIN.root,))) == "timestamp.signature"


def test_the_time_cannot_be_edited() -> None:
    """Every bit of the time that a token states is covered by its signature."""
    proof = token(CHAIN, NOTE, datetime.now(UTC).replace(microsecond=0))
    at = proof.index(b"\x18\x0f") + 2
    for place in range(at, at + 14):
        changed = bytearray(proof)
        changed[place] ^= 1
        with pytest.raises(VerificationError):
            verify_token(bytes(changed), NOTE, (CHAIN.root,))


WHOLE = token(CHAIN, NOTE, datetime(2026, 3, 1, tzinfo=UTC))


@given(st.integers(0, len(WHOLE) - 1), st.binary(max_size=4), st.integers(0, 8))
def test_mutated_tokens(at: int, put_in: bytes, taken_out: int) -> None:
    """A damaged token states the same time, or there is one of our errors and nothing else."""
    damaged = WHOLE[:at] + put_in + WHOLE[at + taken_out :]
    try:
        stated = verify_token(damaged, NOTE, (OTHER.root, CHAIN.root))
    except MunimentError as error:
        assert error.code.startswith("timestamp.")
    else:
        assert stated == datetime(2026, 3, 1, tzinfo=UTC)


# Verifying what is stored


def test_without_tokens_nothing_was_checked(lab: Lab, roots: Path) -> None:
    """No token is no pass, and says why."""
    checked = check(lab, roots)
    assert checked.outcome is Outcome.NOT_CHECKED
    assert checked.not_checked[0].startswith("no timestamp")


def test_without_roots_nobody_vouches(lab: Lab) -> None:
    """Without trusted roots a token is no pass, but one over other bytes is found all the same."""
    put(lab, token(CHAIN, last_note(lab), lab.clock()))
    checked = check(lab, None)
    assert checked.outcome is Outcome.NOT_CHECKED
    assert "timestamp_roots" in checked.not_checked[0]
    put(lab, token(CHAIN, b"other", lab.clock()), source="https://other.example.com")
    assert codes(check(lab, None)) == ["timestamp.imprint"]


@pytest.mark.parametrize(
    ("make", "code"),
    [
        (lambda note, time: token(CHAIN, b"other", time), "timestamp.imprint"),
        (lambda note, time: token(OTHER, note, time), "timestamp.untrusted"),
        (
            lambda note, time: token(Chain(CHAIN.root, CHAIN.certificate, OTHER.key), note, time),
            "timestamp.signature",
        ),
        (lambda note, time: token(CHAIN, note, time) + b"\0", "timestamp.malformed"),
        (lambda note, time: token(CHAIN, note, time)[:-1], "timestamp.malformed"),
        (lambda note, time: b"", "timestamp.malformed"),
        (lambda note, time: bytes(1 << 17), "timestamp.malformed"),
    ],
)
def test_a_stored_token_that_does_not_hold(
    lab: Lab, roots: Path, make: Callable[[bytes, datetime], bytes], code: str
) -> None:
    """Each kind of fault of a stored token is a finding of its own; a good one beside it counts."""
    now = datetime.now(UTC)
    put(lab, make(last_note(lab), now))
    put(lab, token(CHAIN, last_note(lab), now), source="https://good.example.com")
    checked = check(lab, roots)
    assert (codes(checked), checked.outcome, checked.checked) == ([code], Outcome.FAILED, 1)
    assert "https://tsa.example.com over the checkpoint of size 1" in checked.findings[0].message


def test_certificates_in_another_order(lab: Lab, roots: Path) -> None:
    """OpenSSL writes a token's certificates in the order it was given them, not in that of DER; no
    signature covers the order, and either is verified."""
    proof = token(replace(CHAIN, others=(OTHER.root,)), last_note(lab), datetime.now(UTC))
    ordered = sorted(item.public_bytes(Encoding.DER) for item in (CHAIN.certificate, OTHER.root))
    for certificates in (ordered, ordered[::-1]):
        at = proof.index(ordered[0])
        at = min(at, proof.index(ordered[1]))
        length = sum(map(len, ordered))
        proof = proof[:at] + b"".join(certificates) + proof[at + length :]
        verify_token(proof, last_note(lab), (CHAIN.root,))
    put(lab, proof)
    assert (codes(check(lab, roots)), check(lab, roots).checked) == ([], 1)


@pytest.mark.parametrize("size", [-1, 0, 1, 3, 2**31 - 1])
def test_a_token_moved_to_another_checkpoint(lab: Lab, roots: Path, size: int) -> None:
    """A token that stands at a size it was not made for, or beyond the end, is found."""
    lab.append(lab.statement())
    put(lab, token(CHAIN, last_note(lab), datetime.now(UTC)), size=size)
    assert codes(check(lab, roots)) == ["timestamp.imprint"]


def test_a_ledger_that_was_built_anew(lab: Lab, roots: Path) -> None:
    """A checkpoint of the same size, signed by the same key at another time, is another one."""
    first = verify_checkpoint(last_note(lab), lab.vkey)
    stamped = sign_checkpoint(first.checkpoint, lab.key, first.time - timedelta(days=1))
    put(lab, token(CHAIN, stamped.note.to_bytes(), datetime.now(UTC)))
    assert codes(check(lab, roots)) == ["timestamp.imprint"]


@pytest.mark.parametrize(
    ("minutes", "noted", "found"),
    [
        (0, [], []),
        (4, [], []),
        (-4, [], []),
        (6, ["timestamp.apart"], []),
        (-6, [], ["timestamp.before"]),
    ],
)
def test_clocks_that_differ_are_noted(
    lab: Lab, roots: Path, minutes: int, noted: list[str], found: list[str]
) -> None:
    """A few minutes from the ledger's time to the authority's later one are a note; a checkpoint
    dated after the authority saw it is a fault."""
    signed = verify_checkpoint(last_note(lab), lab.vkey).time
    chain = Chain.new(signed - timedelta(days=1), signed + timedelta(days=1))
    put(lab, token(chain, last_note(lab), signed + timedelta(minutes=minutes)))
    checked = check(lab, chain.write_roots(roots))
    assert [item.code for item in checked.notes] == noted
    assert (checked.checked, codes(checked)) == (1, found)


def test_a_ledger_ahead_of_its_time_gets_no_stamp(lab: Lab, openssl: OpenSsl, clock: Any) -> None:
    """A checkpoint dated after the authority sees it is refused before anything is stored."""
    clock.move(days=36_500)
    lab.append(lab.statement())
    with serve(openssl.answer) as (url, _):
        authority = Authority(url, (CHAIN.root,))
        assert code_of(lambda: stamp(lab.storage, lab.vkey, authority)) == "timestamp.before"
    assert anchors(lab) == []


@pytest.mark.parametrize("values", ["'abc', 'rfc3161', 'x'", "1, x'01', 'x'", "1, 'other', 'x'"])
def test_a_row_that_can_be_no_token(lab_on: Any, roots: Path, values: str) -> None:
    """SQLite takes any value: what can be no token is a fault, and hides no other."""
    lab = lab_on("sqlite://")
    with lab.storage._engine.begin() as connection:
        connection.exec_driver_sql(f"INSERT INTO anchor VALUES ({values}, x'00')")
    put(lab, b"junk")
    assert codes(check(lab, roots)) == ["anchor.malformed", "timestamp.malformed"]


# Settings


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://tsa.example.com",
            "file:///etc/passwd",
            "tsa.example.com",
            "",
            "http://",
            "https:///x",
        ),
        *("http://me:secret@tsa.example.com", "http://[::1", "http://a b.example.com"),
        *("http://tsa.example.com:99999", "http://tsa.example.com/\n", "http://tsä.example.com"),
    ],
)
def test_addresses_that_are_refused(url: str, roots: Path, tmp_path: Path) -> None:
    """Only plain web addresses are asked, and a password is not repeated in the error."""
    config = Config("Example", "evidence.example.com", "SHA256:x", ("a",), timestamps=url or None)
    with pytest.raises(InputError) as caught:
        Authority.of(config, tmp_path, None, roots)
    assert caught.value.code == ("timestamp.url" if url else "timestamp.none")
    assert "secret" not in str(caught.value.found)


def test_settings_of_the_workspace(roots: Path, tmp_path: Path) -> None:
    """What is asked for goes before ``muniment.yaml``; a relative file is the workspace's."""
    config = Config(
        *("Example", "evidence.example.com", "SHA256:x", ("a",)),
        timestamps="https://tsa.example.com",
        timestamp_roots="roots.pem",
    )
    assert Authority.of(config, roots.parent, None, None) == Authority(
        "https://tsa.example.com", (CHAIN.root,)
    )
    chosen = Authority.of(config, Path("/nowhere"), "http://other.example.com", roots)
    assert chosen == Authority("http://other.example.com", (CHAIN.root,))
    bare = Config("Example", "evidence.example.com", "SHA256:x", ("a",))
    address = "https://tsa.example.com"
    assert code_of(lambda: Authority.of(bare, tmp_path, address, None)) == "timestamp.roots"


@pytest.mark.parametrize("content", [b"", b"no", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END"])
def test_a_file_without_roots(tmp_path: Path, content: bytes) -> None:
    """A file that holds no certificate is refused: nothing would be trusted."""
    (tmp_path / "roots.pem").write_bytes(content)
    assert code_of(lambda: load_roots(tmp_path / "roots.pem")) == "timestamp.roots"
    assert code_of(lambda: load_roots(tmp_path / "none.pem")) == "file.missing"


def test_a_workspace_verifies_its_stamps(workspace: Workspace, roots: Path) -> None:
    """``Workspace.verify`` has the check, before and after there is a token."""

    def outcome() -> Outcome:
        checks = {item.name: item.outcome for item in workspace.verify().checks}
        return checks["timestamps"]

    assert outcome() is Outcome.NOT_CHECKED
    object.__setattr__(workspace.config, "timestamp_roots", str(roots))
    with workspace.storage.write() as writer:
        proof = token(CHAIN, writer.last_checkpoint() or b"", datetime.now(UTC))
        writer.add([AnchorRow(size=1, kind=KIND, source="https://tsa.example.com", proof=proof)])
    assert outcome() is Outcome.HELD


def test_openssl_accepts_what_is_stored(
    lab: Lab, openssl: OpenSsl, roots: Path, tmp_path: Path
) -> None:
    """``openssl ts -verify`` accepts the stored response over the stored checkpoint."""
    with serve(openssl.answer) as (url, _):
        stamp(lab.storage, lab.vkey, Authority(url, (CHAIN.root,)))
    (tmp_path / "note").write_bytes(last_note(lab))
    (tmp_path / "proof.tsr").write_bytes(stored_proof(lab))
    command = ["openssl", "ts", "-verify", "-data", "note", "-in", "proof.tsr", "-CAfile"]
    done = subprocess.run([*command, str(roots)], cwd=tmp_path, capture_output=True, text=True)
    assert (done.returncode, "Verification: OK" in done.stdout) == (0, True)
    (tmp_path / "note").write_bytes(b"other")
    assert subprocess.run([*command, str(roots)], cwd=tmp_path, capture_output=True).returncode
