"""Playing the acts in ``records/``: each step copies files, attaches, approves, excuses or runs the
gate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

from muniment.reports.exceptions import Decision, read_decisions
from muniment.reports.workspace import Workspace
from muniment.schemas import yamldoc
from muniment.schemas.record import Record
from muniment.schemas.times import format_time

from .repository import Repository

_HERE = Path(__file__).parent
_DAY = re.compile(r"\bday\(([+-]\d+)\)")
_TIME = re.compile(r"\btime\(([+-]\d+)\)")
KEY_PREFIX = "demo-"


class Stage:
    """Where the acts are played.

    Args:
        repository: holds the workspace; its keys are enrolled.
        now: the moment that days in the acts are counted from, UTC.
        say: hears one line of talk at a time.
    """

    def __init__(self, repository: Repository, now: datetime, say: Callable[[str], None]) -> None:
        self._repository = repository
        self._now = now
        self._say = say
        self._workspaces: dict[str, Workspace] = {}
        self._records: dict[str, str] = {}
        """What an act calls a record, to its number."""
        self.decided: list[Record] = []
        """The decisions of the gates so far."""

    def workspace(self, who: str) -> Workspace:
        """The workspace as ``who`` uses it, with their own key."""
        if who not in self._workspaces:
            self._workspaces[who] = Workspace(self._repository.root, key=KEY_PREFIX + who)
        return self._workspaces[who]

    def close(self) -> None:
        """Give the ledger's connections back."""
        for workspace in self._workspaces.values():
            workspace.storage.close()

    def play(self, act: str) -> None:
        """Play one act, step by step."""
        text = (_HERE / "records" / f"{act}.yaml").read_text("utf-8")
        for step in yamldoc.load(self._filled(text), what=act):
            if "say" in step:
                self._say(step["say"])
            if "copy" in step:
                self._copy(step["copy"], step.get("commit"))
            if "attach" in step:
                self._attach(step)
            if "approve" in step:
                self._approve(step)
            if "decide" in step:
                decisions = read_decisions(self._repository.root / step["decide"])
                self.workspace(step["by"]).decide_applicability(decisions)
            if "applies" in step:
                decision = Decision(step["applies"], True, step["justification"])
                self.workspace(step["by"]).decide_applicability([decision])
            if "waive" in step:
                self._waive(step)
            if "gate" in step:
                self._gate(step["gate"])

    def _filled(self, text: str) -> str:
        """The act with days, times and the last commit as of now."""
        text = _DAY.sub(lambda found: f"{self._moment(found[1]):%Y-%m-%d}", text)
        text = _TIME.sub(lambda found: format_time(self._moment(found[1])), text)
        return text.replace("head()", self._repository.head)

    def _moment(self, days: int | str) -> datetime:
        return self._now + timedelta(days=int(days))

    def _copy(self, layer: str, message: str | None) -> None:
        """Lay one folder of files over the repository; without a message nothing is committed."""
        source = _HERE / "files" / layer
        names = [
            file.relative_to(source).as_posix() for file in source.rglob("*") if file.is_file()
        ]
        for name in names:
            target = self._repository.root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            # NOTE: bytes alone; an installed file may be read-only, and its copy is written over.
            target.write_bytes((source / name).read_bytes())
        if message is not None:
            self._repository.commit(message, names)

    def _attach(self, step: Mapping[str, Any]) -> None:
        root = self._repository.root
        earlier = step.get("supersedes")
        attached = self.workspace(step["by"]).attach(
            step["kind"],
            *(root / file for file in step.get("files", ())),
            system=step.get("system"),
            controls=step.get("controls", ()),
            body=step["body"],
            settings=list(step.get("settings", {}).items()),
            digests={path: root / file for path, file in step.get("digests", {}).items()},
            collected_at=self._moment(step["days"]),
            supersedes=self._records[earlier] if earlier else None,
            link_only=step.get("link_only", False),
        )
        self._records[step["attach"]] = str(attached.record)
        for note in () if step.get("quiet") else attached.warnings:
            self._say(f"  {attached.record} {note}")

    def _approve(self, step: Mapping[str, Any]) -> None:
        named = [self._records[name] for name in step["approve"]]
        self.workspace(step["by"]).approve(named, role=step["role"])

    def _waive(self, step: Mapping[str, Any]) -> None:
        self.workspace(step["by"]).waive(
            step["waive"],
            reason=step["reason"],
            measure=step["measure"],
            until=date.fromisoformat(step["until"]),
            residual=step.get("residual"),
        )

    def _gate(self, profile: str) -> None:
        gated = self.workspace("compliance").gate(profile=profile)
        verdict = "passes" if gated.decision.passed else "does not pass"
        self._say(f"the {profile} gate {verdict}")
        if gated.attached is not None:
            self.decided.append(gated.attached.record)
