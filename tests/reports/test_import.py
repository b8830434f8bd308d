"""Imports: a ledger made again from its export, and attestations that third parties signed."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from muniment.evidence.dsse import PAYLOAD_TYPE, pae
from muniment.evidence.keys import SigningKey, load_public, new_ed25519, new_p256
from muniment.evidence.note import COSIGNATURE_V1, VerifierKey, cosign_note
from muniment.evidence.storage import AnchorRow
from muniment.reports.imports import _Restore
from muniment.reports.workspace import Attached, Holder, Workspace
from muniment.schemas.errors import InputError, MunimentError, SignatureError, VerificationError
from muniment.schemas.record import Role

from ..tsa import Chain, token

DATA = Path(__file__).parent / "data" / "attestations"
MODEL = "53d02d5a6822763cb9170c2178ca8f5398beece124198dd9d7ad0cf34cfd5e56"
SIZE = 300
CHAIN, OTHER = (Chain.new(datetime(2026, 1, 1, tzinfo=UTC)) for _ in range(2))

# A ledger from its export


@pytest.fixture
def source(grown: Callable[..., Workspace]) -> Workspace:
    """A ledger of three hundred records with a time stamp from outside."""
    workspace = grown(SIZE)
    last = workspace.ledger.checkpoint()
    anchor(workspace, "rfc3161", token(CHAIN, last.note.to_bytes(), last.time))
    return workspace


def anchor(workspace: Workspace, kind: str, proof: bytes) -> None:
    """Store a proof from outside over the last checkpoint."""
    with workspace.storage.write() as writer:
        writer.add([AnchorRow(size=SIZE, kind=kind, source=f"{kind}.example.com", proof=proof)])


@pytest.fixture
def exported(source: Workspace, tmp_path: Path) -> Path:
    """Its export."""
    source.export("tiles", tmp_path / "export")
    return tmp_path / "export"


@pytest.fixture
def empty(exported: Path, tmp_path: Path, clock: Any) -> Workspace:
    """A workspace that holds the exported settings and nothing else."""
    (tmp_path / "empty").mkdir()
    shutil.copy(exported / "muniment.yaml", tmp_path / "empty")
    return Workspace(tmp_path / "empty", clock=clock)


def _stored(workspace: Workspace) -> list[Any]:
    """Everything the ledger's database holds."""
    with workspace.storage.read() as reader:
        return [
            list(reader.entries()),
            list(reader.subjects(0, SIZE)),
            list(reader.tiles()),
            list(reader.checkpoints()),
            reader.anchors(),
            reader.erasures(),
        ]


def test_a_ledger_comes_back_bit_for_bit(
    source: Workspace, exported: Path, empty: Workspace
) -> None:
    """Every row of every table is the same: entries, subjects, tiles, all checkpoints, anchors;
    the root is the same, and the new ledger verifies."""
    done = empty.restore(exported)
    assert done.checkpoint.root == source.ledger.checkpoint().root
    assert (done.checkpoints, done.anchors, done.erased) == (4, 1, 0)
    assert _stored(empty) == _stored(source)
    report = empty.verified().report
    assert report.ok and not list(report.findings)
    assert (empty.root / ".muniment" / ".gitignore").read_text() == "*\n"


def trusting(workspace: Workspace, **settings: str) -> Workspace:
    """The same with more in its ``muniment.yaml``."""
    with (workspace.root / "muniment.yaml").open("a") as file:
        file.writelines(f"{name}: {value}\n" for name, value in settings.items())
    return Workspace(workspace.root)


def imported(source: Workspace, empty: Workspace, folder: Path) -> str | tuple[str, ...]:
    """What an import of a fresh export says it did not check, or the code it is refused with."""
    source.export("tiles", folder)
    try:
        return empty.restore(folder).not_checked
    except VerificationError as error:
        assert not empty.storage.exists()
        return error.code


@pytest.mark.parametrize("trust", ["the authority", "another", "nobody", "a file that is gone"])
def test_time_stamps_are_judged_on_import(exported: Path, empty: Workspace, trust: str) -> None:
    """By the roots that the workspace trusts; without them it is said that they were not."""
    if trust != "nobody":
        file = empty.root / "roots.pem"
        if trust != "a file that is gone":
            (CHAIN if trust == "the authority" else OTHER).write_roots(file)
        empty = trusting(empty, timestamp_roots=file.name)
    if trust == "another":
        with pytest.raises(VerificationError) as caught:
            empty.restore(exported)
        assert caught.value.code == "timestamp.untrusted"
        return
    found = empty.restore(exported).not_checked
    assert bool(found) == (trust != "the authority")
    assert all(why.startswith("timestamps: ") for why in found)
    assert ("roots.pem" in "".join(found)) == (trust == "a file that is gone")


def test_a_time_stamp_over_something_else(source: Workspace, empty: Workspace) -> None:
    """Bytes that are no token, or one over other bytes, are refused whoever is trusted."""
    folder = empty.root.parent
    with source.storage.rebuild() as writer:
        writer._session.execute(text("UPDATE anchor SET proof = :proof"), {"proof": b"\x30"})
    assert imported(source, empty, folder / "one") == "timestamp.malformed"
    other = token(CHAIN, b"other bytes", source.ledger.checkpoint().time)
    with source.storage.rebuild() as writer:
        writer._session.execute(text("UPDATE anchor SET proof = :proof"), {"proof": other})
    assert imported(source, empty, folder / "two") == "timestamp.imprint"


@pytest.mark.parametrize(
    "line, trust, found",
    [
        ("right", "witness one {vkey}\nquorum one\n", ""),
        ("right", None, "witnesses: no policy"),
        ("right", "", "witnesses: "),
        ("forged", "witness one {vkey}\nquorum one\n", "witness.invalid"),
        ("forged", None, "witnesses: no policy"),
        ("malformed", "witness one {vkey}\nquorum one\n", "note.malformed"),
        ("another's", "witness one {vkey}\nquorum one\n", "witnesses: no checkpoint"),
    ],
)
def test_cosignatures_are_judged_on_import(
    source: Workspace, empty: Workspace, line: str, trust: str | None, found: str
) -> None:
    """By the workspace's policy; a false one is refused, and what is not read or lacks is said."""
    key, name = new_ed25519(), "witness.example.com"
    note = source.ledger.checkpoint().note.text
    signer = new_ed25519() if line == "forged" else key
    made = cosign_note(note, name, signer, 1_775_000_000)
    vkey = VerifierKey(name, COSIGNATURE_V1, key.public)
    if line == "forged":
        made = type(made)(name, vkey.id, made.signature)
    if line == "another's":
        made = cosign_note(note, "other.example.com", key, 1_775_000_000)
    anchor(source, "witness", b"\xff" if line == "malformed" else str(made).encode())
    if trust is not None:
        (empty.root / "witnesses").write_text(trust.format(vkey=vkey))
        empty = trusting(empty, policy="witnesses")
    said = imported(source, empty, empty.root.parent / "again")
    if isinstance(said, str):
        assert said == found
    else:
        said = tuple(why for why in said if not why.startswith("timestamps"))
        assert bool(said) == bool(found)
        assert not found or said[0].startswith(found)


def test_an_export_of_the_import_is_the_same(
    exported: Path, empty: Workspace, tmp_path: Path
) -> None:
    """Exported again, the imported ledger gives the same files byte for byte."""
    empty.restore(exported)
    empty.export("tiles", tmp_path / "again")
    first, again = (
        {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
        for root in (exported, tmp_path / "again")
    )
    assert first == again and len(first) > 8


def test_two_imports_at_once(
    exported: Path, empty: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An import that fails takes nothing away from another that went through meanwhile, and one
    that comes second does not take its place."""
    broken = shutil.copytree(exported, tmp_path / "broken")
    (broken / "anchors.jsonl").write_text("{}\n")
    anchors = _Restore._anchors

    def meanwhile(self: _Restore, sizes: set[int]) -> int:
        monkeypatch.setattr(_Restore, "_anchors", anchors)
        other = Workspace(empty.root, clock=empty.clock)
        other.restore(exported)
        other.storage.close()
        return anchors(self, sizes)

    for folder, code in ((broken, "export.malformed"), (exported, "import.exists")):
        monkeypatch.setattr(_Restore, "_anchors", meanwhile)
        with pytest.raises(MunimentError) as caught:
            empty.restore(folder)
        assert caught.value.code == code
        after = Workspace(empty.root, clock=empty.clock)
        assert after.verified().report.ok
        after.storage.close()
        names = {item.name for item in (empty.root / ".muniment").iterdir()}
        assert names == {".gitignore", "ledger.db"}
        (empty.root / ".muniment" / "ledger.db").unlink()


def test_an_import_goes_on(source: Workspace, exported: Path, empty: Workspace) -> None:
    """With the ledger's key at hand, the imported ledger takes new records after the old ones."""
    empty.restore(exported)
    public = new_p256().public
    holder = Holder("Ben", "ben@example.com")
    attached = empty.people.enrol(public, holder, roles=[Role.CONTRIBUTOR])
    assert attached.record.index == SIZE
    assert empty.verified().report.ok


def test_an_import_into_postgresql(
    source: Workspace, exported: Path, empty: Workspace, postgres_url: str
) -> None:
    """The same on PostgreSQL: a refused import leaves nothing there, a good one the same rows."""
    settings = empty.root / "muniment.yaml"
    text = settings.read_text().replace("sqlite:///.muniment/ledger.db", postgres_url)
    settings.write_text(text)
    other = Workspace(empty.root)
    whole = (exported / "anchors.jsonl").read_bytes()
    (exported / "anchors.jsonl").write_bytes(whole + b"{}\n")
    with pytest.raises(VerificationError):
        other.restore(exported)
    with other.storage.read() as reader:
        assert reader.size() == 0
    (exported / "anchors.jsonl").write_bytes(whole)
    other.restore(exported)
    assert _stored(other) == _stored(source)
    other.storage.close()


def test_own_kinds_go_with_the_export(make_workspace: Any, tmp_path: Path, clock: Any) -> None:
    """A workspace's own kinds are in the export, so that its records can be verified there."""
    made = Workspace(make_workspace().root, clock=clock)
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://muniment.dev/evidence/fire-drill/v1",
        "title": "Fire drill",
        "type": "object",
        "properties": {"minutes": {"type": "integer"}},
        "required": ["minutes"],
        "unevaluatedProperties": False,
    }
    (made.root / "kinds").mkdir()
    (made.root / "kinds/fire-drill.json").write_text(json.dumps(schema))
    _register(made)
    made.attach("fire-drill", body={"minutes": 4})
    made.export("tiles", tmp_path / "export")
    (tmp_path / "new").mkdir()
    shutil.copy(tmp_path / "export/muniment.yaml", tmp_path / "new")
    with pytest.raises(VerificationError, match="no kind is known"):
        Workspace(tmp_path / "new").restore(tmp_path / "export")
    shutil.copytree(tmp_path / "export/kinds", tmp_path / "new/kinds")
    assert Workspace(tmp_path / "new").restore(tmp_path / "export").checkpoint.size == 3


def _line(name: str, number: int, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        lines = (folder / name).read_bytes().splitlines(keepends=True)
        lines[number] = change(lines[number])
        (folder / name).write_bytes(b"".join(lines))

    return edit


def _bytes(name: str, change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / name).write_bytes(change((folder / name).read_bytes()))

    return edit


def _payload(line: bytes) -> bytes:
    envelope = json.loads(line)
    payload = base64.b64decode(envelope["payload"]).replace(b"Rule 17", b"Rule 18")
    encoded = base64.b64encode(payload).decode()
    return line.replace(envelope["payload"].encode(), encoded.encode())


def _flip(at: int) -> Callable[[bytes], bytes]:
    return lambda data: data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def _roll_back(folder: Path) -> None:
    notes = (folder / "checkpoints.jsonl").read_bytes().splitlines()
    (folder / "checkpoint").write_text(json.loads(notes[2])["note"])


def _erase(folder: Path) -> None:
    (folder / "erasures.jsonl").write_text('{"number": 5, "by": 6}\n')
    _line("records.intoto.jsonl", 5, lambda _: b"")(folder)


EDITS: dict[str, tuple[Callable[[Path], None], str, str]] = {
    "a payload": (_line("records.intoto.jsonl", 17, _payload), "leaf.differs", "#17"),
    "a line gone": (_line("records.intoto.jsonl", 20, lambda _: b""), "leaf.differs", "#20"),
    "the last line gone": (
        _line("records.intoto.jsonl", 299, lambda _: b""),
        "entry.missing",
        "#299",
    ),
    "a line more": (
        _line("records.intoto.jsonl", 299, lambda line: line * 2),
        "export.malformed",
        "records.intoto.jsonl",
    ),
    "a cut line": (
        _line("records.intoto.jsonl", 299, lambda line: line[:-1]),
        "export.malformed",
        "cut off",
    ),
    "a leaf": (_bytes("tile/entries/001.p/44", _flip(100)), "leaf.", "#256"),
    "a length": (_bytes("tile/entries/000", _flip(0)), "export.malformed", "tile/entries/000"),
    "a hash": (_bytes("tile/0/001.p/44", _flip(40)), "tile.differs", "tile/0/001.p/44"),
    "a tile gone": (lambda folder: (folder / "tile/1/000.p/1").unlink(), "export.missing", "000.p"),
    "a bundle gone": (lambda folder: (folder / "tile/entries/000").unlink(), "export.missing", ""),
    "the checkpoint's signature": (
        _bytes("checkpoint", lambda note: note[:-10] + b"AAAAAA" + note[-4:]),
        "signature.invalid",
        "",
    ),
    "an old checkpoint's signature": (
        _line("checkpoints.jsonl", 1, lambda line: line[:-14] + b"AAAAAA" + line[-8:]),
        "signature.invalid",
        "",
    ),
    "an old checkpoint as the last": (_roll_back, "export.m", ""),
    "the last checkpoint gone": (
        _line("checkpoints.jsonl", 3, lambda _: b""),
        "checkpoint.differs",
        "",
    ),
    "two checkpoints swapped": (
        _bytes("checkpoints.jsonl", lambda data: b"".join(data.splitlines(True)[::-1])),
        "export.malformed",
        "order",
    ),
    "an anchor of no checkpoint": (
        _line("anchors.jsonl", 0, lambda line: line.replace(b"300", b"299")),
        "export.malformed",
        "anchors.jsonl",
    ),
    "a line that is no JSON": (
        _bytes("anchors.jsonl", lambda data: b"[\n" + data),
        "export.malformed",
        "anchors.jsonl",
    ),
    "an erasure nobody signed": (
        _erase,
        "",
        "#5",
    ),
    "another ledger's key": (
        _bytes("ledger.vkey", lambda data: data.replace(b"evidence.", b"evidense.")),
        "vkey.malformed",
        "",
    ),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_tampered_export_is_refused(exported: Path, empty: Workspace, name: str) -> None:
    """Whatever is edited, taken away or added, the import says exactly what, and stores nothing;
    the untouched export is taken afterwards."""
    kept = exported.with_name("kept")
    shutil.copytree(exported, kept)
    edit, code, words = EDITS[name]
    edit(exported)
    with pytest.raises(VerificationError) as caught:
        empty.restore(exported)
    assert caught.value.code.startswith(code) and words in caught.value.message
    assert not empty.storage.exists()
    assert not list(empty.root.glob(".muniment/*.db*"))
    assert Workspace(empty.root).restore(kept).checkpoint.size == SIZE


def test_a_checkpoint_less_dates_later(
    grown: Callable[..., Workspace], tmp_path: Path, clock: Any
) -> None:
    """No signature says how many checkpoints there were: one that is taken out is not missed. Its
    records are then dated by the next one, later than they were and never earlier."""
    source = grown(3)
    clock.move(days=1)
    source.people.enrol(
        new_p256().public, Holder("Ben", "ben@example.com"), roles=[Role.CONTRIBUTOR]
    )
    source.export("tiles", tmp_path / "export")
    lines = (tmp_path / "export/checkpoints.jsonl").read_bytes().splitlines(keepends=True)
    (tmp_path / "export/checkpoints.jsonl").write_bytes(b"".join(lines[:1] + lines[-1:]))
    (tmp_path / "empty").mkdir()
    shutil.copy(tmp_path / "export/muniment.yaml", tmp_path / "empty")
    empty = Workspace(tmp_path / "empty", clock=clock)
    empty.restore(tmp_path / "export")
    before, after = (
        [record.recorded_at for record in item.verified().records] for item in (source, empty)
    )
    assert before != after
    assert all(old <= new for old, new in zip(before, after, strict=True))


def test_another_root_is_refused(
    exported: Path, empty: Workspace, make_workspace: Callable[..., Any]
) -> None:
    """The pin of the workspace decides, not the export: a ledger of another root of the same
    name is refused."""
    other = make_workspace("other", key="other")
    assert other.config.root != empty.config.root
    shutil.copy(other.root / "muniment.yaml", empty.root)
    with pytest.raises(VerificationError) as caught:
        Workspace(empty.root).restore(exported)
    assert caught.value.code == "root.differs"
    assert not empty.storage.exists()


def test_a_ledger_is_never_overwritten(source: Workspace, exported: Path) -> None:
    """A workspace that has a ledger takes no import, not even its own."""
    before = _stored(source)
    with pytest.raises(InputError) as caught:
        source.restore(exported)
    assert caught.value.code == "import.exists"
    assert _stored(source) == before


def test_what_is_no_export(exported: Path, empty: Workspace) -> None:
    """A folder that is no complete export is told apart, and nothing is made."""
    (exported / "records.intoto.jsonl").unlink()
    with pytest.raises(InputError) as caught:
        empty.restore(exported)
    assert caught.value.code == "import.no-export"
    assert not (empty.root / ".muniment").exists()


def test_an_erased_record_is_a_leaf(source: Workspace, tmp_path: Path) -> None:
    """An erased record has no envelope in any export, keeps its leaf and its proof, and comes back
    as erased under the same root."""
    source.erase(["#5"], "GDPR Art. 17(1)(b)", "Consent was withdrawn.")
    for form in ("tiles", "proofs", "bundles", "intoto"):
        assert source.export(form, tmp_path / form).erased == 1
    assert not (tmp_path / "bundles/receipt-000005.sigstore.json").exists()
    assert (tmp_path / "proofs/receipt-000005.tlog-proof").exists()
    for form in ("tiles", "intoto"):
        lines = (tmp_path / form / "records.intoto.jsonl").read_bytes().splitlines()
        assert len(lines) == SIZE
    (tmp_path / "empty").mkdir()
    shutil.copy(tmp_path / "tiles/muniment.yaml", tmp_path / "empty")
    other = Workspace(tmp_path / "empty")
    done = other.restore(tmp_path / "tiles")
    assert (done.erased, done.checkpoint.root) == (1, source.ledger.checkpoint().root)
    assert _stored(other) == _stored(source)


# Attestations


@pytest.fixture
def office(make_workspace: Any, clock: Any) -> Workspace:
    """A workspace with one system, a year after the samples were made."""
    clock.move(days=365)
    made = Workspace(make_workspace().root, clock=clock)
    _register(made)
    return made


def _register(workspace: Workspace) -> None:
    body = {
        "name": "Credit risk",
        "purpose": "Scores applications.",
        "phase": "pilot",
        "riskTier": "high",
        "owner": {"name": "Ada", "email": "ada@example.com"},
        "model": {"name": "model.joblib", "sha256": MODEL},
    }
    workspace.attach("system", system="credit-risk@1.0.0", body=body)


def _take(workspace: Workspace, file: str, key: str, **more: Any) -> list[Attached]:
    public = load_public((DATA / key).read_bytes())
    return workspace.import_attestations(DATA / file, [public], **more)


@pytest.mark.parametrize(
    ("file", "key", "kind", "facts"),
    [
        (
            "slsa_provenance.dsse.json",
            "ci.pem",
            "https://slsa.dev/provenance/v1",
            {"builder": "https://example.org/ci/runner@v3"},
        ),
        (
            "test_result.dsse.json",
            "ci.pem",
            "https://in-toto.io/attestation/test-result/v0.1",
            {"result": "passed"},
        ),
        ("model.sigstore.json", "model.pem", "https://model_signing/signature/v1.0", {}),
    ],
)
def test_samples_become_records(
    office: Workspace, file: str, key: str, kind: str, facts: dict[str, Any]
) -> None:
    """SLSA provenance, a test result and a model's signature, as their tools wrote them, become
    records that bind to the model, keep the file byte for byte and verify again later."""
    (taken,) = _take(office, file, key, controls=["MEASURE 2.3"])
    statement = taken.record.statement
    assert statement.kind == "attestation" and statement.body["predicateType"] == kind
    assert {name: statement.body.get(name) for name in facts} == facts
    stored, *others = statement.subjects
    assert office.store.path(stored.sha256).read_bytes() == (DATA / file).read_bytes()
    assert MODEL in {item.sha256 for item in others}
    assert statement.controls == ("nist-ai-rmf-1.0:MEASURE 2.3",)
    check = next(check for check in office.verify().checks if check.name == "attestations")
    assert (check.checked, check.findings, check.not_checked) == (1, [], [])


def test_the_time_is_the_builders(office: Workspace, clock: Any) -> None:
    """What a statement says of its time is when the facts held; without that, it is now."""
    (built,) = _take(office, "slsa_provenance.dsse.json", "ci.pem")
    (tested,) = _take(office, "test_result.dsse.json", "ci.pem")
    assert f"{built.record.statement.collected_at:%F %T}" == "2026-11-21 02:03:00"
    assert tested.record.statement.collected_at == clock()


def test_the_same_again_is_one_record(office: Workspace) -> None:
    """Imported twice, an attestation is one record."""
    (first,) = _take(office, "slsa_provenance.dsse.json", "ci.pem")
    (again,) = _take(office, "slsa_provenance.dsse.json", "ci.pem")
    assert first.is_new and not again.is_new
    assert first.record.ref == again.record.ref


def test_another_key_is_refused(office: Workspace) -> None:
    """Without the maker's key there is no record, and nothing is stored."""
    with pytest.raises(SignatureError) as caught:
        _take(office, "slsa_provenance.dsse.json", "model.pem")
    assert caught.value.code == "attestation.signature"
    assert office.ledger.checkpoint().size == 2
    assert not (office.root / ".muniment/artifacts").exists()


def _statement(**fields: Any) -> dict[str, Any]:
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model.joblib", "digest": {"sha256": MODEL}}],
        "predicateType": "https://in-toto.io/attestation/test-result/v0.1",
        "predicate": {"result": "FAILED"},
    } | fields


def _envelope(statement: Any, *keys: SigningKey, **fields: Any) -> dict[str, Any]:
    payload = json.dumps(statement).encode()
    return {
        "payload": base64.b64encode(payload).decode(),
        "payloadType": PAYLOAD_TYPE,
        "signatures": [
            {"keyid": "any", "sig": base64.urlsafe_b64encode(key.sign(pae(payload))).decode()}
            for key in keys
        ],
    } | fields


def test_lines_are_records(office: Workspace, tmp_path: Path) -> None:
    """An .intoto.jsonl file gives a record for each line, of keys of either kind; each names just
    the keys that signed it, the envelope's own keyid counting for nothing."""
    ci, lab = new_ed25519(), new_p256()
    file = tmp_path / "all.intoto.jsonl"
    lines = [
        _envelope(_statement(), ci),
        _envelope(_statement(predicate={"result": "WARNED"}), lab, ci),
    ]
    file.write_text("\n".join(map(json.dumps, lines)) + "\n\n")
    taken = office.import_attestations(file, [lab.public, ci.public])
    bodies = [item.record.statement.body for item in taken]
    assert [body["result"] for body in bodies] == ["failed", "warned"]
    assert [[key["fingerprint"] for key in body["keys"]] for body in bodies] == [
        [ci.public.fingerprint],
        [lab.public.fingerprint, ci.public.fingerprint],
    ]
    assert office.verify().ok


def test_one_bad_line_spoils_the_file(office: Workspace, tmp_path: Path) -> None:
    """All lines are verified before the first is recorded."""
    ci = new_ed25519()
    file = tmp_path / "all.intoto.jsonl"
    lines = [_envelope(_statement(), ci), _envelope(_statement(), new_ed25519())]
    file.write_text("\n".join(map(json.dumps, lines)))
    with pytest.raises(SignatureError):
        office.import_attestations(file, [ci.public])
    assert office.ledger.checkpoint().size == 2


def test_one_statement_signed_twice(office: Workspace, tmp_path: Path) -> None:
    """Two envelopes around the same bytes, each by another signer: a record for each, which says
    who signed that one, and both verify later."""
    ci, lab = new_p256(), new_ed25519()
    file = tmp_path / "all.intoto.jsonl"
    lines = [_envelope(_statement(), key) for key in (ci, lab)]
    file.write_text("\n".join(map(json.dumps, lines)))
    taken = office.import_attestations(file, [ci.public, lab.public])
    assert [item.record.statement.body["keys"][0]["fingerprint"] for item in taken] == [
        ci.public.fingerprint,
        lab.public.fingerprint,
    ]
    assert list(office.verify().findings) == []


@pytest.mark.parametrize("version", ["", "/v0.1", "/v9"])
@pytest.mark.parametrize(
    ("family", "field"),
    [
        ("https://in-toto.io/attestation/test-result", "result"),
        ("https://slsa.dev/verification_summary", "verificationResult"),
    ],
)
def test_a_no_is_read_whatever_the_version(
    office: Workspace, tmp_path: Path, family: str, field: str, version: str
) -> None:
    """A type with a version or without: what it concluded is read, and a failure stays one."""
    ci, file = new_ed25519(), tmp_path / "a.json"
    statement = _statement(predicateType=family + version, predicate={field: "FAILED"})
    file.write_text(json.dumps(_envelope(statement, ci)))
    (taken,) = office.import_attestations(file, [ci.public])
    assert taken.record.statement.body["result"] == "failed"


BROKEN: dict[str, tuple[Any, dict[str, Any], str]] = {
    "no statement": ([1], {}, "attestation.malformed"),
    "another type": (_statement(_type="https://example.com/v1"), {}, "attestation.malformed"),
    "another payload type": (_statement(), {"payloadType": "text/plain"}, "attestation.malformed"),
    "no signature": (_statement(), {"signatures": []}, "attestation.malformed"),
    "no base64": (_statement(), {"payload": "§"}, "attestation.malformed"),
    "no digest": (_statement(subject=[{"name": "x"}]), {}, "attestation.no-digest"),
    "another digest": (
        _statement(subject=[{"name": "x", "digest": {"gitCommit": "4b825dc6"}}]),
        {},
        "attestation.no-digest",
    ),
    "an unknown result": (_statement(predicate={"result": "OK"}), {}, "attestation.malformed"),
    "a list of results": (_statement(predicate={"result": ["FAILED"]}), {},
                          "attestation.malformed"),
    "no time": (_statement(predicateType="a:b", predicate={"timeVerified": "soon"}), {},
                "attestation.malformed"),
    "another bundle": (_statement(), {"mediaType": "text/plain"}, "attestation.malformed"),
    "no predicate type": (_statement(predicateType=7), {}, "attestation.malformed"),
}  # fmt: skip


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_attestation_is_refused(office: Workspace, tmp_path: Path, name: str) -> None:
    """What is no attestation is refused with a clear error, though its signature may be good."""
    statement, fields, code = BROKEN[name]
    ci = new_ed25519()
    file = tmp_path / "a.json"
    file.write_text(json.dumps(_envelope(statement, ci, **fields)))
    with pytest.raises(InputError) as caught:
        office.import_attestations(file, [ci.public])
    assert caught.value.code == code
    assert office.ledger.checkpoint().size == 2


def test_a_record_that_says_something_else_is_found(office: Workspace, tmp_path: Path) -> None:
    """Who signs an attestation record that says other than the third party did is found out."""
    (taken,) = _take(office, "test_result.dsse.json", "ci.pem")
    from muniment.evidence.draft import Evidence

    body = dict(taken.record.statement.body)
    digest = hashlib.sha256(b"other").hexdigest()
    office.add(
        Evidence(
            kind="attestation",
            files=[DATA / "test_result.dsse.json"],
            body=body | {"artifacts": [{"name": "model.joblib", "sha256": digest}]},
        )
    )
    office.add(Evidence(kind="attestation", files=[DATA / "slsa_provenance.dsse.json"], body=body))
    report = office.verify()
    found = [(item.code, item.record) for item in report.findings]
    assert found == [("attestation.differs", 3), ("attestation.differs", 4)]
    assert not report.ok


def test_it_is_not_attached_by_hand(office: Workspace) -> None:
    """An attestation comes in by import alone."""
    with pytest.raises(InputError) as caught:
        office.attach("attestation", DATA / "test_result.dsse.json")
    assert caught.value.code == "attach.kind" and "muniment import" in str(caught.value.hint)


def test_it_counts_for_no_other_model(office: Workspace, tmp_path: Path) -> None:
    """An attestation about other files is left out of the coverage of this model; a failed test
    of this one is a "no"."""
    from muniment.controls.outcome import outcome

    ci = new_ed25519()
    file = tmp_path / "other.json"
    other = [{"name": "old.joblib", "digest": {"sha256": "c" * 64}}]
    file.write_text(json.dumps(_envelope(_statement(subject=other), ci)))
    (elsewhere,) = office.import_attestations(file, [ci.public], controls=["MEASURE 2.3"])
    file.write_text(json.dumps(_envelope(_statement(), ci)))
    (here,) = office.import_attestations(file, [ci.public], controls=["MEASURE 2.3"])
    left_out = office.coverage().left_out
    ids = {ref.index for reason in left_out if reason.code == "evidence.other-model"
           for ref in reason.records}  # fmt: skip
    assert ids == {elsewhere.record.index}
    assert not outcome(here.record).holds
