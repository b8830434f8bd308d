"""The custody annex: proofs from outside, keys, and the QR code."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from xml.etree.ElementTree import fromstring

from muniment.evidence.config import Config
from muniment.evidence.keys import new_ed25519, new_p256
from muniment.evidence.note import COSIGNATURE_V1, VerifierKey, cosign_note
from muniment.evidence.storage import AnchorRow
from muniment.evidence.trust import KEY_KIND
from muniment.evidence.workspace import Holder
from muniment.reports.custody import key_events, key_line, outside_proofs
from muniment.reports.qr import qr
from muniment.reports.workspace import Workspace
from muniment.schemas.record import Role

from ..conftest import START
from ..tsa import Chain, token

CHAIN = Chain.new(START - timedelta(days=9), START + timedelta(days=9))


def test_proofs_from_outside_are_checked(make_workspace: Callable[..., Any], clock: Any) -> None:
    """A cosignature and a time stamp hold by the keys that are trusted, and by no others."""
    made = make_workspace()
    workspace = Workspace(made.root, clock=clock)
    checkpoint = workspace.ledger.checkpoint()
    key = new_ed25519()
    vkey = VerifierKey("witness.example.com", COSIGNATURE_V1, key.public)
    at = int((checkpoint.time + timedelta(seconds=5)).timestamp())
    line = cosign_note(checkpoint.note.text, vkey.name, key, at)
    stamp = token(CHAIN, checkpoint.note.to_bytes(), checkpoint.time + timedelta(seconds=9))
    rows = [
        AnchorRow(
            size=checkpoint.size,
            kind="witness",
            source=f"{vkey.name}+{vkey.id.hex()}",
            proof=str(line).encode(),
        ),
        AnchorRow(
            size=checkpoint.size, kind="rfc3161", source="https://tsa.example.com", proof=stamp
        ),
    ]
    with workspace.storage.write() as writer:
        writer.add(rows)
    found, earlier = outside_proofs(workspace, checkpoint)
    assert [(item.kind, item.held) for item in found] == [
        ("cosignature", None),
        ("time stamp", None),
    ]
    assert found[1].time == checkpoint.time + timedelta(seconds=9) and earlier == 0

    clock.move(minutes=1)
    (workspace.root / "policy.txt").write_text(f"witness w1 {vkey}\nquorum w1\n")
    CHAIN.write_roots(workspace.root / "roots.pem")
    file = workspace.root / "muniment.yaml"
    file.write_text(file.read_text() + "policy: policy.txt\ntimestamp_roots: roots.pem\n")
    assert Config.load(file).policy == "policy.txt"
    trusting = Workspace(workspace.root, clock=clock)
    found, _ = outside_proofs(trusting, checkpoint)
    assert [item.held for item in found] == [True, True]
    assert found[0].time == checkpoint.time + timedelta(seconds=5)

    Chain.new().write_roots(workspace.root / "roots.pem")
    found, _ = outside_proofs(Workspace(workspace.root, clock=clock), checkpoint)
    assert [item.held for item in found] == [True, False]
    for opened in (workspace, trusting):
        opened.storage.close()


def test_key_history_says_what_became_of_keys(
    make_workspace: Callable[..., Any], clock: Any
) -> None:
    """Enrolment and revocation are events, and the key's line says since when it is bad."""
    made = make_workspace()
    workspace = Workspace(made.root, clock=clock)
    other = new_p256()
    holder = Holder("Ben Example", "ben@example.com")
    workspace.people.enrol(other.public, holder, roles=[Role.CONTRIBUTOR])
    clock.move(days=2)
    known = next(key for key in workspace.verified().ring if key.signer.name == holder.name)
    workspace.people.revoke(known, "lost", since=1)
    verified = workspace.verified()
    events = key_events(item for item in verified.records if item.kind == KEY_KIND)
    assert [item.index for item in events] == [0, 1, 2]
    assert events[1].what == "Enrolled for Ben Example, as contributor."
    assert events[2].what.startswith(f"Revoked {other.public.fingerprint}, compromised since #1")
    lines = {key.signer.name: key_line(key, verified.require().time) for key in verified.ring}
    assert lines["Ada Example"].state == "in force"
    assert "revoked by #2, compromised since #1" in lines["Ben Example"].state
    workspace.storage.close()


def test_the_code_is_one_titled_path() -> None:
    """The QR code is a drawing with a title, its modules one path inside a margin of four."""
    drawn = fromstring(qr("evidence.example.com\n19\nroot=\n", "Code <of> the checkpoint"))
    title, path = drawn
    assert title.text == "Code <of> the checkpoint"
    assert path.tag.endswith("path")
    side = float(drawn.get("viewBox", "").split()[2])
    starts = [move.split("h")[0].split() for move in path.get("d", "").split("M")[1:]]
    assert all(4 <= int(x) < side - 4 and 4 <= int(y) < side - 4 for x, y in starts)
