"""Version 2: proofs from outside, and erasures."""

from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Make the two tables."""
    exact = "BLOB" if op.get_bind().dialect.name == "sqlite" else "BYTEA"
    op.execute(
        "CREATE TABLE anchor (size INTEGER NOT NULL, kind VARCHAR NOT NULL, "
        f"source VARCHAR NOT NULL, proof {exact} NOT NULL, PRIMARY KEY (size, kind, source))"
    )
    op.execute(
        "CREATE TABLE erasure (number INTEGER NOT NULL, by INTEGER NOT NULL, "
        "PRIMARY KEY (number), FOREIGN KEY (number) REFERENCES entry (number), "
        "FOREIGN KEY (by) REFERENCES entry (number))"
    )
