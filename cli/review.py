"""``muniment packet`` and ``verify``: for those who judge."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.reports.packetforms.form import PacketForm

from .answer import Answer, command
from .options import (
    AsJson,
    AsOf,
    Frameworks,
    InWorkspace,
    OfArtifact,
    OfSystem,
    WithKey,
    WithProfile,
    open_workspace,
    when,
)

if TYPE_CHECKING:
    from muniment.evidence.workspace import Attached
    from muniment.reports.verifyfile import Here
    from muniment.schemas.finding import Check, VerificationReport

WithCertificate = Annotated[
    Path | None,
    typer.Option(
        "--certificate",
        metavar="FILE",
        help="Certificate of the signing key and those above it, PEM; by default its own.",
    ),
]
NoRecord = Annotated[
    bool, typer.Option("--no-record", help="Do not record in the ledger that it was issued.")
]
_MARKS = {"held": "✓", "failed": "✗", "not-checked": "–"}
_BRIEF = 5


app = typer.Typer()


@app.callback(invoke_without_command=True)
@command
def packet(
    context: typer.Context,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="File to write.")
    ] = None,
    form: Annotated[
        PacketForm, typer.Option("--format", help="Form of the packet; only a PDF is signed.")
    ] = PacketForm.PDF,
    system: OfSystem = None,
    framework: Frameworks = None,
    as_of: AsOf = None,
    artifact: OfArtifact = None,
    profile: WithProfile = "production",
    sample: Annotated[
        str | None,
        typer.Option(
            "--sample",
            metavar="N|FILE",
            help="Print a test sample: so many records, or the one that muniment sample drew.",
        ),
    ] = None,
    cover: Annotated[
        Path | None,
        typer.Option(
            "--cover", metavar="FILE", help="YAML with reviewer, scope, conclusions, logo, accent."
        ),
    ] = None,
    paper: Annotated[
        str, typer.Option("--paper", metavar="SIZE", help="Size of the pages: a4 or letter.")
    ] = "a4",
    with_artifacts: Annotated[
        bool, typer.Option("--with-artifacts", help="Embed the stored files, up to 64 MiB.")
    ] = False,
    bundle: Annotated[
        Path | None,
        typer.Option("--bundle", metavar="DIR|ZIP", help="Write the embedded files here as well."),
    ] = None,
    certificate: WithCertificate = None,
    no_record: NoRecord = False,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Write the audit packet: a signed PDF with its own proof.

    The ledger gets a record of it, by its SHA-256; coverage does not change by that.

    As HTML it is one file that holds the same proofs and verifies itself in a browser. Markdown,
    JSON and XLSX (the evidence register) say the same and prove nothing. These are not recorded.

    Example: muniment packet --framework nist-ai-rmf-1.0 -o packet.pdf
    """
    from muniment.reports.bundle import require_bundle, write_bundle
    from muniment.reports.cover import read_cover
    from muniment.reports.files import require_target, write_atomically
    from muniment.reports.issued import record_packet
    from muniment.schemas.errors import InputError

    from . import show

    if output is None:
        raise InputError("usage", "missing option '--output' / '-o'")
    require_target(output)
    form.require_name(output)
    if bundle is not None:
        form.require("--bundle")
        require_bundle(bundle, output)
    warnings = () if cover is None else form.warnings(read_cover(cover))
    opened = open_workspace(workspace, key)
    with show.progress("verifying the ledger, rendering") as bar:
        data = opened.packet(
            system,
            profile=profile,
            frameworks=framework or (),
            as_of=when(as_of),
            artifact=artifact,
            sample=sample,
            cover=cover,
            paper=paper,
            progress=bar,
            with_artifacts=with_artifacts,
            certificate=certificate,
            form=form,
        )
    signed = form is PacketForm.PDF
    # NOTE: first, so that no packet is out of which the ledger does not know.
    attached = record_packet(opened, data, output.name) if signed and not no_record else None
    with _naming(attached):
        sha256 = write_atomically(output, data)
        if bundle is not None:
            write_bundle(data, bundle)

    def text() -> None:
        dated = "PAdES B-B" if opened.config.timestamps is None else "time-stamped, PAdES B-T"
        by = f"signed with {opened.key_name} ({dated})" if signed else "signed by nobody"
        show.line(f"wrote {output} ({len(data):,} bytes), {by}")
        if signed:
            _print_issued(attached, bundle)
        show.line(f"sha256 {sha256}")
        if form in (PacketForm.PDF, PacketForm.HTML):
            show.line(
                f"anyone checks it with: muniment verify {output} --root {opened.config.root}"
            )
        else:
            show.line("it holds no proof: packets as PDF and HTML do")
        for warning in warnings:
            show.note(f"note: {warning}")

    answer = {"file": str(output), "format": str(form), "size": len(data), "sha256": sha256}
    answer |= {"root": opened.config.root, "bundle": None if bundle is None else str(bundle)}
    answer |= {"record": _reference(attached), "warnings": list(warnings)}
    return Answer(answer, text)


@app.command("sign")
@command
def sign(
    file: Annotated[Path, typer.Argument(metavar="PACKET", help="The packet, as it was issued.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="File to write; by default PACKET."),
    ] = None,
    certificate: WithCertificate = None,
    no_record: NoRecord = False,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Add a second person's signature to a packet.

    The first signature stays as it is, and both cover what they were made over.

    Example: muniment packet sign packet.pdf --key risk
    """
    from muniment.reports.countersign import countersign, read_pdf
    from muniment.reports.files import require_target, write_atomically
    from muniment.reports.issued import record_packet

    from . import show

    target = output or file
    require_target(target)
    before = read_pdf(file)
    opened = open_workspace(workspace, key)
    with show.progress("verifying the ledger") as bar:
        pdf = countersign(opened, before, certificate, bar)
    attached = None if no_record else record_packet(opened, pdf, target.name, before)
    with _naming(attached):
        sha256 = write_atomically(target, pdf)

    def text() -> None:
        show.line(f"wrote {target} ({len(pdf):,} bytes), counter-signed with {opened.key_name}")
        _print_issued(attached, None)
        show.line(f"sha256 {sha256}")

    answer = {"file": str(target), "size": len(pdf), "sha256": sha256}
    return Answer({**answer, "record": _reference(attached)}, text)


@contextmanager
def _naming(attached: "Attached | None") -> Iterator[None]:
    """Have an error in writing a packet name the record that says it was issued."""
    from muniment.schemas.errors import MunimentError

    try:
        yield
    except MunimentError as error:
        if attached is not None:
            left = f"record {attached.record} of the ledger says that the packet was issued"
            error.hint = f"{left}; made again, it gets a record of its own"
        raise


def _reference(attached: "Attached | None") -> "dict[str, Any] | None":
    return None if attached is None else attached.record.ref.to_json()


def _print_issued(attached: "Attached | None", bundle: Path | None) -> None:
    from . import show

    if bundle is not None:
        show.line(f"wrote {bundle}, the files inside it")
    if attached is None:
        show.line("the ledger has no record of it (--no-record)")
    else:
        show.line(f"recorded as {attached.record}")


@command
def verify(
    file: Annotated[
        Path | None,
        typer.Argument(help="A packet or a receipt; without it, the workspace's ledger."),
    ] = None,
    root: Annotated[
        str | None,
        typer.Option(
            "--root",
            metavar="FINGERPRINT",
            help="Fingerprint of the root key you expect in the packet; in a workspace its own.",
        ),
    ] = None,
    vkey: Annotated[
        str | None,
        typer.Option(
            "--vkey",
            metavar="KEY",
            help="Verifier key of the receipt's ledger, or a file with it; in a workspace its own.",
        ),
    ] = None,
    since: Annotated[
        Path | None,
        typer.Option(
            "--since",
            metavar="OLD",
            help="An old checkpoint, packet or receipt that the ledger must extend.",
        ),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option(
            "--policy",
            metavar="FILE",
            help="Witnesses to trust; by default the policy in muniment.yaml.",
        ),
    ] = None,
    ref: Annotated[
        str | None,
        typer.Option(
            "--ref",
            metavar="REF",
            help="Git ref that must hold checkpoints; by default refs/notes/muniment, if it does.",
        ),
    ] = None,
    incremental: Annotated[
        bool,
        typer.Option(
            "--incremental",
            help="Verify in full only what is new since this machine verified the ledger.",
        ),
    ] = False,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Verify the whole ledger, or a packet or receipt.

    A receipt is a Sigstore bundle (.sigstore.json), or a .tlog-proof beside its .leaf.json.

    Exit 0 if everything that was checked holds, 1 if anything does not.

    Example: muniment verify packet.pdf --root SHA256:…
    """
    from muniment.schemas.errors import InputError

    from . import show

    if file is not None:
        from muniment.reports.verifyfile import verify_file

        if policy is not None or ref is not None:
            raise InputError(
                "usage.outside", "--policy and --ref are for a workspace's ledger, not for a file"
            )
        if incremental:
            raise InputError("usage.incremental", "--incremental is for a ledger, not for a file")
        report = verify_file(file, root=root, vkey=vkey, since=since, here=_here(workspace))
    elif root is not None or vkey is not None:
        raise InputError(
            "usage.root",
            "--root and --vkey are for a packet or a receipt; muniment.yaml pins the root of a "
            "workspace",
        )
    else:
        from muniment.reports.since import old_checkpoint

        opened = open_workspace(workspace)
        with show.progress("verifying") as bar:
            report = opened.verify(
                bar,
                since=None if since is None else old_checkpoint(since),
                policy=policy,
                ref=ref,
                incremental=incremental,
            )
    return Answer(report.to_json(), lambda: print_report(report), 0 if report.ok else 1)


def _here(folder: Path | None) -> "Here | None":
    """What the workspace one stands in knows of its ledger; None outside of one."""
    from muniment.reports.verifyfile import Here
    from muniment.schemas.errors import InputError

    try:
        opened = open_workspace(folder)
    except InputError as error:
        if folder is None and error.code == "workspace.missing":
            return None
        raise
    return Here(opened.config.origin, opened.config.root, lambda: opened.ledger.vkey)


def print_report(report: "VerificationReport", *, brief: bool = False) -> None:
    """Every check with its outcome, every fault, and what could not be checked."""
    from . import show

    show.line()
    show.line(f"{report.subject}: {'HOLDS' if report.ok else 'DOES NOT HOLD'}", "bold")
    for conclusion in report.conclusions:
        show.line(conclusion)
    shared = _shared_reasons(report)
    for promise, outcome, checks in report.promises():
        show.line(f"{_MARKS[outcome]} {promise}")
        for check in checks:
            print_check(check, brief, shared)
    for reason, names in shared.items():
        show.line(f"not checked again ({', '.join(names)}): {reason}")


def _shared_reasons(report: "VerificationReport") -> dict[str, list[str]]:
    """Reasons that several checks of an incremental verification have, with their names: said once,
    at the end."""
    if report.extent == "full":
        return {}
    found: dict[str, list[str]] = {}
    for check in report.checks:
        for reason in check.not_checked:
            found.setdefault(reason, []).append(check.name)
    return {reason: names for reason, names in found.items() if len(names) > 1}


def print_check(check: "Check", brief: bool = False, shared: Collection[str] = ()) -> None:
    """One check with its outcome, faults, notes, and what could not be checked."""
    from . import show

    count = f" ({check.checked:,})" if check.checked else ""
    line = f"  {_MARKS[check.outcome]} {check.name}: {check.claim}{count}"
    reasons = [reason for reason in check.not_checked if reason not in shared]
    if not check.checked and not check.findings and len(reasons) == 1:
        show.line(f"{line} – not checked: {reasons[0]}")
        return
    show.line(line)
    _print_findings(check, _BRIEF if brief else len(check.findings))
    for note in check.notes:
        show.line(f"      {note.code}: {note.message}")
    for reason in reasons:
        show.line(f"      not checked: {reason}")


def _print_findings(check: "Check", most: int) -> None:
    from . import show

    for finding in check.findings[:most]:
        place = "" if finding.record is None else f" #{finding.record}"
        show.line(f"      {finding.code}{place}: {finding.message}", "red")
        if finding.expected is not None:
            show.line(f"          expected {finding.expected}")
        if finding.found is not None:
            show.line(f"          found    {finding.found}")
    if len(check.findings) > most:
        show.line(f"      and {len(check.findings) - most} more")
