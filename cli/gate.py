"""``muniment gate`` and ``gate check``: whether a system may launch, and whether it was said."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from muniment.reports.gateforms.form import GateForm

from .answer import Answer, command
from .forms import Output, in_form, require_form
from .options import (
    AsJson,
    AsOf,
    InWorkspace,
    OfArtifact,
    OfSystem,
    WithKey,
    WithProfile,
    open_workspace,
    when,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from muniment.controls.coverage import ControlResult, Coverage, Reason
    from muniment.evidence.note import VerifierKey
    from muniment.reports.workspace import Gated

_ON_GITHUB = "GITHUB_ACTIONS"
_SUMMARY = "GITHUB_STEP_SUMMARY"
"""File to which a step on GitHub Actions appends Markdown for the run's page."""
_OR_DIGEST = "--profile takes a YAML file too, or the SHA-256 that muniment profile show says"

_CAPITALS = {
    "FILE": "the file with a tool's results",
    "KEY": "the name of the approver's key, which needs --role as well if it has several functions",
}
"""Words of commands that somebody must replace."""

app = typer.Typer()


@app.callback(invoke_without_command=True)
@command
def gate(
    context: typer.Context,
    system: OfSystem = None,
    profile: WithProfile = "production",
    as_of: AsOf = None,
    artifact: OfArtifact = None,
    form: Annotated[GateForm, typer.Option("--format", help="Form of the answer.")] = GateForm.TEXT,
    output: Output = None,
    vsa: Annotated[
        Path | None,
        typer.Option(
            "--vsa", metavar="FILE", help="Write the signed decision here, for gate check."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Do not sign and append the decision.")
    ] = False,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Say whether the system may launch: exit 0 if so, 1 if not.

    On GitHub Actions the answer is added to the step's summary (GITHUB_STEP_SUMMARY) as well.

    Example: muniment gate --profile production --artifact model.onnx --format junit -o gate.xml
    """
    from muniment.reports.files import write_atomically
    from muniment.reports.gateforms.form import render

    from . import show

    require_form(form, GateForm.TEXT, output, as_json=as_json)
    _require_sense(output, vsa, dry_run)
    opened = open_workspace(workspace, key)
    with show.progress("verifying") as bar:
        gated = opened.gate(
            system,
            profile=profile,
            as_of=when(as_of),
            artifact=artifact,
            dry_run=dry_run,
            progress=bar,
        )
    _summarise(gated)
    code = 0 if gated.decision.passed else 1
    answer = Answer(_data(gated), lambda: print_gate(gated), code)
    if vsa is not None and gated.attached is not None:
        write_atomically(vsa, opened.receipt(gated.attached.record))
        signer = gated.attached.record.signer.fingerprint
        show.note(f"wrote {vsa}; keep for gate check: --key {signer} --vkey {opened.ledger.vkey}")
    return in_form(
        answer,
        form,
        GateForm.TEXT,
        output,
        lambda text, document: render(gated, form, text=text, document=document).encode(),
    )


@app.command("check")
@command
def check(
    vsa: Annotated[
        Path, typer.Argument(metavar="VSA", help="The decision, as muniment gate --vsa wrote it.")
    ],
    artifact: Annotated[
        str,
        typer.Option("--artifact", metavar="FILE", help="What ships: a file, or its SHA-256."),
    ],
    key: Annotated[
        list[str],
        typer.Option(
            "--key",
            metavar="KEY",
            help="Who may have signed: fingerprint, PEM or OpenSSH .pub file; repeatable.",
        ),
    ],
    vkey: Annotated[
        str | None,
        typer.Option(
            "--vkey", metavar="VKEY", help="The ledger's verifier key, or a file that holds it."
        ),
    ] = None,
    system: Annotated[
        str | None, typer.Option("--system", metavar="ID@VERSION", help="The system expected.")
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(
            "--profile",
            metavar="NAME|FILE",
            help="The profile expected: its name, YAML file or SHA-256.",
        ),
    ] = None,
    max_age: Annotated[
        str | None,
        typer.Option("--max-age", metavar="TIME", help="Oldest decision that counts, such as 7d."),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Check a decision where only its file is at hand.

    It needs no workspace, ledger or network; only the name of a profile of your own is looked up in
    a workspace, where there is one. Exit 0 only if the gate passed this very artifact and
    all that was asked holds; what was not asked is listed as not checked.

    Example: muniment gate check decision.json --artifact model.onnx --key SHA256:… --max-age 7d
    """
    from muniment.evidence.artifacts import digest_of
    from muniment.reports.vsa import MAX_FILE, Pinned, check_decision
    from muniment.schemas.files import read_small
    from muniment.schemas.statement import SystemRef
    from muniment.schemas.times import now, parse_duration

    from .review import print_report

    pinned = Pinned(
        fingerprints=frozenset(map(_fingerprint, key)),
        artifact=digest_of(artifact),
        ledger=None if vkey is None else _ledger_key(vkey),
        system=None if system is None else SystemRef.parse(system),
        profile=None if profile is None else _profile_digest(profile, workspace),
        max_age=None if max_age is None else parse_duration(max_age),
    )
    report = check_decision(read_small(vsa, MAX_FILE), vsa.name, pinned, now())
    return Answer(report.to_json(), lambda: print_report(report), 0 if report.ok else 1)


def _require_sense(output: Path | None, vsa: Path | None, dry_run: bool) -> None:
    """Refuse what cannot be done before anything is signed."""
    from muniment.reports.files import require_target
    from muniment.schemas.errors import InputError

    if vsa is not None and dry_run:
        raise InputError("usage.vsa", "a dry run signs nothing that --vsa could write")
    if vsa is not None:
        require_target(vsa)
    if output is not None and vsa is not None and output.resolve() == vsa.resolve():
        raise InputError("usage.vsa", "-o and --vsa name the same file")


def _data(gated: "Gated") -> dict[str, Any]:
    from .records import record_summary

    decision = gated.decision
    return {
        "passed": decision.passed,
        "profile": decision.profile.id,
        "system": decision.coverage.system.to_json(),
        "blocking": [control.to_json() for control in decision.blocking],
        "excepted": [control.to_json() for control in decision.excepted],
        "reasons": [reason.to_json() for reason in decision.reasons],
        "record": record_summary(gated.attached.record) if gated.attached else None,
        "hindsight": [item.to_json() for item in gated.hindsight],
    }


def _summarise(gated: "Gated") -> None:
    """Add the answer to the step's summary where GitHub runs this."""
    from muniment.reports.gateforms.markdown import to_markdown

    from . import show

    path = os.environ.get(_SUMMARY)
    if os.environ.get(_ON_GITHUB) != "true" or not path:
        return
    try:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(to_markdown(gated))
    except OSError as error:
        # The decision stands; a page that lacks it is not worth losing it.
        show.note(f"the step's summary cannot be written: {error.strerror}")


def _fingerprint(text: str) -> str:
    from muniment.evidence.keys import is_fingerprint, load_public
    from muniment.schemas.files import read_small

    return (
        text if is_fingerprint(text) else load_public(read_small(Path(text), 1 << 16)).fingerprint
    )


def _ledger_key(text: str) -> "VerifierKey":
    """A verifier key, given as it is or in a file.

    Raises:
        InputError: ``vkey.malformed``, or the file cannot be read.
    """
    from muniment.evidence.note import VerifierKey
    from muniment.schemas.errors import CheckpointError, InputError
    from muniment.schemas.files import read_small

    if "+" not in text or Path(text).exists():
        text = read_small(Path(text), 1 << 12).decode("utf-8", "replace")
    try:
        return VerifierKey.parse(text)
    except CheckpointError as error:
        raise InputError(
            error.code,
            error.message,
            expected="NAME+HASH+KEY, as ledger.vkey of an export holds it",
            found=error.found,
        ) from error


def _profile_digest(text: str, workspace: Path | None) -> str:
    """The digest of the profile that is named, by its file or in the workspace, or by its digest.

    Raises:
        InputError: ``profile.…``, or the file cannot be read.
    """
    import re

    from muniment.controls.profile import load_profile, resolve_profile, shipped_layers
    from muniment.schemas.errors import InputError

    from .options import workspace_here
    from .profiles import named_layers

    if re.fullmatch(r"[0-9a-fA-F]{64}", text):
        return text
    # NOTE: no folder that somebody stands in says what a profile that ships is.
    if text in shipped_layers():
        return load_profile(text).sha256
    layers, name = named_layers(text, workspace_here(workspace))
    try:
        return resolve_profile(name, {key: item.document for key, item in layers.items()}).sha256
    except InputError as error:
        raise InputError(
            error.code,
            error.message,
            hint=f"{error.hint} {_OR_DIGEST}" if error.hint else _OR_DIGEST,
            expected=error.expected,
            found=error.found,
        ) from error


def print_gate(gated: "Gated") -> None:
    """The verdict, what blocks, what would unblock it, and what a signed record excepts."""
    from . import show

    decision = gated.decision
    show.line()
    word = "PASSED" if decision.passed else "NOT PASSED"
    show.line(
        f"gate {decision.profile.id} for {decision.coverage.system}: {word}",
        "bold green" if decision.passed else "bold red",
    )
    show.line(f"model {decision.coverage.artifact or 'not named'}")
    for reason in (*decision.reasons, *_about_model(decision.coverage)):
        show.line(reason.text)
    for item in gated.hindsight:
        show.line(item.sentence)
    if decision.blocking:
        show.line(f"{len(decision.blocking)} of {len(decision.scope)} controls block:")
        for control in decision.blocking:
            _print_blocking(control)
        _print_legend(decision.blocking)
    if decision.excepted:
        show.line()
        from muniment.schemas.text import counted

        number = counted(len(decision.excepted), "control")
        show.line(f"{number} not met, but kept from blocking by a signed record:")
        show.line()
        show.table(
            ["control", "state", "what is wanted", "why"],
            [
                [*_named(control), "\n".join(reason.full() for reason in control.reasons)]
                for control in decision.excepted
            ],
            style=1,
        )
    show.line()
    if gated.attached:
        show.line(f"the decision is signed and recorded as {gated.attached.record}")
    else:
        show.line("dry run: the decision was not recorded")


def _print_blocking(control: "ControlResult") -> None:
    """A control with the reason that decides; its commands stand alone, as they are typed."""
    from muniment.controls.explain import decisive

    from . import show

    show.line()
    short, state, title = _named(control)
    show.line(f"{short} · {state} · {title}", show.STYLES.get(state, ""))
    if reason := decisive(control):
        show.hanging(reason.full(), 2, "why: ")
    if control.unblock:
        show.hanging(control.unblock, 2, "fix: ")
    for typed in control.commands:
        show.line(f"    {typed}")


def _print_legend(controls: "Sequence[ControlResult]") -> None:
    """What the words in capitals stand for that somebody must replace."""
    from . import show

    words = {word for control in controls for word in (control.command or "").split()}
    said = [f"{word} is {meaning}" for word, meaning in _CAPITALS.items() if word in words]
    if any(" --body " in (control.command or "") for control in controls):
        said.append("a .yaml is to be filled in before it is attached")
    if said:
        show.line()
        show.hanging("; ".join(said), 0)


def _named(control: "ControlResult") -> list[str]:
    return [control.id.partition(":")[2], str(control.state), control.title]


def _about_model(coverage: "Coverage") -> list["Reason"]:
    return [
        reason for reason in coverage.left_out if reason.code.startswith(("model.", "profile."))
    ]
