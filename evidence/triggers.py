"""The triggers that keep the ledger append-only, as SQL text of either database.

They refuse every UPDATE and DELETE but a tile's growth and a signed erasure, and an ``erasure`` row
that no ``erasure`` record stands behind. Nothing relies on them for proof.
"""

from __future__ import annotations

from collections.abc import Iterator

_ERASED = "EXISTS (SELECT 1 FROM erasure WHERE erasure.number = OLD.number)"
_ONLY_ERASED = (
    f"{_ERASED} AND NEW.number = OLD.number AND NEW.leaf = OLD.leaf "
    "AND NEW.leaf_hash = OLD.leaf_hash AND length(NEW.envelope) = 0"
)
_LARGER = (
    "NEW.level = OLD.level AND NEW.number = OLD.number "
    "AND substr(NEW.hashes, 1, length(OLD.hashes)) = OLD.hashes"
)
TABLES = ("entry", "subject", "checkpoint", "meta", "anchor", "erasure", "tile")
_NEVER = "1 = 0"
_UPDATES = {"entry": _ONLY_ERASED, "tile": _LARGER}
"""The one change that each table's rows may undergo."""
_DELETIONS = {"subject": _ERASED}
_ORDER = (
    'SELECT 1 FROM entry WHERE entry.number = NEW."by" AND NEW.number < NEW."by" '
    "AND entry.kind = 'erasure'"
)
_INSERTIONS = {"erasure": f"EXISTS ({_ORDER})"}
"""What a new row of a table must be."""
_PLACES = {
    "entry": "number = NEW.number OR leaf_hash = NEW.leaf_hash",
    "subject": "number = NEW.number AND position = NEW.position",
    "checkpoint": "size = NEW.size",
    "meta": "key = NEW.key",
    "anchor": "size = NEW.size AND kind = NEW.kind AND source = NEW.source",
    "erasure": "number = NEW.number",
    "tile": "level = NEW.level AND number = NEW.number",
}
"""What makes two rows of a table the same; SQLite's INSERT OR REPLACE would replace one unseen."""


def _rules() -> Iterator[tuple[str, str, str, str, str]]:
    """Table, name of the trigger, what it looks at, what it lets through, and which row that is."""
    for table in TABLES:
        yield table, "keep", "UPDATE", _UPDATES.get(table, _NEVER), "NEW"
        yield table, "stay", "DELETE", _DELETIONS.get(table, _NEVER), "OLD"
    for table, allowed in _INSERTIONS.items():
        yield table, "base", "INSERT", allowed, "NEW"


def arming(dialect: str, schema: str = "") -> Iterator[str]:
    """Statements that make the triggers.

    Args:
        schema: the one that holds the tables, quoted; for PostgreSQL.
    """
    if dialect == "sqlite":
        refuse = "BEGIN SELECT RAISE(ABORT, 'the ledger is append-only'); END"
        for table, name, event_name, allowed, _ in _rules():
            yield (
                f"CREATE TRIGGER {table}_{name} BEFORE {event_name} ON {table} "
                f"WHEN NOT ({allowed}) {refuse}"
            )
        for table in TABLES:
            yield (
                f"CREATE TRIGGER {table}_once BEFORE INSERT ON {table} "
                f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {_PLACES[table]}) {refuse}"
            )
        return
    # NOTE: otherwise a temporary table of the same name would be looked into first.
    function = f"RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, {schema}, pg_temp"
    yield (
        f"CREATE FUNCTION muniment_refuse() {function} AS "
        "$$ BEGIN RAISE EXCEPTION 'the ledger is append-only'; END $$"
    )
    # NOTE: a WHEN clause may not look into another table here, so the functions do.
    for table, name, event_name, allowed, result in _rules():
        yield (
            f"CREATE FUNCTION muniment_{table}_{name}() {function} AS "
            f"$$ BEGIN IF {allowed} THEN RETURN {result}; END IF; "
            "RAISE EXCEPTION 'the ledger is append-only'; END $$"
        )
        yield (
            f"CREATE TRIGGER {table}_{name} BEFORE {event_name} ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION muniment_{table}_{name}()"
        )
    for table in TABLES:
        yield (
            f"CREATE TRIGGER {table}_whole BEFORE TRUNCATE ON {table} "
            "EXECUTE FUNCTION muniment_refuse()"
        )


def lifting(dialect: str) -> Iterator[str]:
    """Statements that take away what ``arming`` makes, now or in an older version; no other's."""
    on = "" if dialect == "sqlite" else " ON tile"
    yield f"DROP TRIGGER IF EXISTS tile_grow{on}"  # of version 1
    for statement in reversed([*arming(dialect, "public")]):
        _, kind, name, _, _, _, table, *_ = statement.split()
        on = f" ON {table}" if kind == "TRIGGER" and dialect != "sqlite" else ""
        yield f"DROP {kind} IF EXISTS {name}{on}"
