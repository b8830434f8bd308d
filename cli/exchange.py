"""``muniment export`` and ``import``: the ledger in other people's formats, and back."""

from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .options import (
    AsJson,
    AsOf,
    Frameworks,
    InWorkspace,
    OfArtifact,
    OfSystem,
    WithProfile,
    moment,
    open_workspace,
)

app = typer.Typer(help="Write the ledger as files that other tools read.", no_args_is_help=True)
Target = Annotated[Path, typer.Argument(metavar="DIR", help="Folder to write: new, or empty.")]


@app.command("bundles")
@command
def bundles(folder: Target, workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """Write a Sigstore bundle per record, and the trusted root.

    Example: muniment export bundles receipts
    """
    return _export("bundles", folder, workspace)


@app.command("proofs")
@command
def proofs(folder: Target, workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """Write a C2SP tlog-proof per record, each beside its leaf.

    Example: muniment export proofs proofs
    """
    return _export("proofs", folder, workspace)


@app.command("tiles")
@command
def tiles(folder: Target, workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """Write the whole ledger as a static C2SP tile tree.

    All envelopes and checkpoints stand beside the tree, so that muniment import takes it back. It
    can be served as it is. Artifacts are not in it: the artifact store is a folder to copy.

    Example: muniment export tiles ledger-export
    """
    return _export("tiles", folder, workspace)


@app.command("intoto")
@command
def intoto(folder: Target, workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """Write the signed statements as one .intoto.jsonl file.

    Example: muniment export intoto statements
    """
    return _export("intoto", folder, workspace)


@app.command("oscal")
@command
def oscal(
    folder: Target,
    system: OfSystem = None,
    framework: Frameworks = None,
    as_of: AsOf = None,
    artifact: OfArtifact = None,
    profile: WithProfile = "production",
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Write one system's coverage as OSCAL.

    Without --as-of it is judged at the time of the last checkpoint, not now, so that the same
    ledger always gives the same files.

    Example: muniment export oscal oscal --framework nist-ai-rmf-1.0
    """
    from muniment.schemas.times import format_time

    from . import show

    with show.progress("verifying") as bar:
        done = open_workspace(workspace).export_oscal(
            folder,
            system,
            profile=profile,
            frameworks=framework or (),
            as_of=moment(as_of),
            artifact=artifact,
            progress=bar,
        )
    judged = format_time(done.coverage.as_of)

    def text() -> None:
        show.line(f"wrote {done.coverage.system} as of {judged} to {done.folder}")
        show.pairs([("file", name) for name in done.files])
        show.line(
            f"{done.satisfied} controls satisfied; in the plan of action {done.unmet} "
            f"open and {done.waived} waived"
        )
        if not done.unmet + done.waived:
            show.note("every control is met, so there is no plan of action to write")
        if as_of is None:
            show.note(f"judged at the last checkpoint, {judged}; --as-of judges another day")

    return Answer(
        {
            "folder": str(done.folder),
            "system": done.coverage.system.to_json(),
            "as_of": judged,
            "files": list(done.files),
            "satisfied": done.satisfied,
            "unmet": done.unmet,
            "waived": done.waived,
            "receipts": done.receipts,
        },
        text,
    )


def _export(form: str, folder: Path, workspace: Path | None) -> Answer:
    from muniment.schemas.text import counted

    from . import show

    with show.progress("exporting") as progress:
        done = open_workspace(workspace).export(form, folder, progress)
    last = done.checkpoint

    def text() -> None:
        show.line(f"wrote {counted(last.size, 'record')} to {done.folder} as {done.form}")
        show.pairs([("ledger", last.checkpoint.origin), ("root", last.root.hex())])
        if done.erased:
            was, their = (
                ("was", "its leaf and proof")
                if done.erased == 1
                else ("were", "their leaves and proofs")
            )
            show.line(f"{done.erased} of them {was} erased: {their} alone are left")

    return Answer(
        {
            "form": str(done.form),
            "folder": str(done.folder),
            "origin": last.checkpoint.origin,
            "records": last.size,
            "erased": done.erased,
            "root": last.root.hex(),
        },
        text,
    )


@command
def import_(
    path: Annotated[
        Path,
        typer.Argument(
            help="Folder of a ledger's export, file of signed attestations, or a framework."
        ),
    ],
    key: Annotated[
        list[Path] | None,
        typer.Option(
            "--key",
            metavar="FILE",
            help="Public key that signed the attestations: PEM or OpenSSH .pub; repeatable.",
        ),
    ] = None,
    system: OfSystem = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="CONTROL", help="Control they fill; repeatable."),
    ] = None,
    as_id: Annotated[
        str | None,
        typer.Option("--as", metavar="ID", help="Id of the framework's catalog."),
    ] = None,
    kinds: Annotated[
        str | None,
        typer.Option(
            "--kinds",
            metavar="KIND,…",
            help="Kinds of which any one meets any control of the framework.",
        ),
    ] = None,
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Take in a ledger's export, attestations or a framework.

    A folder that muniment export tiles wrote becomes the ledger of a workspace that has none: put
    its muniment.yaml, and the files that it names (policy, kinds), into an empty folder first, or
    better those from your team's git.

    A file of DSSE envelopes, or a Sigstore bundle, becomes evidence: one record for each, signed
    by your own key (MUNIMENT_KEY, or muniment key use).

    An OSCAL catalog or profile (JSON, YAML), or a CISO Assistant library, becomes a catalog in
    frameworks/: ID.json holds its text, ID.yaml what meets each control, which is yours to write.

    Example: muniment import provenance.intoto.jsonl --key builder.pem --control "MEASURE 2.3"
    """
    from muniment.schemas.errors import InputError

    if not path.exists():
        raise InputError("file.missing", f"there is no file or folder {path}")
    if not path.is_dir():
        if not (key or system or control) and _is_framework(path):
            return _framework(path, as_id, kinds, workspace)
        if as_id or kinds:
            raise InputError("usage", f"{path} is no framework: --as and --kinds are for one")
        return _attestations(path, key or [], system, control or [], workspace)
    if key or system or control or as_id or kinds:
        raise InputError(
            "usage",
            f"{path} is a folder: a ledger's export is imported as it is",
            hint="leave out all other options",
        )
    return _ledger(path, workspace)


def _ledger(folder: Path, workspace: Path | None) -> Answer:
    from muniment.schemas.text import counted

    from . import show

    opened = open_workspace(workspace)
    with show.progress("importing") as progress:
        done = opened.restore(folder, progress)
    last = done.checkpoint

    def text() -> None:
        show.line(
            f"imported {counted(last.size, 'record')} of {last.checkpoint.origin}, all verified"
        )
        show.pairs(
            [
                ("root", last.root.hex()),
                ("checkpoints", str(done.checkpoints)),
                ("anchors", str(done.anchors)),
                ("erased", str(done.erased)),
            ]
        )
        for why in done.not_checked:
            show.note(f"not checked: {why}")
        show.note(
            "artifacts and the ledger's own key are in no export: copy them where they are needed"
        )

    return Answer(
        {
            "origin": last.checkpoint.origin,
            "records": last.size,
            "root": last.root.hex(),
            "checkpoints": done.checkpoints,
            "anchors": done.anchors,
            "erased": done.erased,
            "not_checked": list(done.not_checked),
        },
        text,
    )


def _is_framework(path: Path) -> bool:
    from muniment.reports.frameworks import holds_framework

    return holds_framework(path)


def _framework(path: Path, as_id: str | None, kinds: str | None, workspace: Path | None) -> Answer:
    from . import show

    opened = open_workspace(workspace)
    done = opened.import_frameworks(path, as_id=as_id, kinds=kinds.split(",") if kinds else ())
    catalogs, crosswalks = done.catalogs, done.crosswalks

    def text() -> None:
        for catalog in catalogs:
            show.line(f"{catalog.id}: {len(catalog.controls)} controls of {catalog.name}")
        for crosswalk in crosswalks:
            show.line(f"{crosswalk.id}: {len(crosswalk.pairs)} pairs of {crosswalk.name}")
        show.pairs([("wrote", str(file)) for file in done.files])
        for note in (
            *(n for c in catalogs for n in c.notes),
            *(n for c in crosswalks for n in c.notes),
        ):
            show.note(note)
        if catalogs and not kinds:
            show.note(
                "what evidence meets each control is left open: all are missing until the YAML "
                "says it"
            )
        for catalog in catalogs:
            show.note(f"used with --framework {catalog.id}, or in frameworks of muniment.yaml")

    return Answer(
        {
            "catalogs": [
                {
                    "catalog": catalog.id,
                    "name": catalog.name,
                    "controls": len(catalog.controls),
                    "origin": catalog.origin,
                    "notes": list(catalog.notes),
                }
                for catalog in catalogs
            ],
            "crosswalks": [
                {
                    "crosswalk": crosswalk.id,
                    "name": crosswalk.name,
                    "pairs": len(crosswalk.pairs),
                    "origin": crosswalk.origin,
                    "notes": list(crosswalk.notes),
                }
                for crosswalk in crosswalks
            ],
            "files": [str(file) for file in done.files],
        },
        text,
    )


def _attestations(
    path: Path, keys: list[Path], system: str | None, controls: list[str], workspace: Path | None
) -> Answer:
    from muniment.evidence.keys import load_public
    from muniment.schemas.errors import InputError
    from muniment.schemas.files import read_small

    from . import show

    if not keys:
        raise InputError(
            "attestation.key",
            "it must be said whose key signed the attestation",
            hint="--key FILE, the public key of whoever made it; --key is repeatable",
        )
    public = [load_public(read_small(file, 1 << 16)) for file in keys]
    taken = open_workspace(workspace).import_attestations(
        path, public, system=system, controls=controls
    )

    def text() -> None:
        for item in taken:
            body = item.record.statement.body
            word = "recorded as" if item.is_new else "is there already as"
            show.line(f"{body['predicateType']} {word} {item.record}")
            show.pairs([("signed by", key["fingerprint"]) for key in body["keys"]])
        for warning in dict.fromkeys(text for item in taken for text in item.warnings):
            show.note(warning)

    return Answer(
        {
            "records": [
                {
                    "record": item.record.index,
                    "sha256": item.record.sha256,
                    "new": item.is_new,
                    "predicate_type": item.record.statement.body["predicateType"],
                    "result": item.record.statement.body.get("result"),
                    "keys": [key["fingerprint"] for key in item.record.statement.body["keys"]],
                    "warnings": list(item.warnings),
                }
                for item in taken
            ]
        },
        text,
    )
