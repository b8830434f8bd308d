"""``muniment key``: make, enrol and list keys."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, WithKey, ask_passphrase, moment, open_workspace

app = typer.Typer(help="Make, enrol and list keys.", no_args_is_help=True)


@app.command("new")
@command
def new(
    name: Annotated[str, typer.Argument(help="Name of the key on this machine.")],
    passphrase: Annotated[
        bool, typer.Option("--passphrase", help="Ask for a passphrase to encrypt it with.")
    ] = False,
    from_file: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="Use this key, OpenSSH or PEM, where it lies."),
    ] = None,
    uri: Annotated[
        str | None,
        typer.Option("--uri", help="Use this key of a token or key service, such as hsm:2."),
    ] = None,
    public: Annotated[
        Path | None,
        typer.Option("--public", metavar="FILE", help="With --uri: its public half."),
    ] = None,
    as_json: AsJson = False,
) -> Answer:
    """Make a P-256 key, or name a key that you have.

    Example: muniment key new ci
    """
    from muniment.evidence.keyfiles import KeyFiles, config_folder
    from muniment.evidence.keys import load_public, new_p256
    from muniment.schemas.errors import InputError
    from muniment.schemas.files import read_small

    from . import show
    from .setup import new_passphrase

    if [passphrase, from_file is not None, uri is not None].count(True) > 1:
        raise InputError("usage", "--passphrase, --from and --uri exclude each other")
    if public is not None and uri is None:
        raise InputError("usage", "--public goes with --uri")
    files = KeyFiles(config_folder(), ask_passphrase)
    path = files.path(name)
    if from_file is not None:
        uri = from_file.expanduser().absolute().as_uri()
    if uri is None:
        key = new_p256()
        files.save(path, key, new_passphrase(passphrase))
        fingerprint = key.public.fingerprint
    else:
        given = load_public(read_small(public, 1 << 16)) if public else None
        fingerprint = files.refer(name, uri, given).fingerprint
    data = {
        "name": name,
        "path": str(path if uri is None else path.with_suffix(".uri")),
        "public": str(path.with_suffix(".pub")),
        "fingerprint": fingerprint,
    }

    def text() -> None:
        show.pairs([("key", uri or data["path"]), ("fingerprint", fingerprint)])
        show.line(
            f"a root enrols it: muniment key add {data['public']} --name … --email … --role …"
        )

    return Answer(data, text)


@app.command("add")
@command
def add(
    file: Annotated[Path, typer.Argument(help="Public key: PEM or OpenSSH .pub.")],
    name: Annotated[str, typer.Option("--name", metavar="NAME", help="Who holds it.")],
    email: Annotated[str, typer.Option("--email", metavar="ADDRESS", help="Their e-mail address.")],
    role: Annotated[
        list[str] | None,
        typer.Option("--role", metavar="ROLE", help="contributor, approver or root; repeatable."),
    ] = None,
    function: Annotated[
        list[str] | None,
        typer.Option(
            "--function",
            metavar="NAME",
            help="Function they approve for, such as legal; repeatable.",
        ),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="Only these kinds may be signed; repeatable."),
    ] = None,
    machine: Annotated[bool, typer.Option("--machine", help="The holder is no person.")] = False,
    expires: Annotated[
        str | None, typer.Option("--expires", metavar="WHEN", help="Last day, UTC.")
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Enrol a key in the ledger; you must hold a root key.

    Example: muniment key add risk.pub --name "Risk Officer" --email risk@example.com
    --role approver --function risk
    """
    from muniment.evidence.keys import load_public
    from muniment.evidence.workspace import Holder
    from muniment.schemas.errors import InputError
    from muniment.schemas.files import read_small
    from muniment.schemas.record import Role

    from .attach import answer_attached

    try:
        roles = [Role(item) for item in role or [Role.CONTRIBUTOR]]
    except ValueError as error:
        raise InputError(
            "key.role", str(error), expected=", ".join(Role), hint="--role contributor"
        ) from error
    attached = open_workspace(workspace, key).enrol(
        load_public(read_small(file, 1 << 16)),
        Holder(name, email, "machine" if machine else "person"),
        roles=roles,
        functions=function or [],
        kinds=kind,
        expires=moment(expires),
    )
    return answer_attached(attached)


@app.command("list")
@command
def list_keys(workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """List the keys that the ledger knows, and which of them you hold.

    Example: muniment key list
    """
    from . import show

    opened = open_workspace(workspace)
    held = {opened.keys.public(name).fingerprint: name for name in opened.keys.names()}
    rows, data = [], []
    for enrolled in opened.verified().ring:
        signer = enrolled.signer
        state = f"{enrolled.retired_because} by #{enrolled.retired}" if enrolled.retired else "ok"
        if enrolled.expires is not None:
            is_over = opened.clock() >= enrolled.expires
            state += f", {'expired' if is_over else 'until'} {enrolled.expires:%Y-%m-%d}"
        what = [*sorted(signer.roles), *sorted(signer.functions)]
        mine = held.get(signer.fingerprint, "")
        rows.append([signer.name, ", ".join(what), state, mine, signer.fingerprint])
        data.append(
            {
                "fingerprint": signer.fingerprint,
                "name": signer.name,
                "email": signer.email,
                "type": signer.type,
                "roles": sorted(signer.roles),
                "functions": sorted(signer.functions),
                "record": enrolled.enrolled,
                "state": state,
                "held_as": mine or None,
            }
        )
    columns = ["holder", "roles and functions", "state", "yours", "fingerprint"]
    return Answer({"keys": data}, lambda: show.table(columns, rows))


@app.command("show")
@command
def show_key(
    fingerprint: Annotated[str, typer.Argument(help="Fingerprint, or name of a key you hold.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show one enrolled key with its public half.

    Example: muniment key show default
    """
    from muniment.schemas.errors import InputError

    from . import show

    opened = open_workspace(workspace)
    if not fingerprint.startswith("SHA256:"):
        fingerprint = opened.keys.public(fingerprint).fingerprint
    enrolled = opened.verified().ring.get(fingerprint)
    if enrolled is None:
        raise InputError(
            "key.unknown", f"the ledger knows no key {fingerprint}", hint="muniment key list"
        )
    signer = enrolled.signer
    data = {
        "fingerprint": fingerprint,
        "name": signer.name,
        "email": signer.email,
        "type": signer.type,
        "roles": ", ".join(sorted(signer.roles)),
        "functions": ", ".join(sorted(signer.functions)),
        "record": f"#{enrolled.enrolled}",
        "openssh": enrolled.key.openssh(),
        "pem": enrolled.key.pem(),
    }

    def text() -> None:
        show.pairs([(name, value) for name, value in data.items() if name != "pem"])
        show.line(data["pem"])

    return Answer(data, text)


@app.command("use")
@command
def use(
    name: Annotated[str, typer.Argument(help="Name of a key you hold.")],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Choose the key that signs in this checkout from now on.

    Example: muniment key use default
    """
    from . import show

    open_workspace(workspace).use_key(name)
    chosen = os.environ.get("MUNIMENT_KEY")

    def text() -> None:
        show.line(f"this checkout signs with {name}")
        if chosen:
            show.note(f"MUNIMENT_KEY is set and goes first: {chosen}")

    return Answer({"key": name}, text)
