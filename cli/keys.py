"""``muniment key``: make, enrol, list, rotate and revoke keys."""

import os
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, WithKey, ask_passphrase, moment, open_workspace

if TYPE_CHECKING:
    from muniment.evidence.people import People
    from muniment.evidence.trust import EnrolledKey, KeyRing
    from muniment.evidence.workspace import Attached, Workspace

app = typer.Typer(help="Make, enrol, list, rotate and revoke keys.", no_args_is_help=True)


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
        uri = from_file.expanduser().resolve().as_uri()
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

    try:
        roles = [Role(item) for item in role or [Role.CONTRIBUTOR]]
    except ValueError as error:
        raise InputError(
            "key.role", str(error), expected=", ".join(Role), hint="--role contributor"
        ) from error
    people = open_workspace(workspace, key).people
    attached = people.enrol(
        load_public(read_small(file, 1 << 16)),
        Holder(name, email, "machine" if machine else "person"),
        roles=roles,
        functions=function or [],
        kinds=kind,
        expires=moment(expires),
    )
    return answer_change(attached, people)


@app.command("list")
@command
def list_keys(workspace: InWorkspace = None, as_json: AsJson = False) -> Answer:
    """List the enrolled keys, and which of them you hold.

    Example: muniment key list
    """
    from . import show

    opened = open_workspace(workspace)
    held = _held(opened)
    ring, now = opened.verified().ring, opened.clock()
    waiting = ring.waiting(now)
    data = [_key_data(known, ring, now, held) for known in ring]
    rows = [
        [
            item["name"],
            ", ".join([*item["roles"], *item["functions"]]),
            item["state"],
            item["held_as"] or "",
            item["fingerprint"],
        ]
        for item in data
    ]
    columns = ["holder", "roles and functions", "state", "yours", "fingerprint"]

    def text() -> None:
        show.table(columns, rows)
        if ring.threshold > 1:
            show.line(f"a change of the roots takes {ring.threshold} of them")
        for change in waiting:
            signed = ", ".join(f"{person} in #{place}" for person, place in change.votes.items())
            show.line()
            show.line(f"waits for more roots: {change.body['action']}", "bold")
            show.pairs([*_change_pairs(change.body), ("  signed by", signed)])

    pending = [{"body": change.body, "signed": change.votes} for change in waiting]
    return Answer({"keys": data, "threshold": ring.threshold, "pending": pending}, text)


def _held(opened: "Workspace") -> dict[str, str]:
    """Fingerprint to name of the keys on this machine."""
    return {opened.keys.public(name).fingerprint: name for name in opened.keys.names()}


def _key_data(
    known: "EnrolledKey", ring: "KeyRing", now: datetime, held: Mapping[str, str]
) -> dict[str, Any]:
    """An enrolled key in one JSON object; one whose enrolment waits has no record."""
    from muniment.evidence.trust import format_since
    from muniment.schemas.times import format_time

    signer, replacement = known.signer, ring.replacement(known)
    since = known.compromised_since
    is_enrolled = known.enrolled >= 0
    return {
        **signer.to_json(),
        "kinds": sorted(known.kinds) if known.kinds is not None else None,
        "record": known.enrolled if is_enrolled else None,
        "state": known.state(now) if is_enrolled else "waits for more roots",
        "expires": format_time(known.expires) if known.expires else None,
        "ended_by": known.retired,
        "replaced_by": replacement.signer.fingerprint if replacement else None,
        "compromised_since": format_since(since) if since is not None else None,
        "held_as": held.get(signer.fingerprint),
    }


def _change_pairs(body: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Everything in a change of the roots that another root must see to sign it too."""
    holder = body.get("holder", {})
    found = {
        "roots to agree": body.get("threshold"),
        "key": body.get("fingerprint"),
        "in place of": body.get("replaces"),
        "holder": f"{holder['name']} <{holder['email']}>, a {holder['type']}" if holder else None,
        "roles": ", ".join(body.get("roles", ())),
        "functions": ", ".join(body.get("functions", ())),
        "kinds": ", ".join(body.get("kinds", ())),
        "expires": body.get("expires"),
        "reason": body.get("reason"),
        "compromised since": _since_words(body.get("compromisedSince")),
    }
    return [(f"  {name}", str(value)) for name, value in found.items() if value]


def _since_words(since: int | str | None) -> str | None:
    return f"#{since}" if isinstance(since, int) else since


@app.command("show")
@command
def show_key(
    key: Annotated[
        str,
        typer.Argument(metavar="KEY", help="Its name here, fingerprint or e-mail address."),
    ],
    workspace: InWorkspace = None,
    as_json: AsJson = False,
) -> Answer:
    """Show one enrolled key, its state and its public half.

    Example: muniment key show default
    """
    from . import show

    opened = open_workspace(workspace)
    ring, now = opened.verified().ring, opened.clock()
    known = opened.people.find(key, ring, with_waiting=True)
    data = {
        **_key_data(known, ring, now, _held(opened)),
        "openssh": known.key.openssh(),
        "pem": known.key.pem(),
    }

    def text() -> None:
        record = "not yet" if data["record"] is None else f"#{data['record']}"
        show.pairs(
            [
                ("fingerprint", data["fingerprint"]),
                ("holder", f"{data['name']} <{data['email']}>, a {data['type']}"),
                ("state", data["state"]),
                ("roles", ", ".join(data["roles"])),
                ("functions", ", ".join(data["functions"]) or "none"),
                ("kinds", "all" if data["kinds"] is None else ", ".join(data["kinds"])),
                ("enrolled by", record),
                ("expires", data["expires"] or "never"),
                ("replaced by", data["replaced_by"] or "nothing"),
                ("yours", data["held_as"] or "no"),
                ("openssh", data["openssh"]),
            ]
        )
        show.line(data["pem"])

    return Answer(data, text)


@app.command("rotate")
@command
def rotate(
    old: Annotated[
        str, typer.Argument(help="Key to replace: its name here, fingerprint or e-mail address.")
    ],
    file: Annotated[Path, typer.Argument(help="The new public key: PEM or OpenSSH .pub.")],
    expires: Annotated[
        str | None,
        typer.Option(
            "--expires", metavar="WHEN", help="Last day, UTC; by default that of the old key."
        ),
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Put a new key in the place of one.

    Its holder and their rights stay the same, and so does what they signed.

    Example: muniment key rotate risk@example.com risk-2027.pub
    """
    from muniment.evidence.keys import load_public
    from muniment.schemas.files import read_small

    people = open_workspace(workspace, key).people
    new_key = load_public(read_small(file, 1 << 16))
    return answer_change(people.rotate(people.find(old), new_key, moment(expires)), people)


@app.command("revoke")
@command
def revoke(
    revoked: Annotated[
        str,
        typer.Argument(metavar="KEY", help="Its name here, fingerprint or e-mail address."),
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why.")],
    compromised_since: Annotated[
        str | None,
        typer.Option(
            "--compromised-since",
            metavar="WHEN",
            help="Record (#17), date or time from which its records lose their trust.",
        ),
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """End a key: it signs nothing more.

    What it signed before stays good.

    With --compromised-since, its records from there on count for nothing in any evaluation. That
    can be said of a key that was revoked or replaced before, too.

    Example: muniment key revoke risk@example.com --reason "Laptop stolen"
    --compromised-since 2026-03-01
    """
    people = open_workspace(workspace, key).people
    since: Any = None
    if compromised_since is not None:
        place = re.fullmatch(r"#([0-9]{1,9})", compromised_since)
        since = int(place[1]) if place else moment(compromised_since, day_begins=True)
    return answer_change(people.revoke(people.find(revoked), reason, since), people)


@app.command("threshold")
@command
def threshold(
    number: Annotated[int, typer.Argument(help="How many roots, different persons.")],
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Set how many roots must sign a change of the roots.

    Example: muniment key threshold 2
    """
    people = open_workspace(workspace, key).people
    return answer_change(people.set_threshold(number), people)


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

    opened = open_workspace(workspace)
    opened.use_key(name)
    chosen = os.environ.get("MUNIMENT_KEY")
    known = opened.people.ring().get(opened.keys.public(name).fingerprint)
    is_good = known is not None and known.is_in_force(opened.clock())
    state = known.state(opened.clock()) if known is not None else "not enrolled"

    def text() -> None:
        show.line(f"this checkout signs with {name}")
        if not is_good:
            show.note(f"nothing that it signs is taken: it is {state}")
        if chosen:
            show.note(f"MUNIMENT_KEY is set and goes first: {chosen}")

    return Answer({"key": name, "state": state}, text)


def answer_change(attached: "Attached", people: "People") -> Answer:
    """What every change of keys answers: its record, and whether it waits for other roots."""
    from . import show
    from .attach import answer_attached

    answer = answer_attached(attached)
    ring, record = people.ring(), attached.record
    changes = ring.waiting(max(people.now(), record.recorded_at))
    waiting = [change for change in changes if record.index in change.votes.values()]
    missing = ring.threshold - len(waiting[0].votes) if waiting else 0

    def text() -> None:
        answer.text()
        if missing:
            show.note(
                f"it waits for {missing} more of the roots: each signs the same command with "
                "their own key"
            )

    return Answer({**answer.data, "in_force": not waiting, "signatures_missing": missing}, text)
