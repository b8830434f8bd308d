"""The derivation check: records held against the files of tools that they were read from."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence import collectors, derivation
from muniment.evidence.artifacts import ArtifactStore
from muniment.evidence.collectors import collect
from muniment.evidence.derivation import derive, verify_derivations
from muniment.schemas import strictjson
from muniment.schemas.derivation import Derivation, Derived
from muniment.schemas.finding import Outcome
from muniment.schemas.record import Record, Role, Signer
from muniment.schemas.statement import RecordRef, Statement, Subject, SystemRef, predicate_type

DATA = Path(__file__).parent / "collectors" / "data"
SAMPLES = [
    "bandit/bandit.sarif",
    "croissant/croissant.json",
    "dvc/dvc.lock",
    "evidently/drift_report.json",
    "fairlearn/metricframe.json",
    "garak/report.jsonl",
    "great_expectations/validation_result.json",
    "inspect_ai/policy-qa.json",
    "lm_eval/results.json",
    "mlflow/rest_runs_get.json",
    "mlflow/run.json",
    "pip_audit/pip_audit.json",
    "promptfoo/results.json",
    "pytest_junit/junit.xml",
    "ruff/ruff.sarif",
    "sklearn/classification_report.json",
    "sklearn/classification_report_degenerate_nan.json",
]
JUNIT = "pytest_junit/junit.xml"
FRAME = "fairlearn/metricframe.json"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
ALICE = Signer("SHA256:a", "Alice", "alice@example.com", "person", frozenset({Role.CONTRIBUTOR}))
BOB = Signer("SHA256:b", "Bob", "bob@example.com", "person", frozenset({Role.CONTRIBUTOR}))
CAROL = Signer("SHA256:c", "Carol", "carol@example.com", "person", frozenset({Role.APPROVER}))


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    """An empty artifact store."""
    return ArtifactStore(tmp_path / "artifacts")


def make(index: int, kind: str, signer: Signer = ALICE, **fields: Any) -> Record:
    """A record as it is read back from its payload."""
    system = SystemRef("credit-risk", "1.0.0")
    given: dict[str, Any] = {"subjects": (system.descriptor(),), "body": {}}
    statement = Statement(
        predicate_type=predicate_type(kind),
        system=system,
        collected_at=NOW,
        salt="0" * 32,
        **(given | fields),
    )
    read = Statement.from_payload(statement.to_payload())
    return Record(index, f"{index:064x}", read, signer, NOW)


@pytest.fixture
def read(store: ArtifactStore) -> Callable[..., Record]:
    """Makes the record that comes of a sample, stored; ``body`` and ``source`` change it."""

    def build(
        name: str,
        index: int = 4,
        *,
        body: Callable[[dict[str, Any]], None] | None = None,
        source: Mapping[str, Any] | None = None,
        stored: bool = True,
        kind: str | None = None,
        **fields: Any,
    ) -> Record:
        file = store.add(DATA / name)
        found = collect((DATA / name).read_bytes(), name)
        assert found is not None
        made = copy.deepcopy(dict(found.body))
        if body is not None:
            body(made)
        named = Subject(
            Path(name).name,
            {"sha256": file.sha256},
            annotations={"size": file.size, "stored": stored},
        )
        return make(
            index,
            kind or found.kind,
            **{"subjects": (named,), "body": made, **fields},
            source={**found.source, **(source or {})},
        )

    return build


def one(records: list[Record], store: ArtifactStore) -> Derivation:
    (found,) = derive(records, store)
    return found


def leaves(value: Any, path: str = "") -> list[str]:
    """Paths of all figures and texts of a body."""
    if isinstance(value, Mapping):
        found = [leaves(item, f"{path}.{key}" if path else key) for key, item in value.items()]
    elif isinstance(value, list):
        found = [leaves(item, f"{path}[{place}]") for place, item in enumerate(value)]
    else:
        return [path]
    return [name for names in found for name in names]


def change(body: Any, path: str) -> None:
    """Put something else at a path."""
    steps = [
        int(step) if step.isdigit() else step
        for step in path.replace("]", "").replace("[", ".").split(".")
    ]
    for step in steps[:-1]:
        body = body[step]
    old = body[steps[-1]]
    is_figure = isinstance(old, int | float) and not isinstance(old, bool)
    body[steps[-1]] = old + 1 if is_figure else "another"


def test_every_collector_has_a_sample() -> None:
    """No format is left out of these tests."""
    found = [collect((DATA / name).read_bytes(), name) for name in SAMPLES]
    assert {item.source["format"] for item in found if item} == set(collectors.FORMATS)


@pytest.mark.parametrize("name", SAMPLES)
def test_what_was_read_holds(name: str, read: Callable[..., Record], store: ArtifactStore) -> None:
    """What each collector took from a tool's own file is there when it is run again, the way it
    was signed and read back."""
    record = read(name)
    item = one([record], store)
    assert (item.code, item.record) == (Derived.HELD, record.ref)
    assert item.text == f"#4 says what {Path(name).name} says"
    check = verify_derivations([record], store)
    assert (check.outcome, check.checked, check.not_checked) == (Outcome.HELD, 1, [])


@pytest.mark.parametrize("name", SAMPLES)
def test_each_figure_and_text_is_held(
    name: str, read: Callable[..., Record], store: ArtifactStore
) -> None:
    """Whatever one field of the record says else than the file is named, with both values."""
    found = collect((DATA / name).read_bytes(), name)
    assert found is not None
    for path in [item for item in leaves(found.body) if item.count(".") < 6][:40]:
        record = read(name, body=lambda body, path=path: change(body, path))
        item = one([record], store)
        assert item.code is Derived.DIFFERS, path
        assert f"{path}: the file says " in item.text
        (finding,) = item.findings
        assert (finding.code, finding.record) == ("derivation.differs", 4)
        assert finding.expected != finding.found


def test_both_values_are_named(read: Callable[..., Record], store: ArtifactStore) -> None:
    """A changed figure is named: what the file says, what the record says, which file."""
    item = one([read(JUNIT, body=lambda body: body.update(evaluated=99))], store)
    (finding,) = item.findings
    assert finding.message == (
        f"#4 is not what junit.xml says: evaluated: the file says {finding.expected}, the record 99"
    )
    assert item.is_fault
    assert item.text.startswith("#4 differs from junit.xml, which it was read from: evaluated: ")


def test_figures_are_equal_as_json(read: Callable[..., Record], store: ArtifactStore) -> None:
    """1.0 and 1 are one figure; the nearest other float is another, and so is true."""

    def nudge(body: dict[str, Any]) -> None:
        entry = next(item for item in body["metrics"] if item["value"] not in (None, 0, 1))
        entry["value"] = entry["value"] * (1 + 2**-52)

    def whole(body: dict[str, Any]) -> None:
        body["evaluated"] = float(body["evaluated"])

    assert one([read(FRAME, body=nudge)], store).code is Derived.DIFFERS
    assert one([read(FRAME, body=whole)], store).code is Derived.HELD
    assert one([read(JUNIT, body=lambda body: body.update(skipped=True))], store).is_fault


def test_more_than_the_file_says_is_the_signers(
    read: Callable[..., Record], store: ArtifactStore
) -> None:
    """Fields that the file does not have are added; entries of its lists are not."""

    def add(body: dict[str, Any]) -> None:
        body["model"] = {"name": "model.onnx", "sha256": "a" * 64}
        body["metrics"][0]["threshold"] = 0.5

    def invent(body: dict[str, Any]) -> None:
        body["metrics"].append({"name": "made up", "value": 1})

    def drop(body: dict[str, Any]) -> None:
        del body["metrics"][0]

    assert one([read(FRAME, body=add)], store).code is Derived.HELD
    assert one([read(FRAME, body=invent)], store).is_fault
    assert one([read(FRAME, body=drop)], store).is_fault


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ({"tool": "Another"}, "source.tool"),
        ({"version": "99"}, "source.version"),
        ({"format": "lm-eval-results"}, "source.format"),
    ],
)
def test_the_source_is_the_files(
    source: dict[str, str], path: str, read: Callable[..., Record], store: ArtifactStore
) -> None:
    """A record that names another tool, version or format than the file has differs."""
    item = one([read(FRAME, source=source)], store)
    assert item.code is Derived.DIFFERS
    assert f"{path}: " in item.text


def test_another_kind_than_the_file_gives(
    read: Callable[..., Record], store: ArtifactStore
) -> None:
    """A file of evaluations is the source of no monitoring report."""
    item = one([read(FRAME, kind="monitoring-report")], store)
    assert 'kind: the file says "eval-result", the record "monitoring-report"' in item.text


def test_many_differences_are_counted(read: Callable[..., Record], store: ArtifactStore) -> None:
    """A record that differs everywhere lists some places and counts the rest."""

    def spoil(body: dict[str, Any]) -> None:
        for entry in body["metrics"]:
            entry["value"] = 7.5

    item = one([read(FRAME, body=spoil)], store)
    assert "more" in item.text
    assert len(item.findings) <= 21
    assert len(item.text) < 2000


HOSTILE: dict[str, bytes] = {
    "empty": b"",
    "no format": b"hello",
    "cut off": (DATA / JUNIT).read_bytes()[:400],
    "a bomb of entities": b'<!DOCTYPE x [<!ENTITY a "b">]><testsuite name="&a;"/>',
    "nested without end": b'{"fairlearn_version": "1", "overall": ' + b"[" * 100_000,
    "other totals": b'<testsuite name="a" tests="9"><testcase name="b"/></testsuite>',
    "figures that are none": b'{"fairlearn_version": 1, "overall": {}, "by_group": []}',
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_file_that_gives_nothing(name: str, store: ArtifactStore, tmp_path: Path) -> None:
    """A record that says it was read from a file which no collector takes is a fault."""
    path = tmp_path / "junit.xml"
    path.write_bytes(HOSTILE[name])
    file = store.add(path)
    subject = Subject("junit.xml", {"sha256": file.sha256}, annotations={"size": 1, "stored": True})
    source = {"tool": "pytest", "format": "junit-xml", "sha256": file.sha256}
    item = one([make(4, "eval-result", subjects=(subject,), source=source)], store)
    assert item.code is Derived.REFUSED
    assert item.text.startswith("#4 cannot have been read from junit.xml: the file ")
    assert [finding.code for finding in item.findings] == ["derivation.refused"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (KeyError("x"), Derived.REFUSED),
        (ZeroDivisionError(), Derived.REFUSED),
        (RecursionError(), Derived.NOT_CHECKED),
        (MemoryError(), Derived.NOT_CHECKED),
    ],
)
def test_a_collector_that_breaks(
    error: Exception,
    code: Derived,
    read: Callable[..., Record],
    store: ArtifactStore,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whatever a collector raises is an answer about the record, or that there is none here."""

    def fail(data: bytes, name: str) -> None:
        raise error

    record = read(JUNIT)
    monkeypatch.setattr(collectors, "collect", fail)
    assert one([record], store).code is code


def not_there(record: Record, store: ArtifactStore) -> None:
    store.remove(record.statement.subjects[0].sha256)


def other_bytes(record: Record, store: ArtifactStore) -> None:
    path = store.path(record.statement.subjects[0].sha256)
    path.chmod(0o644)
    path.write_bytes((DATA / FRAME).read_bytes())


def a_folder(record: Record, store: ArtifactStore) -> None:
    path = store.path(record.statement.subjects[0].sha256)
    path.unlink()
    path.mkdir()


def huge(record: Record, store: ArtifactStore) -> None:
    path = store.path(record.statement.subjects[0].sha256)
    path.chmod(0o644)
    with path.open("r+b") as file:
        file.truncate(collectors.MAX_BYTES + 1)


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (not_there, "the file is missing from the store"),
        (other_bytes, "the stored bytes are not those the digest names"),
        (a_folder, "is no file"),
        (huge, "the file is too large to look into"),
    ],
)
def test_a_file_that_cannot_be_read_says_nothing(
    damage: Callable[[Record, ArtifactStore], None],
    why: str,
    read: Callable[..., Record],
    store: ArtifactStore,
) -> None:
    """Without the very bytes nothing is said against a record, and it is said that nothing is."""
    record = read(JUNIT, body=lambda body: body.update(evaluated=99))
    damage(record, store)
    item = one([record], store)
    assert item.code is Derived.NOT_CHECKED
    assert item.text.startswith("#4 was not held against junit.xml: ")
    assert why in item.text
    check = verify_derivations([record], store)
    assert (check.outcome, check.not_checked) == (Outcome.NOT_CHECKED, [item.text])


def test_linked_only_and_other_files(read: Callable[..., Record], store: ArtifactStore) -> None:
    """A file that was linked only, is of no known format, or is no subject is not looked into."""
    linked = read(JUNIT, stored=False)
    unknown = read(JUNIT, source={"format": "next-years-format"})
    elsewhere = read(JUNIT, source={"sha256": "0" * 64})
    texts = [one([record], store).text for record in (linked, unknown, elsewhere)]
    assert "linked only" in texts[0]
    assert "no collector here reads next-years-format" in texts[1]
    assert "none of its subjects is the file" in texts[2]


def test_other_collectors(read: Callable[..., Record], store: ArtifactStore) -> None:
    """What collectors of another version read counts where it agrees, and is no fault where it
    does not: it is said with what differs."""
    other = {"collector": collectors.VERSION + 1}
    assert one([read(JUNIT, source=other)], store).code is Derived.HELD
    record = read(JUNIT, source=other, body=lambda body: body.update(evaluated=99))
    item = one([record], store)
    assert item.code is Derived.NOT_CHECKED
    assert "evaluated: the file says" in item.text
    assert "collectors of version 2 read it, these are 1" in item.text


def test_a_record_without_a_version_is_of_the_first(
    read: Callable[..., Record], store: ArtifactStore
) -> None:
    """A source that does not name the collectors' version was read by the first."""
    record = read(JUNIT, body=lambda body: body.update(evaluated=99))
    assert record.statement.source is not None
    source = {key: item for key, item in record.statement.source.items() if key != "collector"}
    old = replace(record, statement=replace(record.statement, source=source))
    assert one([old], store).is_fault


def test_an_erased_file_is_said_to_be(read: Callable[..., Record], store: ArtifactStore) -> None:
    """A file that an order erased is not merely missing; erased records are counted."""
    record = read(JUNIT)
    sha256 = record.statement.subjects[0].sha256
    body = {
        "records": [{"index": 2, "sha256": "2" * 64}],
        "artifacts": [sha256],
        "basis": "law",
        "reason": "asked for",
    }
    order = make(5, "erasure", CAROL, body=body)
    store.remove(sha256)
    check = verify_derivations([record, order], store)
    assert check.not_checked == [
        "#4 was not held against junit.xml: the file was erased by #5",
        "1 erased record: what was said is gone",
    ]


def test_figures_by_hand_and_nothing_at_all(store: ArtifactStore) -> None:
    """Figures that no collector read are named, and a ledger without any is not called checked."""
    body = {"metrics": [{"name": "auc", "value": 1}]}
    file = Subject("notes.txt", {"sha256": "1" * 64}, annotations={"size": 1, "stored": True})
    by_hand = make(7, "eval-result", subjects=(file,), body=body)
    assert verify_derivations([by_hand], store).not_checked == [
        "figures given by hand, beside a file that no collector read: #7"
    ]
    check = verify_derivations([make(1, "policy")], store, what="new record")
    assert check.outcome is Outcome.NOT_CHECKED
    assert check.not_checked == ["no new record was read from a tool's file"]


@pytest.mark.parametrize(
    ("kind", "signer", "is_noted"),
    [
        ("retraction", ALICE, True),
        ("retraction", CAROL, True),
        ("retraction", BOB, False),
        ("eval-result", ALICE, True),
        ("eval-result", BOB, False),
        ("change-record", ALICE, False),
    ],
)
def test_what_was_put_right_is_noted(
    kind: str, signer: Signer, is_noted: bool, read: Callable[..., Record], store: ArtifactStore
) -> None:
    """A fault that its author or an approver took back stays in sight, and fails nothing more."""
    record = read(JUNIT, body=lambda body: body.update(evaluated=99))
    ref = record.ref.to_json()
    fields: dict[str, Any] = {"supersedes": record.ref, "body": {"metrics": [], "checks": []}}
    if kind == "retraction":
        fields = {"body": {"records": [ref], "reason": "wrong"}}
    check = verify_derivations([record, make(5, kind, signer, **fields)], store)
    assert check.checked == 1
    assert [bool(check.findings), bool(check.notes)] == [not is_noted, is_noted]
    said = [*check.findings, *check.notes]
    assert [(item.code, item.record) for item in said] == [("derivation.differs", 4)]
    assert not is_noted or said[0].message.endswith("; #5 withdrew it")


def test_each_file_is_read_once(
    read: Callable[..., Record], store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Any number of records of one file read it once; what was held before is not held again."""
    seen: list[int] = []

    def count(data: bytes, name: str) -> Any:
        seen.append(len(data))
        return collect(data, name)

    monkeypatch.setattr(collectors, "collect", count)
    records = [read(JUNIT, index) for index in range(5)] + [read(FRAME, 9)]
    done: dict[str, Derivation] = {}
    first = derive(reversed(records), store, done)
    assert [item.record.index for item in first] == [0, 1, 2, 3, 4, 9]
    assert len(seen) == 2
    assert derive(records, store, done) == first
    assert len(seen) == 2


def test_a_strangers_names_are_shown_inert(store: ArtifactStore, tmp_path: Path) -> None:
    """Names and values that do not print, or never end, are shown cut and marked."""
    path = tmp_path / "x"
    path.write_bytes(b"hello")
    file = store.add(path)
    subject = Subject(
        "a\u202eb" * 500, {"sha256": file.sha256}, annotations={"size": 5, "stored": True}
    )
    source = {"tool": "x", "format": "junit-xml", "sha256": file.sha256}
    item = one([make(4, "eval-result", subjects=(subject,), source=source)], store)
    assert "\u202e" not in item.text
    assert len(item.text) < 300


def test_the_document_reads_back() -> None:
    """What a packet says of the check is read as it was written; anything else is no such thing."""
    item = Derivation(RecordRef(4, "a" * 64), Derived.DIFFERS, "#4 differs")
    document = strictjson.loads(strictjson.canonical(item.to_json()))
    assert Derivation.from_json(document) == item
    broken: Any
    for broken in (
        {},
        document | {"code": "derivation.fine"},
        document | {"record": {"index": "4", "sha256": "a"}},
        document | {"record": {"index": 4, "sha256": []}},
    ):
        with pytest.raises((KeyError, TypeError, ValueError)):
            Derivation.from_json(broken)


def test_differences_are_found_in_any_order_of_groups() -> None:
    """A group where the file has a list, or nothing where it has null, is a difference."""
    assert [str(item) for item in derivation.differences({"a": [1], "b": None}, {"a": {}})] == [
        "a: the file says [1], the record {}",
        "b: the file says null, the record nothing",
    ]
