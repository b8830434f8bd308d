"""The crosswalk: its facts, its paths, and evidence that carries over along them."""

from __future__ import annotations

import itertools
from collections import Counter
from dataclasses import replace
from typing import Any

import pytest

from muniment.controls.catalog import Catalog, load_catalog, load_catalogs
from muniment.controls.coverage import ControlResult, Coverage, State
from muniment.controls.crosswalk import NONE, Crosswalk, Fit, Pair, Path, Paths, Source
from muniment.controls.crosswalk import load_crosswalk as load
from muniment.controls.evaluator import evaluate
from muniment.controls.profile import Profile, load_profile
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError

NIST, ISO, EU = "nist-ai-rmf-1.0", "iso-42001-2023", "eu-ai-act-high-risk"
ACCURACY = f"{EU}:AIA-15.1"
"""An approved eval-result, 180 days; close to MEASURE 2.5 and to A.6.2.4."""
VALIDITY = f"{NIST}:MEASURE 2.5"
"""An approved eval-result, 180 days."""
CHECKS = f"{ISO}:A.6.2.4"
"""An approved eval-result, 180 days; an unrated pair with MEASURE 2.5, two close hops through
ACCURACY."""
INVENTORY, STAKES = f"{NIST}:GOVERN 1.6", f"{ISO}:4.2"
PRODUCTION = load_profile("production")


def _evaluate(
    book: Any,
    *catalogs: str,
    profile: Profile = PRODUCTION,
    crosswalk: Crosswalk | None = None,
    sources: list[str] | None = None,
) -> Coverage:
    return evaluate(
        book.records,
        [load_catalog(name) for name in catalogs],
        profile,
        book.system,
        book.now,
        book.model,
        load() if crosswalk is None else crosswalk,
        None if sources is None else [load_catalog(name) for name in sources],
    )


def _result(coverage: Coverage, control: str) -> ControlResult:
    return next(item for item in coverage.controls if item.id == control)


def _codes(result: ControlResult) -> set[str]:
    return {reason.code for reason in result.reasons}


# Facts


def test_counts() -> None:
    """There are 557 pairs: 280 published, and 22, 143 and 112 inferred; 15 leave the catalogs."""
    crosswalk = load()
    catalogs = Counter(
        (pair.first.partition(":")[0], pair.second.partition(":")[0], str(pair.source))
        for pair in crosswalk.pairs
    )
    outside = Counter(item.control.partition(":")[0] for item in crosswalk.outside)
    assert catalogs == {
        (NIST, ISO, "published"): 280,
        (NIST, ISO, "inferred"): 22,
        (NIST, EU, "inferred"): 143 - 9,
        (ISO, EU, "inferred"): 112 - 6,
    }
    assert outside == {NIST: 9, ISO: 6}
    assert len(crosswalk.pairs) + len(crosswalk.outside) == 557


def test_every_pair_joins_controls_that_exist() -> None:
    """No pair names a control that its catalog lacks, and none stands twice."""
    crosswalk = load()
    controls = {control.id for catalog in load_catalogs() for control in catalog.controls}
    assert crosswalk.among(controls).pairs == crosswalk.pairs
    assert Crosswalk.from_json(crosswalk.to_json()).pairs == crosswalk.pairs
    assert {item.control for item in crosswalk.outside} <= controls


def test_fit_and_doubts() -> None:
    """Pairs of NIST and ISO are unrated, for their source rates none; four numbers are in doubt."""
    for pair in load().pairs:
        assert (pair.fit is Fit.UNRATED) is pair.second.startswith(ISO)
    assert len([pair for pair in load().pairs if pair.doubt]) == 4


def test_embedded_crosswalk_is_the_same() -> None:
    """What a packet embeds reads back with the same digest."""
    again = Crosswalk.from_json(strictjson.loads(strictjson.canonical(load().to_json())))
    assert again.sha256 == load().sha256


def test_only_catalogs_in_use_take_part() -> None:
    """Pairs of a catalog that is not there are left out, whole catalogs at a time."""
    nist_and_eu = {item.id for name in (NIST, EU) for item in load_catalog(name).controls}
    assert len(load().among(nist_and_eu).pairs) == 134
    assert load().among({item.id for item in load_catalog(NIST).controls}).pairs == ()
    assert load().reaching([NIST], [NIST, "readiness-gate"]) == []
    assert load().reaching(["readiness-gate"], [NIST, ISO, EU]) == []
    assert load().reaching([EU], [NIST, ISO, "readiness-gate"]) == [NIST, ISO]


# Bad data


def _document(*pairs: tuple[str, str], **changes: Any) -> dict[str, Any]:
    return {
        "crosswalk": "own",
        "name": "Own",
        "pairs": [
            {"from": first, "to": second, "source": "published", "fit": "close", **changes}
            for first, second in pairs
        ],
    }


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (None, "crosswalk.malformed"),
        ({}, "crosswalk.malformed"),
        (_document(("GOVERN 1.1", f"{ISO}:4.1")), "crosswalk.malformed"),
        (_document((VALIDITY, CHECKS), fit="good"), "crosswalk.malformed"),
        (_document((VALIDITY, CHECKS), source="me"), "crosswalk.malformed"),
        (_document((VALIDITY, CHECKS), extra=1), "crosswalk.malformed"),
        (_document((VALIDITY, CHECKS), (CHECKS, VALIDITY)), "crosswalk.duplicate"),
        (_document((VALIDITY, VALIDITY)), "crosswalk.same-catalog"),
        (_document((VALIDITY, INVENTORY)), "crosswalk.same-catalog"),
    ],
)
def test_bad_crosswalks_are_refused(document: Any, code: str) -> None:
    """A crosswalk from a stranger's packet is checked before anything is carried over it."""
    with pytest.raises(InputError) as caught:
        Crosswalk.from_json(document)
    assert caught.value.code == code


def test_a_crosswalk_to_a_missing_control_is_an_error(book: Any) -> None:
    """A pair that names a control which a catalog at hand lacks is named, not skipped."""
    crosswalk = Crosswalk.from_json(_document((VALIDITY, f"{ISO}:A.99.9")))
    with pytest.raises(InputError, match=r"no control iso-42001-2023:A\.99\.9") as caught:
        _evaluate(book, NIST, ISO, crosswalk=crosswalk)
    assert caught.value.code == "crosswalk.unknown-control"
    assert _evaluate(book, NIST, crosswalk=crosswalk).crosswalk_sha256 is None


# Paths


def _pair(first: str, second: str, fit: Fit = Fit.CLOSE, source: Source = Source.PUBLISHED) -> Pair:
    return Pair(f"{first[0]}:{first}", f"{second[0]}:{second}", source, fit)


def _paths(*pairs: Pair, to: str = "c:c1", sources: str = "abc") -> list[tuple[str, ...]]:
    paths = Paths(Crosswalk("x", "X", pairs), set(sources)).to(to)
    return [tuple(item.partition(":")[2] for item in path.ids) for path in paths]


def test_two_close_hops_make_a_path() -> None:
    """Evidence comes over one hop of any fit or two that are close, never round to its catalog."""
    close, partial = _pair("a1", "b1"), _pair("a2", "b1", Fit.PARTIAL)
    last = _pair("b1", "c1")
    assert _paths(close, partial, last) == [("b1", "c1"), ("a1", "b1", "c1")]
    assert _paths(close, _pair("b1", "c1", Fit.PARTIAL)) == [("b1", "c1")]
    assert _paths(last, _pair("b1", "c2")) == [("b1", "c1")]
    assert _paths(last.turned(), close.turned()) == [("b1", "c1"), ("a1", "b1", "c1")]


def test_no_path_leads_through_a_catalog_that_lends_nothing() -> None:
    """Neither the beginning nor the middle of a path lies in a catalog that is not a source."""
    pairs = (_pair("a1", "b1"), _pair("b1", "c1"))
    assert _paths(*pairs, sources="a") == []
    assert _paths(*pairs, sources="b") == [("b1", "c1")]


def test_the_best_path_is_taken() -> None:
    """Close before partial even over two hops; then fewer hops; then published."""
    two = (_pair("a1", "b1"), _pair("b1", "c1"))
    assert ("a1", "b1", "c1") in _paths(*two, _pair("a1", "c1", Fit.PARTIAL))
    assert ("a1", "c1") in _paths(*two, _pair("a1", "c1"))
    inferred = _pair("a1", "b0", source=Source.INFERRED)
    assert ("a1", "b1", "c1") in _paths(*two, inferred, _pair("b0", "c1"))


def test_a_path_is_as_good_as_its_weakest_hop() -> None:
    """Fit is that of the weakest hop, and one inferred hop makes the path inferred."""
    path = Path((_pair("a1", "b1"), _pair("b1", "c1", Fit.PARTIAL, Source.INFERRED)))
    assert (path.fit, path.source) == (Fit.PARTIAL, Source.INFERRED)
    assert str(path) == "a:a1 → b:b1 (close, published) → c:c1 (partial, inferred)"


# Carry-over: each story fills a book; then the control, its state and a reason of it.


def _carried(book: Any) -> str:
    book.approve(book.add("eval-result", VALIDITY))
    return ACCURACY


def _carried_twice(book: Any) -> str:
    book.approve(book.add("eval-result", VALIDITY))
    return CHECKS


def _unapproved_there(book: Any) -> str:
    book.add("eval-result", VALIDITY)
    return ACCURACY


def _stale_there(book: Any) -> str:
    book.approve(book.add("eval-result", VALIDITY, age=181))
    return ACCURACY


def _failed_there(book: Any) -> str:
    book.approve(book.add("eval-result", VALIDITY, evaluated=0))
    return ACCURACY


def _helped(book: Any) -> str:
    """Unrated: GOVERN 1.1 and 4.1."""
    book.approve(book.add("risk-assessment", f"{NIST}:GOVERN 1.1"))
    return f"{ISO}:4.1"


def _wrong_kind(book: Any) -> str:
    """GOVERN 1.1 takes a policy, 4.1 does not."""
    book.approve(book.add("policy", f"{NIST}:GOVERN 1.1"))
    return f"{ISO}:4.1"


def _stricter_here(book: Any) -> str:
    """MEASURE 2.3 asks for no second person, ACCURACY does."""
    book.add("eval-result", f"{NIST}:MEASURE 2.3")
    return ACCURACY


def _one_fails(book: Any) -> str:
    """What one neighbour lends, another that fails keeps back."""
    book.approve(book.add("eval-result", VALIDITY))
    book.add("eval-result", f"{NIST}:MEASURE 2.3", evaluated=0)
    return ACCURACY


def _own_no(book: Any) -> str:
    """The control's own "no" is not outweighed."""
    book.approve(book.add("eval-result", VALIDITY))
    book.add("eval-result", ACCURACY, evaluated=0)
    return ACCURACY


def _own_evidence(book: Any) -> str:
    book.approve(book.add("eval-result", VALIDITY), book.add("eval-result", ACCURACY))
    return ACCURACY


def _partial_there(book: Any) -> str:
    """GOVERN 1.4 wants a policy as well; until it has one, it lends no whole evidence."""
    book.approve(book.add("risk-assessment", f"{NIST}:GOVERN 1.4"))
    return f"{EU}:AIA-9.1"


def _joined(book: Any) -> str:
    """One kind of its own, the other carried over."""
    book.approve(book.add("risk-assessment", f"{ISO}:8.2"), book.add("policy", f"{EU}:AIA-9.1"))
    return f"{EU}:AIA-9.1"


MET, PARTIAL, MISSING, FAILED = State.MET, State.PARTIAL, State.MISSING, State.FAILED


@pytest.mark.parametrize(
    ("story", "state", "code"),
    [
        (_carried, MET, "control.met-by-carry-over"),
        (_carried_twice, MET, "control.met-by-carry-over"),
        (_unapproved_there, MISSING, "evidence.missing"),
        (_stale_there, MISSING, "evidence.missing"),
        (_failed_there, MISSING, "evidence.missing"),
        (_helped, PARTIAL, "evidence.helps"),
        (_wrong_kind, MISSING, "evidence.missing"),
        (_stricter_here, MISSING, "evidence.missing"),
        (_one_fails, MISSING, "evidence.not-carried"),
        (_own_no, FAILED, "evidence.failed"),
        (_own_evidence, MET, "control.met"),
        (_partial_there, PARTIAL, "evidence.helps"),
        (_joined, MET, "evidence.carried"),
    ],
)
def test_carry_over(book: Any, story: Any, state: State, code: str) -> None:
    """What counts for one control counts for another only over close pairs, and says so."""
    control = story(book)
    result = _result(_evaluate(book, NIST, ISO, EU), control)
    assert result.state is state
    assert code in _codes(result)
    if code == "control.met":
        assert not any(reason.path for reason in result.reasons)


def test_the_way_is_on_record(book: Any) -> None:
    """The reason holds each hop with its source and fit, also in JSON, and the evidence counts."""
    _carried_twice(book)
    result = _result(_evaluate(book, NIST, ISO, EU), CHECKS)
    reason = next(item for item in result.reasons if item.code == "evidence.carried")
    assert reason.to_json()["path"] == [
        {"from": VALIDITY, "to": ACCURACY, "source": "inferred", "fit": "close"},
        {"from": ACCURACY, "to": CHECKS, "source": "inferred", "fit": "close"},
    ]
    assert str(Path(reason.path)) in reason.text
    assert [ref.index for ref in result.evidence] == [0]
    assert [ref.index for ref in result.approvals] == [1]


def test_helping_evidence_does_not_count(book: Any) -> None:
    """Evidence that only helps is named in a reason, but is no evidence of the control."""
    control = _helped(book)
    result = _result(_evaluate(book, NIST, ISO, EU), control)
    assert result.evidence == ()
    assert result.unblock == "attach a risk-assessment or a decision"


def test_what_is_carried_lapses_with_its_source(book: Any) -> None:
    """A control met by carry-over is fresh no longer than the control that lends."""
    record = book.add("eval-result", VALIDITY, valid_until=book.now.replace(month=7))
    book.approve(record)
    result = _result(_evaluate(book, NIST, EU), ACCURACY)
    assert result.fresh_until == book.now.replace(month=7)


def test_the_catalog_in_between_must_be_in_use(book: Any) -> None:
    """Without it there is no close way, though both ends are there; an unrated pair only helps."""
    _carried_twice(book)
    assert _result(_evaluate(book, NIST, ISO), CHECKS).state is PARTIAL
    assert _result(_evaluate(book, NIST, ISO, EU, sources=[NIST, ISO]), CHECKS).state is PARTIAL
    assert _result(_evaluate(book, NIST, ISO, EU), CHECKS).state is MET


def test_what_is_carried_over_is_not_carried_on(book: Any) -> None:
    """A control met only by carry-over lends nothing: three close hops in a row carry nothing."""
    _carried(book)
    ids = ("a:a1", "b:b1", "c:c1", "d:d1")
    control = next(item for item in load_catalog(NIST).controls if item.id == VALIDITY)
    pairs = [(VALIDITY, ids[0]), *itertools.pairwise(ids)]
    row = Crosswalk("x", "X", tuple(Pair(*ends, Source.PUBLISHED, Fit.CLOSE) for ends in pairs))
    catalogs = [Catalog(item[0], item, (replace(control, id=item),)) for item in ids]
    catalogs.append(load_catalog(NIST))
    coverage = evaluate(book.records, catalogs, PRODUCTION, book.system, book.now, book.model, row)
    assert [_result(coverage, item).state for item in ids] == [MET, MET, MISSING, MISSING]


def test_a_catalog_need_not_be_shown_to_lend(book: Any) -> None:
    """What is carried over does not depend on which catalogs an answer shows."""
    _carried(book)
    alone = _evaluate(book, EU, sources=[NIST, ISO])
    assert _result(alone, ACCURACY).state is MET
    assert [item.catalog for item in alone.catalogs] == [EU]
    assert list(alone.sources) == [NIST, ISO]
    together = _evaluate(book, NIST, ISO, EU)
    assert _result(together, ACCURACY) == _result(alone, ACCURACY)


def test_inferred_pairs_can_be_switched_off(book: Any) -> None:
    """A profile without inferred pairs carries over published ones alone, and differs by digest."""
    _carried(book)
    _helped(book)
    strict = replace(PRODUCTION, inferred=False)
    coverage = _evaluate(book, NIST, ISO, EU, profile=strict)
    assert _result(coverage, ACCURACY).state is MISSING
    assert _result(coverage, f"{ISO}:4.1").state is PARTIAL
    assert strict.sha256 != PRODUCTION.sha256
    assert Profile.from_json(strict.to_json()) == strict
    assert Profile.from_json(PRODUCTION.to_json()).inferred


def test_the_coverage_names_the_crosswalk(book: Any) -> None:
    """Coverage holds the digest of the pairs it used, and of the catalogs they lead from."""
    document = _evaluate(book, NIST, EU).to_json()
    catalogs = [load_catalog(name) for name in (NIST, EU)]
    controls = {control.id for catalog in catalogs for control in catalog.controls}
    assert document["crosswalk_sha256"] == load().among(controls).sha256
    assert document["sources"] == {catalog.id: catalog.sha256 for catalog in catalogs}
    without = _evaluate(book, NIST, EU, crosswalk=NONE).to_json()
    assert (without["crosswalk_sha256"], without["sources"]) == (None, {})


def test_a_rule_here_must_hold(book: Any) -> None:
    """Carried evidence meets the rule and the section of the control it comes to, too."""
    here = next(item for item in load_catalog(ISO).controls if item.id == CHECKS)
    strict = replace(here, requirement=replace(here.requirement, rule="section.evaluated > 500"))
    iso = Catalog(ISO, "ISO", (strict,))
    pair = Crosswalk("x", "X", (Pair(VALIDITY, CHECKS, Source.PUBLISHED, Fit.CLOSE),))
    catalogs = [load_catalog(NIST), iso]
    states = []
    for count in (500, 501):
        book.approve(book.add("eval-result", VALIDITY, evaluated=count))
        coverage = evaluate(
            book.records, catalogs, PRODUCTION, book.system, book.now, book.model, pair
        )
        states.append(_result(coverage, CHECKS).state)
    assert states == [MISSING, MET]
