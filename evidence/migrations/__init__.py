"""Numbered changes of the ledger's tables, run with alembic.

``versions/vN.py`` brings the tables from N-1 to N. What it does is written out and never touched
again, so that it does not change when the tables do. The number a ledger has stands in its ``meta``
table, and nowhere else. A new ledger is made whole by ``storage``, without any of this.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any


def upgrade(connection: Any, found: int, wanted: int) -> None:
    """Run every change after ``found`` up to ``wanted``, and write down the new number.

    Args:
        connection: SQLAlchemy connection within the transaction, the triggers away.
    """
    from alembic.operations import Operations
    from alembic.runtime.migration import MigrationContext
    from alembic.script import ScriptDirectory

    scripts = ScriptDirectory(str(Path(__file__).parent))
    with Operations.context(MigrationContext.configure(connection)) as operations:
        for script in reversed(list(scripts.iterate_revisions(str(wanted), str(found)))):
            script.module.upgrade()
        operations.execute(f"UPDATE meta SET value = '{wanted:d}' WHERE key = 'schema'")
