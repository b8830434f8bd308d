"""What holds of the evaluator whatever the records are."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.controls.catalog import Catalog, load_catalogs
from muniment.controls.coverage import Coverage, State
from muniment.controls.crosswalk import NONE, Crosswalk, Fit, Pair, Source
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import load_profile

_SHORT = ("GOVERN 1.1", "GOVERN 1.4", "GOVERN 1.6", "MEASURE 2.5", "MANAGE 1.1", "A.2.2", "A.6.2.4")
CATALOGS = [
    Catalog(
        catalog.id,
        catalog.name,
        tuple(control for control in catalog.controls if control.short_id in _SHORT),
    )
    for catalog in load_catalogs()[:3]
]
"""A few controls that differ in what they ask, so that records often meet them."""
_NIST, _ISO, _OTHER = "nist-ai-rmf-1.0", "iso-42001-2023", "other"
CATALOGS.append(Catalog(_OTHER, "Another", (replace(CATALOGS[0].controls[0], id=f"{_OTHER}:X 1"),)))
CROSSWALK = Crosswalk(
    "made-up",
    "Pairs of every fit, some in a row",
    tuple(
        Pair(first, second, source, fit)
        for first, second, source, fit in (
            (f"{_NIST}:GOVERN 1.1", f"{_OTHER}:X 1", Source.INFERRED, Fit.CLOSE),
            (f"{_OTHER}:X 1", f"{_ISO}:A.2.2", Source.PUBLISHED, Fit.CLOSE),
            (f"{_NIST}:GOVERN 1.4", f"{_OTHER}:X 1", Source.PUBLISHED, Fit.CLOSE),
            (f"{_NIST}:MEASURE 2.5", f"{_ISO}:A.6.2.4", Source.INFERRED, Fit.CLOSE),
            (f"{_NIST}:MANAGE 1.1", f"{_ISO}:A.2.2", Source.PUBLISHED, Fit.PARTIAL),
            (f"{_NIST}:GOVERN 1.6", f"{_OTHER}:X 1", Source.PUBLISHED, Fit.UNRATED),
        )
    ),
)
CONTROLS = [control.id for catalog in CATALOGS for control in catalog.controls]
BEST = {state: place for place, state in enumerate(State)}
"""States from worst to best."""
KINDS = ["policy", "risk-assessment", "eval-result", "owner-assignment", "decision", "approval"]
NO_DEADLINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_entry = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "signer": st.sampled_from(["alice", "bob", "carol", "dan"]),
        "controls": st.lists(st.sampled_from(CONTROLS), max_size=3, unique=True),
        "age": st.sampled_from([0, 10, 170, 200, 400]),
        "fails": st.booleans(),
        "other_model": st.booleans(),
        "decision": st.sampled_from(["approved", "approved", "approved", "rejected"]),
        "targets": st.lists(st.integers(0, 11), max_size=3, unique=True),
        "supersedes": st.one_of(st.none(), st.none(), st.none(), st.integers(0, 11)),
        "links": st.booleans(),
    }
)
_story = st.lists(_entry, min_size=1, max_size=12)


def _fill(book: Any, story: list[dict[str, Any]]) -> Any:
    """Write the story down; references to what is not there yet are left out."""
    for entry in story:
        earlier = book.records
        targets = [earlier[place] for place in entry["targets"] if place < len(earlier)]
        place = entry["supersedes"]
        common: dict[str, Any] = {
            "signer": entry["signer"],
            "age": entry["age"],
            "supersedes": earlier[place] if place is not None and place < len(earlier) else None,
        }
        if entry["kind"] == "approval" and targets:
            book.approve(*targets, decision=entry["decision"], controls=entry["controls"], **common)
        elif entry["links"] and targets and entry["controls"]:
            book.link(targets[0], *entry["controls"], signer=entry["signer"])
        elif entry["kind"] != "approval":
            fields: dict[str, Any] = {}
            if entry["kind"] == "eval-result":
                fields["evaluated"] = 0 if entry["fails"] else 5
                sha = book.other_model if entry["other_model"] else book.model
                fields["model"] = {"name": "m", "sha256": sha}
            book.add(entry["kind"], *entry["controls"], **fields, **common)
    return book


def _evaluate(book: Any, records: list[Any], crosswalk: Crosswalk = CROSSWALK) -> Coverage:
    profile = load_profile("production")
    return evaluate(
        records, CATALOGS, profile, book.system, book.now, book.model, crosswalk=crosswalk
    )


def _states(coverage: Coverage) -> dict[str, State]:
    return {control.id: control.state for control in coverage.controls}


@NO_DEADLINE
@given(story=_story, seed=st.integers(0, 2**32))
def test_order_does_not_matter(story: Any, seed: int, new_book: Any) -> None:
    """Passing the records in another order, or one of them twice, changes nothing at all."""
    book = _fill(new_book(), story)
    shuffled = [*book.records, *book.records[:1]]
    random.Random(seed).shuffle(shuffled)
    assert _evaluate(book, shuffled) == _evaluate(book, book.records)


@NO_DEADLINE
@given(story=_story, more=_story)
def test_unrelated_evidence_changes_no_state(story: Any, more: Any, new_book: Any) -> None:
    """Records that claim other controls, and approvals of those, move nothing."""
    book = _fill(new_book(), story)
    before = _states(_evaluate(book, book.records))
    own = len(book.records)
    unrelated = [
        {**entry, "controls": ["elsewhere:X 1"], "supersedes": None, "targets": []}
        for entry in more
    ]
    _fill(book, unrelated)
    for record in book.records[own:]:
        book.approve(record)
    assert _states(_evaluate(book, book.records)) == before


@NO_DEADLINE
@given(story=_story, place=st.integers(0, 11))
def test_taking_evidence_away_never_helps(story: Any, place: int, new_book: Any) -> None:
    """Without a record no state is better, unless the record said no, or replaced another."""
    story = [{**entry, "supersedes": None, "fails": False} for entry in story]
    book = _fill(new_book(), story)
    if not book.records:
        return
    gone = book.records[place % len(book.records)]
    if gone.kind == "approval" and gone.statement.body["decision"] == "rejected":
        return
    rest = [record for record in book.records if record is not gone]
    if gone.kind == "approval" and _was_rejected_before(book, gone):
        return
    before = _states(_evaluate(book, book.records))
    after = _states(_evaluate(book, rest))
    assert all(BEST[after[control]] <= BEST[before[control]] for control in CONTROLS)


def _was_rejected_before(book: Any, approval: Any) -> bool:
    """Whether taking the approval away gives its signer's earlier word back; that is no removal."""
    return any(
        record.kind == "approval"
        and record.signer.person == approval.signer.person
        and record.index != approval.index
        for record in book.records
    )


@NO_DEADLINE
@given(story=_story)
def test_met_stands_on_evidence(story: Any, new_book: Any) -> None:
    """No control is met without fresh evidence that holds and, where expected, two people."""
    book = _fill(new_book(), story)
    coverage = _evaluate(book, book.records)
    by_place = {record.index: record for record in book.records}
    requirements = {
        control.id: control.requirement for catalog in CATALOGS for control in catalog.controls
    }
    for control in coverage.controls:
        if control.state is not State.MET:
            continue
        evidence = [by_place[ref.index] for ref in control.evidence]
        requirement = requirements[control.id]
        assert len({record.kind for record in evidence}) >= requirement.minimum_kinds
        assert control.fresh_until is not None
        assert control.fresh_until >= coverage.as_of
        if requirement.second_person == "expected":
            people = {record.signer.person for record in evidence}
            people |= {by_place[ref.index].signer.person for ref in control.approvals}
            assert len(people) >= 2 or {record.kind for record in evidence} == {"approval"}


@NO_DEADLINE
@given(story=_story)
def test_carry_over_lends_no_more_than_there_is(story: Any, new_book: Any) -> None:
    """A crosswalk makes no state worse, and none better than that of the control it comes from."""
    book = _fill(new_book(), story)
    alone = _states(_evaluate(book, book.records, NONE))
    for control in _evaluate(book, book.records).controls:
        assert BEST[control.state] >= BEST[alone[control.id]]
        lenders = {
            reason.path[0].first
            for reason in control.reasons
            if reason.code in ("evidence.carried", "evidence.helps")
        }
        assert all(BEST[control.state] <= BEST[alone[lender]] for lender in lenders)
        assert lenders or control.state is alone[control.id]


@NO_DEADLINE
@given(story=_story, seed=st.integers(0, 2**32))
def test_order_of_pairs_and_catalogs_does_not_matter(story: Any, seed: int, new_book: Any) -> None:
    """Pairs in another order, or read the other way, and catalogs in another order: the same."""
    book = _fill(new_book(), story)
    pairs = [pair.turned() for pair in CROSSWALK.pairs]
    random.Random(seed).shuffle(pairs)
    turned = replace(CROSSWALK, pairs=tuple(pairs))
    profile = load_profile("production")
    other = evaluate(
        book.records,
        CATALOGS[::-1],
        profile,
        book.system,
        book.now,
        book.model,
        crosswalk=turned,
    )
    assert {item.id: item for item in other.controls} == {
        item.id: item for item in _evaluate(book, book.records).controls
    }
