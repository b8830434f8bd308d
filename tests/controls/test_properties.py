"""What holds of the evaluator whatever the records are.

Two of the properties need exact words. *Unrelated* is what claims, links, excuses or takes back
nothing of the control and of its lenders. *Evidence* that may be taken away without helping is
what says yes: a record whose own outcome holds and that replaces none, an approval by somebody who
had not voted before, a link of such records. Of anything else the removal may help, and should: of
a failed evaluation, a rejection, a retraction, a successor, and of data in which a check across
records finds fault. Waivers and decisions on applicability are no evidence: they move no state by
the evidence, which is what is compared here.
"""

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
from muniment.controls.outcome import outcome
from muniment.controls.profile import load_profile
from muniment.schemas.statement import RecordRef

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
EXCEPTIONS = ("waiver", "applicability")
KINDS = [
    "policy",
    "risk-assessment",
    "eval-result",
    "owner-assignment",
    "decision",
    "approval",
    "approval",
    "retraction",
    *EXCEPTIONS,
]
SIGNERS = ["alice", "bob", "carol", "dan", "rita", "lena"]
"""Contributors, approvers, and two whose exceptions count."""
NO_DEADLINE = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

_entry = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(KINDS),
        "signer": st.sampled_from(SIGNERS),
        "controls": st.lists(st.sampled_from(CONTROLS), max_size=3, unique=True),
        "age": st.sampled_from([0, 10, 170, 200, 400]),
        "fails": st.booleans(),
        "other_model": st.booleans(),
        "decision": st.sampled_from(["approved", "approved", "approved", "rejected"]),
        "targets": st.lists(st.integers(0, 11), max_size=3, unique=True),
        "supersedes": st.one_of(st.none(), st.none(), st.none(), st.integers(0, 11)),
        "links": st.booleans(),
        "until": st.sampled_from(["2026-05-31", "2026-06-01", "2026-12-31", "2029-01-01"]),
        "accepts_risk": st.booleans(),
        "applies": st.booleans(),
    }
)
_story = st.lists(_entry, min_size=1, max_size=12)


def _fill(book: Any, story: list[dict[str, Any]], begin: int = 0) -> Any:
    """Write the story down; its places count from ``begin``, and references to what is not there
    yet are left out."""
    for entry in story:
        earlier = book.records[begin:]
        targets = [earlier[place] for place in entry["targets"] if place < len(earlier)]
        place = entry["supersedes"]
        common: dict[str, Any] = {
            "signer": entry["signer"],
            "age": entry["age"],
            "supersedes": earlier[place] if place is not None and place < len(earlier) else None,
        }
        kind, controls = entry["kind"], entry["controls"]
        if kind == "approval":
            if targets:
                book.approve(*targets, decision=entry["decision"], controls=controls, **common)
        elif kind == "retraction":
            if targets:
                named = [record.ref.to_json() for record in targets]
                book.add(kind, records=named, reason="it was wrong", **common)
        elif kind in EXCEPTIONS:
            if controls:
                book.add(kind, **_exception(entry), **common)
        elif entry["links"] and targets and controls:
            book.link(targets[0], *controls, signer=entry["signer"])
        else:
            fields: dict[str, Any] = {}
            if kind == "eval-result":
                fields["evaluated"] = 0 if entry["fails"] else 5
                sha = book.other_model if entry["other_model"] else book.model
                fields["model"] = {"name": "m", "sha256": sha}
            book.add(kind, *controls, **fields, **common)
    return book


def _exception(entry: dict[str, Any]) -> dict[str, Any]:
    """The body of a waiver, an accepted risk or a decision on applicability."""
    controls = entry["controls"]
    if entry["kind"] == "applicability":
        word = {"applicable": entry["applies"], "justification": "so it is"}
        return {"controls_": [{"control": control, **word} for control in controls]}
    risk = {"type": "risk-acceptance", "residualRisk": "a late answer"}
    return {
        "controls_": list(controls),
        "until": entry["until"],
        "reason": "later",
        "measure": "by hand",
        **(risk if entry["accepts_risk"] else {"type": "waiver"}),
    }


def _evaluate(book: Any, records: list[Any], crosswalk: Crosswalk = CROSSWALK) -> Coverage:
    profile = load_profile("production")
    return evaluate(
        records, CATALOGS, profile, book.system, book.now, book.model, crosswalk=crosswalk
    )


def _states(coverage: Coverage) -> dict[str, State]:
    return {control.id: control.state for control in coverage.controls}


def _by_evidence(coverage: Coverage) -> dict[str, State]:
    """States as they are without waivers and decisions on applicability."""
    return {control.id: control.underlying or control.state for control in coverage.controls}


def _excepted(coverage: Coverage) -> dict[str, RecordRef]:
    """Controls that are waived or ruled out, each with the record that does it."""
    return {
        control.id: control.reasons[0].records[0]
        for control in coverage.controls
        if control.underlying is not None
    }


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
    """Records that claim, excuse or rule out other controls, and approvals, retractions, successors
    and links of those, move nothing."""
    book = _fill(new_book(), story)
    before = _evaluate(book, book.records)
    own = len(book.records)
    _fill(book, [{**entry, "controls": ["elsewhere:X 1"]} for entry in more], begin=own)
    for record in book.records[own:]:
        book.approve(record)
    after = _evaluate(book, book.records)
    assert _states(after) == _states(before)
    assert after.catalogs == before.catalogs


@NO_DEADLINE
@given(story=_story, place=st.integers(0, 11))
def test_taking_evidence_away_never_helps(story: Any, place: int, new_book: Any) -> None:
    """Without a record that says yes no control stands better by the evidence; and an exception
    starts to count only if that was its own signer's evidence."""
    book = _fill(new_book(), story)
    if not book.records:
        return
    gone = book.records[place % len(book.records)]
    if not _says_yes(book, gone):
        return
    before = _evaluate(book, book.records)
    after = _evaluate(book, [record for record in book.records if record is not gone])
    then, now = _by_evidence(before), _by_evidence(after)
    assert all(BEST[now[control]] <= BEST[then[control]] for control in CONTROLS)
    people = {record.signer.person for record in (gone, *_named(book, gone))}
    for control, ref in _excepted(after).items():
        if control not in _excepted(before):
            assert book.records[ref.index].signer.person in people


def _says_yes(book: Any, record: Any) -> bool:
    """Whether the record is evidence in the sense of this file."""
    if record.kind in (*EXCEPTIONS, "retraction") or record.statement.supersedes:
        return False
    if record.kind == "link":
        return all(outcome(target).holds for target in _named(book, record))
    # NOTE: to take a vote away gives its signer's earlier word back; that is no removal.
    voted_before = record.kind == "approval" and any(
        other.kind == "approval" and other.signer.person == record.signer.person
        for other in book.records
        if other is not record
    )
    return outcome(record).holds and not voted_before


def _named(book: Any, record: Any) -> list[Any]:
    """The records that a link ties to controls."""
    items = record.statement.body["records"] if record.kind == "link" else ()
    return [book.records[item["index"]] for item in items]


@NO_DEADLINE
@given(story=_story, place=st.integers(0, 11))
def test_exceptions_move_no_state_by_the_evidence(story: Any, place: int, new_book: Any) -> None:
    """Without a waiver or a decision the evidence stands as it did; without a waiver nothing is
    excused that was not, and controls that it does not name are the same to the last reason.

    One that somebody voted on is left out: an approval may carry a control, and only while what it
    approves is there.
    """
    book = _fill(new_book(), story)
    voted = {item["sha256"] for record in book.records for item in _votes_on(record)}
    exceptions = [
        record
        for record in book.records
        if record.kind in EXCEPTIONS
        and not record.statement.supersedes
        and record.sha256 not in voted
    ]
    if not exceptions:
        return
    gone = exceptions[place % len(exceptions)]
    before = _evaluate(book, book.records)
    after = _evaluate(book, [record for record in book.records if record is not gone])
    assert _by_evidence(after) == _by_evidence(before)
    if gone.kind == "waiver":
        assert _excepted(after).keys() <= _excepted(before).keys()
    untouched = set(CONTROLS) - set(_controls_of(gone))
    then, now = ({item.id: item for item in found.controls} for found in (before, after))
    assert all(then[control] == now[control] for control in untouched)


def _votes_on(record: Any) -> list[dict[str, Any]]:
    return list(record.statement.body["records"]) if record.kind == "approval" else []


def _controls_of(exception: Any) -> list[str]:
    items = exception.statement.body["controls"]
    return [item["control"] if isinstance(item, dict) else item for item in items]


@NO_DEADLINE
@given(story=_story, place=st.integers(0, 11))
def test_what_is_taken_back_is_as_if_it_had_never_been(
    story: Any, place: int, new_book: Any
) -> None:
    """A record that its author retracts leaves every control as its absence would: a "yes", a "no",
    an approval, a link, a waiver, a decision alike. A retraction alone cannot be taken back."""
    book = _fill(new_book(), story)
    if not book.records:
        return
    gone = book.records[place % len(book.records)]
    rest = [record for record in book.records if record is not gone]
    without, held = _evaluate(book, rest), _evaluate(book, book.records)
    named = [gone.ref.to_json()]
    book.add("retraction", signer=gone.signer.name.lower(), records=named, reason="it was wrong")
    after = _evaluate(book, book.records)
    assert after.catalogs == (held if gone.kind == "retraction" else without).catalogs


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
    alone = _by_evidence(_evaluate(book, book.records, NONE))
    for control in _evaluate(book, book.records).controls:
        state = control.underlying or control.state
        assert BEST[state] >= BEST[alone[control.id]]
        lenders = {
            reason.path[0].first
            for reason in control.reasons
            if reason.code in ("evidence.carried", "evidence.helps")
        }
        assert all(BEST[state] <= BEST[alone[lender]] for lender in lenders)
        assert lenders or state is alone[control.id]


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
