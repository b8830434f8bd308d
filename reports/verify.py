"""Verification of a packet from the PDF alone: no workspace, no network, nothing taken on trust.

1. The PDF signature is intact and covers the entire file.
2. Every embedded file is the one the manifest names, and there are no others.
3. The genesis names the ledger's key, and the root is the one that is expected.
4. The checkpoint is signed by the ledger.
5. Every receipt holds: record signature, leaf, inclusion under the checkpoint.
6. Every record is dated by a checkpoint that the packet's checkpoint extends.
7. Every record is of a known kind and its signer was entitled at its place.
8. Catalogs, crosswalk and profile are those this verifier ships.
9. Coverage and gate, computed again from the records, are what the packet says.
10. The auditor's samples, drawn again from the records, are what the packet says.
11. The PDF is signed by a key that is enrolled in the ledger.
12. Cosignatures and time stamps hold, and the ledger only grew since the packets before this one.
13. The pages say what the coverage says, and are those that the same program sets again.
14. Every artifact in the packet is a file that a record names.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, ClassVar

from muniment.controls.catalog import Catalog
from muniment.controls.crosswalk import Crosswalk
from muniment.controls.evaluator import evaluate
from muniment.controls.gate import GateDecision, decide
from muniment.controls.profile import Profile
from muniment.controls.standing import counting
from muniment.evidence.admission import PastTrust, admit, find_compromised
from muniment.evidence.checkpoint import SignedCheckpoint, verify_checkpoint
from muniment.evidence.derivation import is_derived
from muniment.evidence.entry import Entry
from muniment.evidence.keys import is_fingerprint
from muniment.evidence.merkle import verify_consistency, verify_inclusion
from muniment.evidence.note import VerifierKey
from muniment.evidence.receipt import Receipt, trusted_root
from muniment.evidence.timestamp import roots_in, verify_token
from muniment.evidence.trust import KEY_KIND, KeyRing
from muniment.schemas import strictjson
from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.errors import InputError, MunimentError
from muniment.schemas.files import read_small
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record, Signer
from muniment.schemas.statement import SystemRef
from muniment.schemas.text import counted, visible
from muniment.schemas.times import format_time, parse_time

from . import proofs
from .archival import MANIFEST
from .artifactfiles import PREFIX as ARTIFACT
from .cover import LOGOS
from .coveragecheck import compare_coverage
from .earlier import (
    ANCHORS,
    POLICY,
    PREVIOUS,
    ROOTS,
    check_outside,
    check_previous,
    check_said,
    check_since,
)
from .erased import erased_words, erasures
from .identity import certified_name
from .printed import PAGES, packet_input, same_program
from .rulescheck import check_rules
from .samplecheck import check_samples, printed_sample
from .signature import SignatureStatus, check_signature, read_embedded
from .since import old_checkpoint
from .verifypages import cannot_set, check_artifacts, check_pages, check_rendering


def verify_packet(
    path: Path,
    root: str | None = None,
    *,
    pinned: tuple[str, str] | None = None,
    since: Path | None = None,
    form: type[PacketVerifier] | None = None,
) -> VerificationReport:
    """Verify the packet at ``path``.

    Args:
        root: the root key's fingerprint, known from elsewhere; without it the report says that
            the root was taken from the packet itself.
        pinned: origin of the ledger that a workspace knows, and the root it pins; that root is
            expected of a packet of this ledger where no other is given.
        since: an old packet, receipt or checkpoint that the packet's ledger must extend.
        form: verifies a packet that is no PDF.

    Raises:
        InputError: ``key.fingerprint``, ``since.malformed``, and what ``read_small`` raises.
    """
    if root is not None and not is_fingerprint(root):
        raise InputError(
            "key.fingerprint",
            "that is not the fingerprint of a key",
            expected="SHA256: and 43 characters, as in muniment.yaml",
            found=root,
        )
    data = read_small(path, MAX_PACKET)
    old = None if since is None else (read_small(since, MAX_PACKET), old_checkpoint(since))
    return (form or PacketVerifier)(path.name, root, pinned, old).run(data)


MAX_PACKET = 1 << 30
"""Largest packet that is read."""
_CLAIMS = {
    "pdf-signature": "the PDF is as it was signed, to the last byte",
    "manifest": "every embedded file is the one the manifest names",
    "root": "the ledger is the one whose root key you expect",
    "checkpoint": "the checkpoint is signed by the ledger",
    "receipts": "every record is signed and stands in the ledger where it says",
    "history": "the checkpoints that date the records lead up to this one",
    "trust": "every record fits its kind and its signer was entitled",
    "rules": "catalogs, crosswalk and profile are those this verifier ships",
    "coverage": "coverage and verdict follow from the records in the packet",
    "derivation": "every record says what the tool's file says that it was read from",
    "reviewer": "the packet is signed by an approver or root that the ledger knows",
    "signature-time": "the packet was signed when an authority outside says that it was",
    "outside": "others saw the ledger as it was",
    "previous": "the ledger is that of the packets before this one, with records added",
    "pages": "the pages' text, as a screen reader is given it, says of every control what the "
    "coverage says",
    "rendering": "the pages are those that follow from the embedded data, to the last byte",
    "artifacts": "every artifact in the packet is a file that a record names",
}
"""Every check by its name, with what holds if it holds."""


class PacketVerifier:
    """One verification; each step adds its check to the report.

    A packet in another form than a PDF overrides the steps that take the file itself.
    """

    claims: ClassVar[Mapping[str, str]] = _CLAIMS

    def __init__(
        self,
        name: str,
        root: str | None,
        pinned: tuple[str, str] | None,
        old: tuple[bytes, bytes] | None = None,
    ) -> None:
        self._expected = root
        self._old = old
        self._pdf = b""
        self._pinned = pinned
        self.report = VerificationReport(name)
        self._ring = KeyRing()
        self._past = PastTrust((), KindRegistry())
        self._files: dict[str, bytes] = {}
        self._names: dict[str | None, str] = {}
        self._records: dict[int, Record] = {}

    def run(self, pdf: bytes) -> VerificationReport:
        """All steps; a step that cannot be made is reported, and so are those that rest on it."""
        self._pdf = pdf
        status = self._signature(pdf)
        try:
            if self._attachments(pdf):
                self._proofs(status)
        except MunimentError as error:
            self._broken(Finding.of(error))
        except (LookupError, TypeError, ValueError, AttributeError) as error:
            # NOTE: whoever makes a packet chooses what its files hold; a form that nobody foresaw
            # is a "no", not a failure of the verifier.
            self._broken(Finding("packet.malformed", f"the embedded proof is malformed: {error}"))
        made = {check.name for check in self.report.checks}
        for name in self.claims:
            if name not in made:
                self._check(name).not_checked.append("an earlier check failed")
        return self.report

    def _broken(self, finding: Finding) -> None:
        check = Check("form", "the embedded proof can be read")
        check.findings.append(finding)
        self.report.checks.append(check)

    def _check(self, name: str) -> Check:
        check = Check(name, self.claims[name])
        self.report.checks.append(check)
        return check

    # (1)
    def _signature(self, pdf: bytes) -> SignatureStatus:
        check = self._check("pdf-signature")
        status = check_signature(pdf)
        check.checked = 1 if status.counter is None else 2
        check.findings.extend(status.faults)
        return status

    # (2)
    def _attachments(self, pdf: bytes) -> bool:
        check = self._check("manifest")
        try:
            self._files = self._embedded(pdf)
            listed = self._json(MANIFEST)["files"]
            named = {str(item["name"]): str(item["sha256"]) for item in listed}
        except (MunimentError, KeyError, TypeError) as error:
            finding = (
                Finding.of(error)
                if isinstance(error, MunimentError)
                else Finding("packet.malformed", "the manifest cannot be read")
            )
            check.findings.append(finding)
            return False
        for name in sorted({*named, *self._files} - {MANIFEST}):
            check.checked += 1
            found = self._files.get(name)
            digest = hashlib.sha256(found).hexdigest() if found is not None else "no such file"
            if digest != named.get(name):
                check.findings.append(
                    Finding(
                        "packet.file-differs",
                        f"the embedded file {name} is not the one the manifest names",
                        expected=named.get(name, "no such file"),
                        found=digest,
                    )
                )
        return not check.findings

    def _embedded(self, data: bytes) -> dict[str, bytes]:
        return {item.name: item.data for item in read_embedded(data)}

    def _proofs(self, status: SignatureStatus) -> None:
        given = self._json(proofs.INPUT)
        receipts = self._receipts(given)
        if not receipts or receipts[0].index != 0:
            raise InputError("packet.genesis", "the packet does not hold the ledger's genesis")
        vkey = self._root(receipts[0])
        checkpoint = self._checkpoint(vkey)
        self._inclusion(receipts, vkey, checkpoint)
        times = self._history(vkey, checkpoint)
        self._admit(receipts, times, checkpoint)
        self._only_known(given, vkey)
        judged = self._coverage(given)
        self._samples(given, times, checkpoint)
        reviewer = self._reviewer(status, checkpoint.time)
        self._signed_when(status)
        self._past_of(vkey, checkpoint, times)
        check_artifacts(self._check("artifacts"), self._files, self._records.values())
        self._pages(judged, given, times, checkpoint, reviewer)
        self._limits(checkpoint, len(receipts))

    def _receipts(self, given: Mapping[str, Any]) -> list[Receipt]:
        indices = sorted({*given["records"], *given["keys"]})
        return [Receipt.from_bundle(self._file(proofs.receipt_name(index))) for index in indices]

    # (3)
    def _root(self, genesis: Receipt) -> VerifierKey:
        check = self._check("root")
        entry = Entry.new(genesis.index, genesis.envelope, genesis.key)
        genesis.envelope.verify(genesis.key)
        ring = KeyRing()
        ring.apply_genesis(entry.statement, entry.key)
        assert ring.ledger is not None
        expected = self._expected
        if expected is None and self._pinned and self._pinned[0] == ring.ledger.name:
            expected = self._pinned[1]
            text = f"the root expected is the one that the workspace of {ring.ledger.name} pins"
            check.notes.append(Finding("root.pinned", text, None, expected))
        if expected is None:
            check.not_checked.append(
                f"no root was given: compare {ring.root} with what the organisation publishes, "
                "or give it with --root"
            )
        else:
            check.checked = 1
            if expected != ring.root:
                check.findings.append(
                    Finding(
                        "root.differs",
                        "the packet's root key is not the one expected",
                        0,
                        expected,
                        str(ring.root),
                    )
                )
        if str(ring.ledger) != self._file(proofs.VKEY).decode("utf-8", "replace").strip():
            check.findings.append(
                Finding("root.ledger-key", "the embedded verifier key is not the ledger's", 0)
            )
        return ring.ledger

    # (4)
    def _checkpoint(self, vkey: VerifierKey) -> SignedCheckpoint:
        check = self._check("checkpoint")
        signed = verify_checkpoint(self._file(proofs.CHECKPOINT), vkey)
        check.checked = 1
        return signed

    # (5)
    def _inclusion(
        self, receipts: list[Receipt], vkey: VerifierKey, checkpoint: SignedCheckpoint
    ) -> None:
        check = self._check("receipts")
        for receipt in receipts:
            check.checked += 1
            try:
                receipt.envelope.verify(receipt.key)
                if receipt.checkpoint != checkpoint.note.to_bytes():
                    raise InputError("packet.checkpoint", "a receipt is under another checkpoint")
                entry = Entry.new(receipt.index, receipt.envelope, receipt.key)
                verify_inclusion(
                    entry.leaf_hash,
                    receipt.index,
                    checkpoint.size,
                    receipt.proof,
                    checkpoint.root,
                )
                bundle = receipt.to_bundle(vkey, checkpoint.size, checkpoint.root)
                if bundle != self._file(proofs.receipt_name(receipt.index)):
                    raise InputError("packet.receipt", "a receipt says more than it proves")
            except MunimentError as error:
                check.findings.append(Finding.of(error, receipt.index))

    # (6)
    def _history(self, vkey: VerifierKey, last: SignedCheckpoint) -> list[SignedCheckpoint]:
        check = self._check("history")
        found: list[SignedCheckpoint] = []
        for step in self._json(proofs.HISTORY)["checkpoints"]:
            check.checked += 1
            try:
                signed = verify_checkpoint(str(step["note"]).encode(), vkey)
                proof = [base64.b64decode(item, validate=True) for item in step["consistency"]]
                verify_consistency(signed.size, last.size, proof, signed.root, last.root)
                if found and signed.time < found[-1].time:
                    raise InputError("checkpoint.time", "recorded times run backwards")
                found.append(signed)
            except MunimentError as error:
                check.findings.append(Finding.of(error))
            except (KeyError, TypeError, ValueError, binascii.Error):
                check.findings.append(Finding("packet.malformed", "a step of history is malformed"))
        return found

    # (7)
    def _admit(
        self,
        receipts: list[Receipt],
        times: list[SignedCheckpoint],
        last: SignedCheckpoint,
    ) -> None:
        check = self._check("trust")
        kinds = KindRegistry(own=self._own_kinds())
        dated = []
        for receipt in receipts:
            entry = Entry.new(receipt.index, receipt.envelope, receipt.key)
            covering = next((item for item in times if item.size > receipt.index), last)
            dated.append((entry, covering.time))
        keys = [item for item in dated if item[0].statement.kind == KEY_KIND]
        self._ring = KeyRing(find_compromised(keys, kinds))
        self._past = PastTrust(keys, kinds)
        genesis: str | None = None
        for entry, recorded_at in dated:
            check.checked += 1
            try:
                record = admit(entry, self._ring, recorded_at, kinds, genesis)
            except MunimentError as error:
                check.findings.append(Finding.of(error, entry.index))
            else:
                self._records[record.index] = record
                check.note_distrust(record)
            genesis = genesis or entry.sha256

    def _only_known(self, given: Mapping[str, Any], vkey: VerifierKey) -> None:
        """No embedded file may be one that no check reads."""
        check = next(item for item in self.report.checks if item.name == "manifest")
        fixed = dict(proofs.key_files(self._ring))
        if genesis := self._records.get(0):
            fixed[proofs.TRUSTED_ROOT] = trusted_root(vkey, genesis.recorded_at)
        others = {MANIFEST, PAGES, ANCHORS, POLICY, ROOTS, PREVIOUS}
        if self._json(PAGES)["look"]["logo"]:
            others |= set(LOGOS.values())
        known = {*proofs.names(given), *others, *fixed}
        used = {record.kind for record in self._records.values()}
        known |= {proofs.kind_name(kind) for kind in used}
        known |= {name for name in self._files if name.startswith(ARTIFACT)}
        for name in sorted(set(self._files) - known):
            text = f"the embedded file {visible(name)} is none that a packet has"
            check.findings.append(Finding("packet.unknown-file", text))
        for name, data in fixed.items():
            if self._files.get(name) != data:
                text = f"the embedded file {name} is not what the records say"
                check.findings.append(Finding("packet.file-differs", text))

    # (8) and (9)
    def _coverage(self, given: Mapping[str, Any]) -> GateDecision:
        catalogs = {
            name: Catalog.from_json(self._json(proofs.catalog_name(name)))
            for name in (*given["catalogs"], *given["sources"])
        }
        crosswalk = Crosswalk.from_json(self._json(proofs.CROSSWALK))
        profile = Profile.from_json(given["profile"])
        check_rules(self._check("rules"), list(catalogs.values()), crosswalk, profile)
        check = self._check("coverage")
        system = SystemRef(given["system"]["id"], given["system"]["version"])
        as_of = parse_time(given["as_of"])
        named = [self._records[index] for index in given["records"] if index in self._records]
        records = self._past.at(named, as_of)
        coverage = evaluate(
            records,
            [catalogs[name] for name in given["catalogs"]],
            profile,
            system,
            as_of,
            given["artifact_sha256"],
            crosswalk,
            [catalogs[name] for name in given["sources"]],
            self._derivations(given, records, system, as_of),
        )
        by_same = same_program(self._json(PAGES)["renderer"])
        compare_coverage(check, coverage.to_json(), self._json(proofs.COVERAGE), by_same)
        if late := [str(record) for record in named if record.recorded_at > as_of]:
            self.report.conclusions.append(
                f"{', '.join(late)} came after that moment, by the checkpoints that the packet's "
                "maker chose to show, and were not considered"
            )
        verdict = decide(coverage, profile)
        self.report.conclusions.append(
            f"computed again: gate {profile} for {coverage.system} as of "
            f"{coverage.as_of:%Y-%m-%d %H:%M} UTC: {'PASSED' if verdict.passed else 'NOT PASSED'}; "
            f"{len(verdict.blocking)} of {len(verdict.scope)} controls block; "
            f"model {coverage.artifact or 'not named'}"
        )
        decision = proofs.gate_document(verdict)
        check.checked += 1
        stated = self._json(proofs.GATE)
        if stated != decision:
            check.findings.append(
                Finding(
                    "gate.differs",
                    "the gate does not answer what the packet says",
                    expected="passed" if decision["passed"] else "not passed",
                    found="passed" if stated.get("passed") else "not passed",
                )
            )
        return verdict

    def _derivations(
        self,
        given: Mapping[str, Any],
        records: Sequence[Record],
        system: SystemRef,
        as_of: datetime,
    ) -> list[Derivation]:
        """What the packet says of the check that it cannot show: its files are not in it."""
        check = self._check("derivation")
        said = [Derivation.from_json(item) for item in given.get("derivations", ())]
        known = {item.record for item in said}
        silent = [
            str(item)
            for item in sorted(counting(records, system, as_of), key=lambda record: record.index)
            if is_derived(item) and item.ref not in known
        ]
        if words := proofs.derivation_words(said):
            check.not_checked.append(words)
        check.not_checked.extend(item.text for item in said if item.code is Derived.NOT_CHECKED)
        if silent:
            check.not_checked.append(
                f"the packet does not say whether {', '.join(silent)} agreed with the file it was "
                "read from"
            )
        if not check.not_checked:
            check.not_checked.append("no record of the packet was read from a tool's file")
        return said

    # (10)
    def _samples(
        self, given: Mapping[str, Any], times: Sequence[SignedCheckpoint], last: SignedCheckpoint
    ) -> None:
        roots = {signed.size: signed.root.hex() for signed in (*times, last)}
        check = check_samples(
            self._json(proofs.SAMPLE) if proofs.SAMPLE in self._files else None,
            [self._records[index] for index in given["records"] if index in self._records],
            SystemRef(given["system"]["id"], given["system"]["version"]),
            roots,
        )
        if check is not None:
            self.report.checks.append(check)

    # (11)
    def _reviewer(self, status: SignatureStatus, moment: datetime) -> Signer | None:
        check = self._check("reviewer")
        found: list[Signer] = []
        for one in (status, status.counter):
            if one is None:
                continue
            check.checked += 1
            try:
                found.append(self._ring.reviewer(one.fingerprint or "", moment))
            except MunimentError as error:
                check.findings.append(Finding.of(error))
                continue
            name = self._names[one.fingerprint] = f"{found[-1].name} <{found[-1].email}>"
            text = f"signed by {name}, says the ledger"
            if one.name != certified_name(found[-1]):
                text += f"; the certificate calls them {visible(one.name or 'nothing')}"
            check.notes.append(Finding("packet.signer", text))
        if len(found) > 1 and found[0].person == found[1].person:
            text = "both signatures are of one person"
            check.findings.append(Finding("packet.same-person", text, None, None, found[0].person))
        return found[0] if found else None

    def _signed_when(self, status: SignatureStatus) -> None:
        check = self._check("signature-time")
        roots = roots_in(self._files[ROOTS], ROOTS) if ROOTS in self._files else ()
        for one in (status, status.counter):
            if one is None:
                continue
            name = self._names.get(one.fingerprint, "a key that the ledger does not know")
            if one.stamp is None:
                check.not_checked.append(
                    f"the time of the signature of {name} is its own word: PAdES B-B, no time stamp"
                )
            elif not roots:
                check.not_checked.append(
                    f"the time stamp over the signature of {name}: the packet names no root that "
                    "vouches for its authority"
                )
            else:
                check.checked += 1
                try:
                    time = verify_token(*one.stamp, roots)
                except MunimentError as error:
                    check.findings.append(Finding.of(error))
                    continue
                text = f"{name} signed by {format_time(time)}, says the time stamp"
                check.notes.append(Finding("signature.stamped", text))

    # (12)
    def _past_of(
        self, vkey: VerifierKey, checkpoint: SignedCheckpoint, times: list[SignedCheckpoint]
    ) -> None:
        outside = self._check("outside")
        anchors, now = self._json(ANCHORS), datetime.now(UTC)
        check_outside(outside, self._files, anchors, vkey, checkpoint)
        check_said(outside, self._files, anchors, self._json(PAGES), checkpoint, now)
        previous = check_previous(self._check("previous"), self._json(PREVIOUS), vkey, checkpoint)
        if self._old is not None:
            check = Check("since", "the ledger is the old one with records added")
            self.report.checks.append(check)
            known = [checkpoint, *times, *previous.values()]
            check_since(check, *self._old, known, previous, vkey)

    # (13)
    def _pages(
        self,
        decision: GateDecision,
        given: Mapping[str, Any],
        times: Sequence[SignedCheckpoint],
        checkpoint: SignedCheckpoint,
        reviewer: Signer | None,
    ) -> None:
        check_pages(
            self._check("pages"),
            self._pdf,
            self._json(MANIFEST)["pages"],
            self._json(proofs.COVERAGE),
        )
        check = self._check("rendering")
        if reviewer is None or not self.report.ok:
            check.not_checked.append("an earlier check failed")
            return
        said = self._json(PAGES)
        if (why := cannot_set(said)) is not None:
            check.not_checked.append(why)
            self.report.conclusions.append(
                "the pages were not set again, so that what they show beside the text compared is "
                f"the signer's word: {why}"
            )
            return
        records = self._printed(given)
        sample = None
        if proofs.SAMPLE in self._files:
            stated = self._json(proofs.SAMPLE)
            seeding = {item.size: item for item in (*times, checkpoint)}
            sample = printed_sample(stated, records, seeding, checkpoint.size)
        packet = packet_input(
            decision, records, self._ring, checkpoint, said, reviewer=reviewer, sample=sample
        )
        check_rendering(check, self._pdf, packet)

    def _printed(self, given: Mapping[str, Any]) -> list[Record]:
        return [self._records[index] for index in sorted({*given["records"], *given["keys"]})]

    def _limits(self, checkpoint: SignedCheckpoint, shown: int) -> None:
        check = Check("beyond", "what a packet alone cannot show")
        self.report.checks.append(check)
        orders = erasures(self._records.values())
        erased = {number: order for number, order in orders.items() if number not in self._records}
        for number, order in sorted(erased.items()):
            check.notes.append(Finding("record.erased", f"#{number} {erased_words(order)}", number))
        hidden = checkpoint.size - shown - len(erased)
        if hidden:
            others = f"{counted(hidden, 'record')} of {checkpoint.size:,}"
            check.not_checked.append(
                f"{others} {'is' if hidden == 1 else 'are'} about something else and not in the "
                "packet; that none of them revokes a key or speaks of this system, only the ledger "
                "can show"
            )
        check.not_checked.append(
            "the organisation's name, the reviewer's words and what the pages say is not included: "
            "nobody can compute these"
        )
        check.not_checked.append("git commits: their digests are here, their bytes are not")
        check.not_checked.append(
            "that no other history was shown to somebody else: compare checkpoints"
        )

    def _own_kinds(self) -> dict[str, bytes]:
        return {
            name.removeprefix("kind-").removesuffix(".json"): data
            for name, data in self._files.items()
            if name.startswith("kind-")
        }

    def _file(self, name: str) -> bytes:
        if name not in self._files:
            raise InputError("packet.file-missing", f"the packet holds no file {name}")
        return self._files[name]

    def _json(self, name: str) -> Any:
        return strictjson.loads(self._file(name), what=name)
