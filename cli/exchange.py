"""``muniment export`` and ``import``: the ledger in other people's formats, and back."""

from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, OfSystem, open_workspace

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
        typer.Argument(help="Folder of a ledger's export, or a file of signed attestations."),
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
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Take in a ledger's export, or attestations that others signed.

    A folder that muniment export tiles wrote becomes the ledger of a workspace that has none: put
    its muniment.yaml, and the files that it names (policy, kinds), into an empty folder first, or
    better those from your team's git.

    A file of DSSE envelopes, or a Sigstore bundle, becomes evidence: one record for each, signed
    by your own key (MUNIMENT_KEY, or muniment key use).

    Example: muniment import provenance.intoto.jsonl --key builder.pem --control "MEASURE 2.3"
    """
    from muniment.schemas.errors import InputError

    if not path.exists():
        raise InputError("file.missing", f"there is no file or folder {path}")
    if not path.is_dir():
        return _attestations(path, key or [], system, control or [], workspace)
    if key or system or control:
        raise InputError(
            "usage",
            f"{path} is a folder: a ledger's export is imported as it is",
            hint="leave out --key, --system and --control",
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
