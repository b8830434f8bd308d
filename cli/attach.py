"""``muniment attach``, ``approve`` and ``assign``: signing records."""

import json
import re
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .answer import Answer, command
from .options import AsJson, InWorkspace, OfSystem, WithKey, moment, open_workspace

if TYPE_CHECKING:
    from muniment.evidence.workspace import Attached

_PERSON = re.compile(r"\s*(.+?)\s*<([^<>\s]+@[^<>\s]+)>\s*")


@command
def attach(
    kind: Annotated[str, typer.Argument(help="Kind of evidence; see muniment kind list.")],
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            help="Files the evidence is or speaks of; a known tool's file fills the body."
        ),
    ] = None,
    system: OfSystem = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="CONTROL", help="Control it fills; repeatable."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="PATH=VALUE",
            help="Set a field, such as metrics[acc].threshold=0.9.",
        ),
    ] = None,
    digest: Annotated[
        list[str] | None,
        typer.Option("--digest", metavar="PATH=FILE", help="Set a field to the SHA-256 of a file."),
    ] = None,
    body: Annotated[
        Path | None,
        typer.Option("--body", metavar="FILE", help="YAML file with the kind's fields."),
    ] = None,
    collected_at: Annotated[
        str | None,
        typer.Option("--collected-at", metavar="WHEN", help="When the facts held (UTC)."),
    ] = None,
    valid_until: Annotated[
        str | None,
        typer.Option("--valid-until", metavar="WHEN", help="When the evidence lapses (UTC)."),
    ] = None,
    supersedes: Annotated[
        str | None,
        typer.Option(
            "--supersedes", metavar="RECORD", help="Record it takes the place of, such as #17."
        ),
    ] = None,
    link_only: Annotated[
        bool, typer.Option("--link-only", help="Do not copy the files into the artifact store.")
    ] = False,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Sign one piece of evidence and add it to the ledger.

    Example: muniment attach eval-result eval.json --control "MEASURE 2.3"
    --digest model.sha256=model.onnx --set metrics[accuracy].threshold=0.9
    """
    from muniment.schemas.yamldoc import load_mapping

    opened = open_workspace(workspace, key)
    with ExitStack() as stack:
        attached = opened.attach(
            kind,
            *(files or ()),
            system=system,
            controls=control or (),
            body=load_mapping(body, what=str(body)) if body else None,
            settings=parse_settings(settings),
            digests=parse_digests(digest),
            collected_at=moment(collected_at, day_begins=True),
            valid_until=moment(valid_until),
            supersedes=supersedes,
            link_only=link_only,
            on_bytes=hashing(stack, files or []),
        )
    return answer_attached(attached)


@command
def approve(
    records: Annotated[list[str], typer.Argument(help="Records, such as #17 or a digest prefix.")],
    role: Annotated[
        str | None,
        typer.Option(
            "--role",
            metavar="ROLE",
            help="Function you approve for; may be left out if you have one.",
        ),
    ] = None,
    reject: Annotated[bool, typer.Option("--reject", help="Say no instead.")] = False,
    statement: Annotated[
        str | None, typer.Option("--statement", metavar="TEXT", help="What you declare.")
    ] = None,
    condition: Annotated[
        list[str] | None,
        typer.Option("--condition", metavar="TEXT", help="Condition you set; repeatable."),
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Approve records that another person signed.

    Example: muniment approve "#17" "#18" --role risk --statement "Reviewed against policy 4"
    """
    return answer_attached(
        open_workspace(workspace, key).approve(
            records,
            role=role,
            decision="rejected" if reject else "approved",
            statement=statement,
            conditions=condition or (),
        )
    )


@command
def assign(
    person: Annotated[str, typer.Argument(help='Who: "Name <mail@example.com>".')],
    role: Annotated[str, typer.Option("--role", metavar="ROLE", help="Their job.")],
    duty: Annotated[str, typer.Option("--duty", metavar="DUTY", help="What they answer for.")],
    hours: Annotated[
        float, typer.Option("--hours", metavar="NUMBER", help="Hours a week set aside.")
    ],
    deputy: Annotated[
        str, typer.Option("--deputy", metavar="PERSON", help='Stand-in: "Name <mail@example.com>".')
    ],
    start: Annotated[str, typer.Option("--start", metavar="DATE", help="First day, YYYY-MM-DD.")],
    end: Annotated[
        str | None, typer.Option("--end", metavar="DATE", help="Last day, YYYY-MM-DD.")
    ] = None,
    system: OfSystem = None,
    control: Annotated[
        list[str] | None,
        typer.Option("--control", metavar="CONTROL", help="Control it fills; repeatable."),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="PATH=VALUE", help="Set another field."),
    ] = None,
    workspace: InWorkspace = None,
    key: WithKey = None,
    as_json: AsJson = False,
) -> Answer:
    """Assign a duty to a named person.

    Example: muniment assign "Product Owner <owner@example.com>" --role "Head of credit"
    --duty operation --hours 6 --deputy "Deputy Owner <deputy@example.com>"
    --start 2026-01-01 --control "GOVERN 2.1"
    """
    body: dict[str, Any] = {
        "person": parse_person(person),
        "role": role,
        "duty": duty,
        "hoursPerWeek": hours,
        "deputy": parse_person(deputy),
        "start": start,
    }
    if end:
        body["end"] = end
    return answer_attached(
        open_workspace(workspace, key).attach(
            "owner-assignment",
            system=system,
            controls=control or (),
            body=body,
            settings=parse_settings(settings),
        )
    )


def answer_attached(attached: "Attached") -> Answer:
    """What to say of a record that was attached."""
    from . import show
    from .records import record_summary

    record = attached.record
    summary = record_summary(record)

    def text() -> None:
        about = f" about {record.statement.system}" if record.statement.system else ""
        if attached.is_new:
            show.line(f"{record} {record.kind}{about}, signed by {record.signer.name}")
        else:
            show.line(f"{record} {record.kind}{about} was attached already; nothing was added")
        show.line(f"digest {record.sha256}")
        for warning in attached.warnings:
            show.note(f"note: {warning}")

    return Answer(
        {"record": summary, "is_new": attached.is_new, "warnings": list(attached.warnings)}, text
    )


def parse_person(text: str) -> dict[str, str]:
    """Read ``Name <mail@example.com>``."""
    from muniment.schemas.errors import InputError

    match = _PERSON.fullmatch(text)
    if not match:
        raise InputError(
            "person.malformed",
            f"{text!r} does not name a person",
            expected='"Name <mail@example.com>"',
            found=text,
        )
    return {"name": match[1], "email": match[2]}


def parse_settings(settings: list[str] | None) -> list[tuple[str, Any]]:
    """Read ``PATH=VALUE``; a value that is JSON is taken as JSON, any other as text."""
    from muniment.schemas import strictjson
    from muniment.schemas.errors import InputError

    found: list[tuple[str, Any]] = []
    for item in settings or ():
        path, text = _split(item, "--set PATH=VALUE")
        try:
            json.loads(text)
        except ValueError:
            found.append((path, text))
            continue
        except RecursionError:
            pass  # the strict reader words it
        try:
            found.append((path, strictjson.loads(text.encode(), what=f"the value of {path}")))
        except UnicodeEncodeError as error:
            raise InputError("json.surrogate", f"the value of {path} is not text") from error
    return found


def parse_digests(digests: list[str] | None) -> dict[str, str]:
    """Read ``PATH=FILE``."""
    return dict(_split(item, "--digest PATH=FILE") for item in digests or ())


def _split(item: str, form: str) -> tuple[str, str]:
    from muniment.schemas.errors import InputError

    path, sign, value = item.partition("=")
    if not sign or not path:
        raise InputError("usage", f"{item!r} is not of the form {form}", expected=form, found=item)
    return path, value


def _size(file: Path) -> int:
    try:
        return file.stat().st_size if file.is_file() else 0
    except (OSError, ValueError):
        return 0  # hashing words what is wrong with it


def hashing(stack: ExitStack, files: list[Path]) -> Any:
    """A callback that moves a progress bar on by the bytes hashed."""
    from . import show

    total = sum(map(_size, files))
    if total < 64 << 20:
        return None
    bar = stack.enter_context(show.progress("hashing"))
    done = 0

    def step(count: int) -> None:
        nonlocal done
        done += count
        bar(done, total)

    return step
