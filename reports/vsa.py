"""The check of one gate decision where nothing else is at hand: no workspace, ledger or network.

The decision comes as a receipt, the Sigstore bundle that ``muniment gate --vsa`` and ``muniment
export bundles`` write; what is trusted comes from the caller. The form is SLSA VSA v1.

Source: https://slsa.dev/spec/v1.0/verification_summary (how to verify)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from muniment.controls.coverage import State
from muniment.controls.gate import VERIFIER
from muniment.evidence.note import VerifierKey
from muniment.evidence.receipt import Receipt
from muniment.schemas.errors import InclusionError, MunimentError, SignatureError
from muniment.schemas.finding import Check, Finding, VerificationReport
from muniment.schemas.kinds import KindRegistry, check_body
from muniment.schemas.statement import GATE_DECISION, Statement, SystemRef
from muniment.schemas.text import counted, shorten
from muniment.schemas.times import format_time

MAX_FILE = 4 << 20
"""Largest receipt that is read, in bytes: a statement of 1 MiB in base64, and its proof."""
CLOCK_SLACK = timedelta(minutes=5)
"""How far the clocks of the signer and of the checker may be apart."""
_LEDGER_LINES = 2
"""Signature lines of a checkpoint as the ledger writes it: its signature and its cosignature."""
_CHECKS = {
    "signatures": "one of the pinned keys signed the decision",
    "receipts": "the ledger with the pinned key holds it, and the file is as Muniment wrote it",
    "schema": "it is a gate decision in the form of a SLSA VSA v1",
    "verdict": "it says PASSED, and rests on records before it",
    "artifact": "it is about this very artifact",
    "system": "it is about the system version that is expected",
    "profile": "it was made under the profile that is expected",
    "age": "it was made before now, and recently enough",
}


@dataclass(frozen=True, slots=True)
class Pinned:
    """What the caller trusts and expects; None where they expect nothing."""

    fingerprints: frozenset[str]
    """Keys of which one must have signed: at least one."""
    artifact: str
    """SHA-256 of what ships, in hexadecimal."""
    ledger: VerifierKey | None = None
    system: SystemRef | None = None
    profile: str | None = None
    """SHA-256 of the profile, in hexadecimal."""
    max_age: timedelta | None = None


def check_decision(data: bytes, name: str, pinned: Pinned, now: datetime) -> VerificationReport:
    """Check a receipt of a gate decision; nothing in it is believed that is not signed.

    Args:
        name: what to call it in the report.
        now: UTC.

    Returns:
        The report; it is ok only if every check of what was asked held.
    """
    report = VerificationReport(
        name, [Check(check, claim) for check, claim in _CHECKS.items()] + [_beyond()]
    )
    checks = {check.name: check for check in report.checks}
    read = _read(data, pinned, checks)
    if read is None:
        for check in report.checks:
            if not check.findings and not check.checked and not check.not_checked:
                check.not_checked.append("the decision cannot be read or is not signed")
        return report
    statement, receipt, covered = read
    _judge(checks["verdict"], statement, receipt, pinned.ledger)
    _compare(checks["artifact"], *_artifact(statement, pinned.artifact))
    _expect_system(checks["system"], statement, pinned)
    _expect_profile(checks["profile"], statement, pinned)
    _expect_age(checks["age"], statement, pinned, now, covered)
    report.conclusions.append(
        f"{statement.body['verificationResult']} for {statement.system} under "
        f"{statement.body['policy']['uri']} at {format_time(statement.collected_at)}, "
        f"signed by {receipt.key.fingerprint}, record #{receipt.index}"
    )
    report.conclusions.append(_counts(statement))
    return report


def _read(
    data: bytes, pinned: Pinned, checks: dict[str, Check]
) -> tuple[Statement, Receipt, datetime | None] | None:
    """The statement, once its signature holds, and when a checkpoint covered it; None if not.

    Nothing of the statement is parsed before its signature was checked.
    """
    try:
        receipt = Receipt.from_bundle(data)
    except MunimentError as error:
        checks["receipts"].findings.append(Finding.of(error))
        return None
    signatures = checks["signatures"]
    signatures.checked += 1
    try:
        _require_signer(receipt, pinned)
    except MunimentError as error:
        signatures.findings.append(Finding.of(error))
        return None
    covered = _prove(checks["receipts"], data, receipt, pinned.ledger)
    schema = checks["schema"]
    schema.checked += 1
    try:
        return _statement(receipt), receipt, covered
    except MunimentError as error:
        schema.findings.append(Finding.of(error))
        return None


def _require_signer(receipt: Receipt, pinned: Pinned) -> None:
    """Hold the signature against the pinned keys; the key itself comes from the receipt.

    Raises:
        SignatureError: ``vsa.signer`` or ``signature.invalid``.
    """
    if receipt.key.fingerprint not in pinned.fingerprints:
        raise SignatureError(
            "vsa.signer",
            "the decision is signed by a key that is not pinned",
            expected=" or ".join(sorted(pinned.fingerprints)),
            found=receipt.key.fingerprint,
        )
    receipt.envelope.verify(receipt.key)


def _prove(
    check: Check, data: bytes, receipt: Receipt, ledger: VerifierKey | None
) -> datetime | None:
    """Hold the receipt against the ledger's key.

    Returns:
        When the ledger signed the checkpoint; None where that is not shown.
    """
    if ledger is None:
        check.not_checked.append(
            "that a ledger holds the decision: name the ledger's key with --vkey"
        )
        return None
    check.checked += 1
    try:
        signed = receipt.verify(ledger)
        # NOTE: the key's name and lines of strangers under the checkpoint are in no signature.
        if (
            receipt.envelope.keyid != receipt.key.fingerprint
            or len(signed.note.signatures) != _LEDGER_LINES
            or receipt.to_bundle(ledger, signed.size, signed.root) != data
        ):
            raise InclusionError(
                "vsa.form",
                "the file is not byte for byte what Muniment wrote",
                hint="take the file as muniment gate --vsa wrote it, without reformatting it",
            )
    except MunimentError as error:
        check.findings.append(Finding.of(error))
        return None
    return signed.time


def _statement(receipt: Receipt) -> Statement:
    """The decision's statement, its whole form checked.

    Raises:
        InputError, SchemaError: what is wrong.
    """
    statement = Statement.from_payload(receipt.envelope.payload)
    if statement.kind != GATE_DECISION:
        raise SignatureError(
            "vsa.type",
            "the receipt is not that of a gate decision",
            expected=GATE_DECISION,
            found=shorten(statement.predicate_type, 200),
        )
    check_body(statement, KindRegistry())
    return statement


def _judge(
    check: Check, statement: Statement, receipt: Receipt, ledger: VerifierKey | None
) -> None:
    body = statement.body
    check.checked += 1
    if body["verificationResult"] != "PASSED" or "FAILED" in body["verifiedLevels"]:
        _fault(check, "vsa.failed", "the gate did not pass", "PASSED", body["verificationResult"])
    if body["verifier"]["id"] != VERIFIER:
        _fault(check, "vsa.verifier", "another verifier decided", VERIFIER, body["verifier"]["id"])
    places = [item["uri"].rpartition("/")[2] for item in body["inputAttestations"]]
    if not places:
        _fault(check, "vsa.no-evidence", "it rests on no record at all", "records", "none")
    if not body["muniment_decision"]["counts"].get(str(State.MET)):
        _fault(check, "vsa.nothing-met", "no control was met by evidence", "one at least", "none")
    state = body["muniment_decision"].get("ledger")
    if state is None:
        _fault(check, "vsa.no-ledger", "it names no state of a ledger", "its size and root", "none")
        return
    if ledger is not None and state["origin"] != ledger.name:
        text = "it was computed from another ledger than the one that holds it"
        _fault(check, "vsa.ledger", text, ledger.name, state["origin"])
    if state["size"] > receipt.index or any(
        not place.isdigit() or int(place) >= state["size"] for place in places
    ):
        _fault(
            check,
            "vsa.inputs",
            "it says it rests on records that were not there yet",
            f"records before #{receipt.index}",
            f"a ledger of {state['size']}, records {', '.join(places)[:200]}",
        )


def _counts(statement: Statement) -> str:
    """How many controls the verdict rests on, and how many it lets stand by a signed record."""
    counts = statement.body["muniment_decision"]["counts"]
    met, waived, out = (
        counts.get(str(state), 0) for state in (State.MET, State.WAIVED, State.NOT_APPLICABLE)
    )
    return (
        f"of {counted(sum(counts.values()), 'control')} {met} met by evidence, {waived} waived, "
        f"{out} ruled out as not applicable"
    )


def _artifact(statement: Statement, sha256: str) -> tuple[str, str, str, str]:
    # NOTE: the descriptor of a system is a digest too, and no artifact may pass for it.
    subjects = [item for item in statement.subjects if not item.name.startswith("system:")]
    named = [item.sha256.lower() for item in subjects]
    found = sha256.lower() if sha256.lower() in named else ", ".join(named) or "no artifact"
    return "vsa.artifact", "the decision is about another artifact", sha256.lower(), found


def _expect_system(check: Check, statement: Statement, pinned: Pinned) -> None:
    if pinned.system is None:
        check.not_checked.append("which system it is about: name it with --system ID@VERSION")
        return
    text = "the decision is about another system version"
    _compare(check, "vsa.system", text, str(pinned.system), str(statement.system))


def _expect_profile(check: Check, statement: Statement, pinned: Pinned) -> None:
    if pinned.profile is None:
        check.not_checked.append("which profile it was made under: name it with --profile")
        return
    text = "the decision was made under another profile"
    digest = statement.body["policy"]["digest"]["sha256"].lower()
    _compare(check, "vsa.profile", text, pinned.profile.lower(), digest)


def _expect_age(
    check: Check, statement: Statement, pinned: Pinned, now: datetime, covered: datetime | None
) -> None:
    made = statement.collected_at
    check.checked += 1
    if made > now + CLOCK_SLACK:
        _fault(
            check,
            "vsa.future",
            "the decision is dated in the future",
            f"at most {format_time(now)}",
            format_time(made),
        )
    if covered is not None and made > covered + CLOCK_SLACK:
        text = "the decision is dated after the checkpoint that holds it"
        _fault(check, "vsa.time", text, f"at most {format_time(covered)}", format_time(made))
    if pinned.max_age is None:
        check.not_checked.append("how old the decision may be: say it with --max-age")
    elif now - made > pinned.max_age:
        oldest = format_time(now - pinned.max_age)
        text = "the decision is too old: run the gate again"
        _fault(check, "vsa.old", text, f"not before {oldest}", format_time(made))


def _compare(check: Check, code: str, text: str, expected: str, found: str) -> None:
    check.checked += 1
    if expected != found:
        _fault(check, code, text, expected, found)


def _fault(check: Check, code: str, text: str, expected: str, found: str) -> None:
    check.findings.append(Finding(code, text, expected=expected, found=shorten(found, 300)))


def _beyond() -> Check:
    """What one file can never show."""
    return Check(
        "beyond",
        "what only the ledger shows",
        not_checked=[
            "whether the decision was retracted, or its signer's key revoked, since: "
            "muniment verify, where the ledger is",
            "that the evidence supports the verdict: the ledger or an audit packet shows it",
        ],
    )
