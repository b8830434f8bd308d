"""Approving and rejecting records, in the name of one function."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from muniment.schemas.errors import InputError
from muniment.schemas.statement import SystemRef
from muniment.schemas.text import with_article

from .entry import Entry
from .statements import approval_statement
from .trust import ANY_APPROVER

if TYPE_CHECKING:
    from .workspace import Attached, Workspace


def approve(
    workspace: Workspace,
    records: Sequence[str],
    *,
    role: str | None,
    decision: str,
    words: str | None,
    conditions: Sequence[str],
) -> Attached:
    """Sign one approval (or rejection) of records, by number or digest prefix.

    Args:
        role: the function; by default the only one that the signing key approves for.
        words: what the approver declares; by default a plain sentence.

    Raises:
        InputError: ``record.unknown``, or a code that begins with ``approval.``.
    """
    targets = [workspace.entry(text) for text in records]
    system = _common_system(targets)
    mine = workspace.keys.public(workspace.key_name)
    own = [target for target in targets if target.key == mine]
    if own:
        raise InputError(
            "approval.own",
            f"#{own[0].index} was signed with this key: approval needs a second person",
            hint="the approver chooses their own key with --key",
        )
    return workspace.append(
        approval_statement(
            targets,
            system,
            workspace.clock(),
            role=role or _only_function(workspace),
            decision=decision,
            words=words,
            conditions=conditions,
            references=workspace.references,
        )
    )


def _common_system(targets: Sequence[Entry]) -> SystemRef:
    """The one system version that all of them speak of.

    Raises:
        InputError: ``approval.no-system`` or ``approval.mixed``.
    """
    systems: set[SystemRef] = set()
    for target in targets:
        if target.statement.system is None:
            raise InputError(
                "approval.no-system",
                f"#{target.index} is {with_article(str(target.statement.kind))} record: it "
                "speaks of no system, and needs no approval",
            )
        systems.add(target.statement.system)
    if len(systems) != 1:
        raise InputError("approval.mixed", "one approval speaks of records of one system version")
    return systems.pop()


def _only_function(workspace: Workspace) -> str:
    """The function the signing key approves for, if it has exactly one.

    Raises:
        InputError: ``approval.role``.
    """
    known = workspace.people.ring().get(workspace.keys.public(workspace.key_name).fingerprint)
    functions = sorted(known.signer.functions) if known else []
    if len(functions) > 1:
        raise InputError(
            "approval.role",
            "this key approves for several functions: say which",
            expected=", ".join(functions),
            hint="--role FUNCTION",
        )
    return functions[0] if functions else ANY_APPROVER
