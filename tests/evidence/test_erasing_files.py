"""A file that is attached while another record of it is erased is in the store afterwards."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.artifacts import ArtifactStore
from muniment.evidence.withdrawal import erase
from muniment.evidence.workspace import Evidence, Workspace
from muniment.schemas.errors import StoreError
from muniment.schemas.statement import Statement, SystemRef

POLICY = {
    "title": "Rules",
    "version": "1",
    "inForceFrom": "2026-01-01",
    "owner": {"name": "Ada Example", "email": "ada@example.com"},
    "reviewBy": "2027-01-01",
}
Make = Callable[..., Workspace]


@pytest.fixture
def ready(
    make_workspace: Make, ledger_url: str, tmp_path: Path, system_body: dict[str, Any]
) -> Workspace:
    """A ledger whose record #2 is about a file."""
    workspace = make_workspace(ledger=ledger_url)
    workspace.add(Evidence("system", SystemRef("credit-risk", "1.0.0"), body=system_body))
    (tmp_path / "rules.txt").write_text("Nobody deploys alone.\n")
    attach(workspace, tmp_path, "First")
    return workspace


def attach(workspace: Workspace, folder: Path, title: str) -> Any:
    evidence = Evidence("policy", files=[folder / "rules.txt"], body={**POLICY, "title": title})
    return workspace.add(evidence)


def order(workspace: Workspace) -> None:
    erase(workspace, ["#2"], "GDPR Art. 17(1)(b)", "Consent was withdrawn.")


def before_append(monkeypatch: pytest.MonkeyPatch, action: Callable[[], None]) -> None:
    """Have something happen between the storing of a file and the append."""
    append = Workspace.append

    def late(self: Workspace, statement: Statement) -> Any:
        monkeypatch.setattr(Workspace, "append", append)
        action()
        return append(self, statement)

    monkeypatch.setattr(Workspace, "append", late)


def test_an_erasure_before_the_append(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file that it removed is stored again."""
    before_append(monkeypatch, lambda: order(ready))
    (subject,) = attach(ready, tmp_path, "Again").record.statement.subjects
    assert ready.store.has(subject.sha256)
    assert list(ready.verify().findings) == []


def test_an_erasure_before_the_append_of_a_file_that_changed(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What cannot be stored again is said."""

    def both() -> None:
        order(ready)
        (tmp_path / "rules.txt").write_text("Somebody else's words.\n")

    before_append(monkeypatch, both)
    with pytest.raises(StoreError) as caught:
        attach(ready, tmp_path, "Again")
    assert caught.value.code == "artifact.missing"
    assert "muniment retract" in str(caught.value.hint)


def test_an_append_in_the_midst_of_an_erasure(
    ready: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between looking who speaks of a file and removing it, nobody appends."""
    remove, append, stored = ArtifactStore.remove, Workspace.append, threading.Event()
    threads: list[threading.Thread] = []

    def late(self: Workspace, statement: Statement) -> Any:
        if statement.kind == "policy":
            stored.set()
        return append(self, statement)

    def removing(self: ArtifactStore, sha256: str) -> bool:
        threads.append(threading.Thread(target=lambda: attach(other, tmp_path, "Again")))
        threads[-1].start()
        stored.wait()
        threads[-1].join(0.5)
        return remove(self, sha256)

    other = Workspace(ready.root, clock=ready.clock)
    monkeypatch.setattr(Workspace, "append", late)
    monkeypatch.setattr(ArtifactStore, "remove", removing)
    order(ready)
    for thread in threads:
        thread.join()
    assert len(threads) == 1
    assert list(ready.verify().findings) == []
    other.storage.close()
