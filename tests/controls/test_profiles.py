"""Profiles: layers, conditions, overrides, limits on metrics, and what lint finds."""

from __future__ import annotations

import copy
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from muniment.controls.catalog import load_catalog, load_catalogs
from muniment.controls.coverage import ControlResult, Coverage, State
from muniment.controls.evaluator import evaluate
from muniment.controls.gate import LedgerState, decide, to_body
from muniment.controls.layering import MAX_LAYERS, joined, layered
from muniment.controls.lint import Fault, lint, require_sound
from muniment.controls.profile import (
    Profile,
    resolve_profile,
    shipped_layers,
)
from muniment.controls.profile_form import check_layer
from muniment.schemas.errors import InputError, SchemaError
from muniment.schemas.kinds import KindRegistry

GOVERN, MEASURE = "nist-ai-rmf-1.0:GOVERN 1.1", "nist-ai-rmf-1.0:MEASURE 2.5"
METRIC = "fairness.demographic_parity_difference"
HEAD = {"profile": "bank", "version": "1", "name": "Bank", "description": "The bank's own."}
EVERYTHING: dict[str, Any] = {
    **HEAD,
    "blocks": {
        "readiness-gate": ["RG-5", "RG-1"],
        "nist-ai-rmf-1.0": {
            "controls": "all",
            "when": {"phase": ["production"], "riskTier": ["high"]},
        },
    },
    "overrides": {
        MEASURE: {
            "reason": "models drift",
            "validityDays": 30,
            "kinds": ["eval-result", "monitoring-report"],
            "minimumKinds": 2,
            "secondPerson": "expected",
            "approver": "risk",
        }
    },
    "thresholds": {METRIC: {"min": 0.01, "max": 0.1, "controls": [MEASURE]}},
    "inferred": False,
    "waivedBy": ["risk"],
    "maxWaiverDays": 90,
    "layers": ["production@1"],
}


def layer(**parts: Any) -> dict[str, Any]:
    """A layer called ``bank`` with these parts."""
    document = {**HEAD, **({} if parts.keys() & {"blocks", "extends"} else _NIST), **parts}
    check_layer(document)
    return document


_NIST = {"blocks": {"nist-ai-rmf-1.0": "all"}}


def profile(**parts: Any) -> Profile:
    """The profile that one layer makes."""
    return resolved("bank", layer(**parts))


def resolved(name: str, *layers: dict[str, Any]) -> Profile:
    """A profile of these layers and those that ship."""
    return resolve_profile(name, documents(*layers))


def documents(*layers: dict[str, Any]) -> dict[str, Any]:
    """These layers and those that ship, by id."""
    return {item["profile"]: item for item in (*shipped_layers().values(), *layers)}


def cover(book: Any, by: Profile) -> Coverage:
    """Coverage of all catalogs that ship."""
    return evaluate(book.records, load_catalogs(), by, book.system, book.now)


def result(book: Any, by: Profile, control: str = MEASURE) -> ControlResult:
    """The result of one control."""
    return next(item for item in cover(book, by).controls if item.id == control)


def codes(item: ControlResult) -> list[str]:
    """Codes of its reasons."""
    return [reason.code for reason in item.reasons]


# Layers

_value = st.sampled_from(["all", ["A"], ["B"]])
_layer = st.fixed_dictionaries(
    {},
    optional={
        "version": st.sampled_from(["1", "2"]),
        "inferred": st.booleans(),
        "waivedBy": st.sampled_from([["risk"], ["legal"]]),
        **{
            part: st.dictionaries(st.sampled_from(["x", "y", "z"]), _value, max_size=3)
            for part in ("blocks", "overrides", "thresholds")
        },
    },
)


@settings(deadline=None)
@given(_layer, _layer, _layer)
def test_layering_is_associative(one: Any, two: Any, three: Any) -> None:
    """It does not matter which two neighbouring layers are put together first."""
    assert joined(joined(one, two), three) == joined(one, joined(two, three))


@settings(deadline=None)
@given(st.lists(_layer, min_size=1, max_size=5))
def test_a_later_layer_has_the_last_word(layers: list[Any]) -> None:
    """Every entry is that of the last layer that has it, and nothing is lost."""
    whole = reduce(joined, layers)
    for part in ("blocks", "overrides", "thresholds"):
        names = {name for item in layers for name in item.get(part, {})}
        assert set(whole.get(part, {})) == names
        for name in names:
            *_, last = (item[part][name] for item in layers if name in item.get(part, {}))
            assert whole[part][name] == last


@settings(deadline=None)
@given(st.permutations(["a", "b", "c", "base"]))
def test_resolving_is_deterministic(order: list[str]) -> None:
    """The order in which documents lie about changes nothing; a base that two share stands once,
    below both, and undoes nothing."""
    made: dict[str, dict[str, Any]] = {
        "base": {**HEAD, "profile": "base", "blocks": {"x": "all", "y": "all"}},
        "a": {**HEAD, "profile": "a", "extends": "base", "blocks": {"x": ["1"]}},
        "b": {**HEAD, "profile": "b", "extends": "base", "blocks": {"y": ["2"]}},
        "c": {**HEAD, "profile": "c", "extends": ["a", "b"]},
    }
    found = resolve_profile("c", {name: made[name] for name in order})
    assert found == resolve_profile("c", made)
    assert found.blocks == {"x": ("1",), "y": ("2",)}
    assert found.layers == ("base@1", "a@1", "b@1")


def test_a_profile_stands_on_one_that_ships() -> None:
    """What is not said is as below; what is said replaces that entry alone."""
    own = resolved("bank", layer(extends="production", blocks={"iso-42001-2023": ["A.2.2"]}))
    assert own.blocks == {"readiness-gate": None, "iso-42001-2023": ("A.2.2",)}
    assert (str(own), own.layers) == ("bank@1", ("production@1",))


@pytest.mark.parametrize(
    ("extends", "code", "message"),
    [
        ({"bank": ["bank"]}, "profile.cycle", "bank → bank"),
        ({"bank": ["a"], "a": ["b"], "b": ["a"]}, "profile.cycle", "a → b → a"),
        ({"bank": ["prodution"]}, "profile.parent", "bank extends 'prodution'"),
        (
            {"bank": ["p0"], **{f"p{n}": [f"p{n + 1}"] for n in range(MAX_LAYERS)}},
            "profile.too-deep",
            f"more than {MAX_LAYERS} layers",
        ),
    ],
)
def test_layers_that_cannot_be_put_together(
    extends: dict[str, list[str]], code: str, message: str
) -> None:
    """Cycles and parents that are not there are named, by the gate and by lint."""
    layers = {
        name: {**HEAD, "profile": name, "extends": below, "blocks": {}}
        for name, below in extends.items()
    }
    known = documents(*layers.values())
    with pytest.raises(InputError, match=message) as caught:
        resolve_profile("bank", known)
    assert caught.value.code == code
    (fault,) = lint("bank", known, load_catalog, KindRegistry())
    assert (fault.code, fault.stops) == (code, True)


def test_a_missing_parent_suggests_the_nearest() -> None:
    """A slip in the name of a parent is met with the right one."""
    with pytest.raises(InputError) as caught:
        resolved("bank", layer(extends="prodution"))
    assert caught.value.hint == "did you mean production?"


# Form and digest


def test_a_whole_profile_reads_back() -> None:
    """What a packet embeds is the profile, field by field, and its digest."""
    own = Profile.from_json(EVERYTHING)
    assert own.to_json() == EVERYTHING
    assert Profile.from_json(own.to_json()).sha256 == own.sha256


def paths(value: Any, *path: Any) -> list[tuple[Any, ...]]:
    """The way to every leaf of a document."""
    if not isinstance(value, dict | list):
        return [path]
    items = value.items() if isinstance(value, dict) else enumerate(value)
    return [found for key, item in items for found in paths(item, *path, key)]


_OTHER: dict[Any, Any] = {
    **{"bank": "bench", "all": ["MAP 1.1"], "production": "pilot", "high": "limited"},
    **{"eval-result": "policy", "expected": "recommended", False: True},
}


@pytest.mark.parametrize("path", paths(EVERYTHING), ids=str)
def test_the_digest_covers_every_field(path: tuple[Any, ...]) -> None:
    """Whatever is changed of a profile, its digest changes."""
    changed = copy.deepcopy(EVERYTHING)
    *way, last = path
    place = reduce(lambda item, key: item[key], way, changed)
    old = place[last]
    if isinstance(old, bool) or old in _OTHER:
        place[last] = _OTHER[old]
    else:
        place[last] = old + "1" if isinstance(old, str) else old + 1
    assert Profile.from_json(changed).sha256 != Profile.from_json(EVERYTHING).sha256


@pytest.mark.parametrize(
    "parts",
    [
        {"blocks": {"x": {"controls": "all"}}},
        {"blocks": {"x": {"controls": "all", "when": {}}}},
        {"blocks": {"x": {"controls": "all", "when": {"phase": ["soon"]}}}},
        {"overrides": {MEASURE: {"validityDays": 3}}},
        {"overrides": {MEASURE: {"reason": "why not"}}},
        {"overrides": {MEASURE: {"reason": "why not", "rule": "true"}}},
        {"thresholds": {METRIC: {}}},
        {"thresholds": {METRIC: {"max": "0.1"}}},
        {"thresholds": {METRIC: {"max": float("nan")}}},
        {"maxWaiverDays": 0},
        {"extends": []},
        {"extends": "Bank"},
        {"layers": ["production@1"]},
    ],
    ids=str,
)
def test_malformed_layers(parts: dict[str, Any]) -> None:
    """An override without a reason or without effect, a limit that limits nothing and the like are
    refused by the form."""
    with pytest.raises(SchemaError, match="not a profile"):
        layer(**parts)


# Phase and risk tier

WHEN = {
    "readiness-gate": ["RG-5"],
    "nist-ai-rmf-1.0": {"controls": ["GOVERN 1.1"], "when": {"riskTier": ["high"]}},
}


@pytest.mark.parametrize(
    ("tiers", "blocks"),
    [([], True), (["high"], True), (["limited"], False), (["limited", "high"], True)],
)
def test_a_block_for_some_systems(book: Any, tiers: list[str], blocks: bool) -> None:
    """A block with a condition is lifted only where every current record of the system says that
    it is not meant; the decision then names the records that say so."""
    records = [book.add("system", riskTier=tier) for tier in tiers]
    vote = book.approve(*records)
    own = profile(blocks=WHEN)
    coverage = cover(book, own)
    decision = decide(coverage, own)
    assert (GOVERN in {item.id for item in decision.scope}) is blocks
    said = [item for item in coverage.left_out if item.code == "profile.exempt"]
    assert [item.records for item in said] == ([] if blocks else [(book.records[0].ref, vote.ref)])
    if not blocks:
        body = to_body(decision, "1", LedgerState("a.example.com", 1, "e" * 64))
        assert book.records[0].sha256 in {
            item["digest"]["sha256"] for item in body["inputAttestations"]
        }


WEAKER: dict[str, tuple[dict[str, Any], str]] = {
    "fewer controls": (
        {"blocks": {"readiness-gate": ["RG-5"]}},
        "it blocks on less of readiness-gate",
    ),
    "fewer systems": (
        {"blocks": {"readiness-gate": {"controls": "all", "when": {"phase": ["production"]}}}},
        "it blocks on less of readiness-gate",
    ),
    "more who waive": ({"waivedBy": ["risk", "intern"]}, "intern may waive as well"),
    "more who rule out": ({"excludedBy": ["risk", "intern"]}, "intern may rule out as well"),
    "longer waivers": ({"maxWaiverDays": 200}, "a waiver may last 200 days, not 90"),
    "pairs nobody published": ({"inferred": True}, "pairs that nobody published count"),
    "a looser limit": ({"thresholds": {METRIC: {"max": 0.5}}}, f"its limit on {METRIC} is looser"),
    "a limit dropped on one side": (
        {"thresholds": {METRIC: {"min": 0.0}}},
        f"its limit on {METRIC} is looser",
    ),
}
STRICT = {
    **HEAD,
    "profile": "strict",
    "blocks": {"readiness-gate": "all"},
    "thresholds": {METRIC: {"max": 0.1}},
    "inferred": False,
    "waivedBy": ["risk"],
    "maxWaiverDays": 90,
}


@pytest.mark.parametrize("name", WEAKER)
def test_a_profile_that_asks_for_less_says_so(name: str, book: Any) -> None:
    """Whatever a profile takes away from one that it extends, itself or through another, is named
    in coverage with the one it is taken from, and lint asks for a reason."""
    parts, words = WEAKER[name]
    weak = layer(extends="strict", **parts)
    child = {**layer(extends="bank"), "profile": "child"}
    for who, said in (("bank", "strict@1"), ("child", "strict@1")):
        known = documents(STRICT, weak, child)
        found = resolve_profile(who, known)
        assert Profile.from_json(found.to_json()) == found
        (text,) = found.weaker
        assert text == f"{said}: {words}"
        (reason,) = (item for item in cover(book, found).left_out if item.code == "profile.weaker")
        assert words in reason.text and reason.text.endswith("it does not say why")
        faults = lint(who, known, load_catalog, KindRegistry())
        assert "profile.weaker" in {item.code for item in faults}
    excused = documents(STRICT, {**weak, "reason": "A trial of six weeks."})
    assert "profile.weaker" not in {
        item.code for item in lint("bank", excused, load_catalog, KindRegistry())
    }
    assert "why: A trial" in str(resolve_profile("bank", excused).weakness)


@pytest.mark.parametrize(
    "parts",
    [
        {},
        {"blocks": {"nist-ai-rmf-1.0": "all"}},
        {"waivedBy": []},
        {"excludedBy": ["risk"]},
        {"maxWaiverDays": 30},
        {"thresholds": {METRIC: {"max": 0.05}}},
    ],
)
def test_a_profile_that_asks_for_more_is_not_weaker(parts: dict[str, Any], book: Any) -> None:
    """Asking for as much, or more, is nothing to remark."""
    found = resolved("bank", STRICT, layer(extends="strict", **parts))
    assert (found.weaker, found.weakness) == ((), None)


def test_nobody_lifts_a_block_alone(book: Any) -> None:
    """A system record with a lower tier lifts no block until a second person has approved it; its
    signer's own approval, of another key, does not, and neither does one that is rejected too."""
    own = profile(blocks=WHEN)

    def said() -> tuple[bool, list[tuple[str, tuple[Any, ...]]]]:
        coverage = cover(book, own)
        blocks = GOVERN in {item.id for item in decide(coverage, own).scope}
        remarks = [item for item in coverage.left_out if item.code.startswith("profile.")]
        return blocks, [(item.code, item.records) for item in remarks]

    high = book.add("system", riskTier="high")
    book.approve(high)
    assert said() == (True, [])
    low = book.add("system", riskTier="limited", supersedes=high)
    stands = (True, [("profile.exempt-unapproved", (low.ref,))])
    assert said() == stands
    book.approve(low, signer="alice-approver")
    assert said() == stands
    vote = book.approve(low)
    assert said() == (False, [("profile.exempt", (low.ref, vote.ref))])
    book.approve(low, signer="carol", decision="rejected")
    assert said() == stands


def test_a_gate_with_nothing_left_to_ask_does_not_pass(book: Any) -> None:
    """Where no block is meant for the system, nothing was shown."""
    book.approve(book.add("system", riskTier="minimal"))
    own = profile(blocks={"nist-ai-rmf-1.0": WHEN["nist-ai-rmf-1.0"]})
    decision = decide(cover(book, own), own)
    assert (decision.passed, [item.code for item in decision.reasons]) == (False, ["gate.empty"])


# Overrides


def override(**fields: Any) -> Profile:
    """A profile that overrides the control about validity of the model."""
    return profile(overrides={MEASURE: {"reason": "models drift", **fields}})


def approved(book: Any, **fields: Any) -> Any:
    """An eval result for that control, approved."""
    record = book.add("eval-result", MEASURE, **fields)
    book.approve(record)
    return record


def test_an_override_shortens(book: Any) -> None:
    """Evidence that the catalog would take is too old for the profile, which says why."""
    approved(book, age=40)
    assert result(book, profile()).state is State.MET
    found = result(book, override(validityDays=30))
    assert found.state is State.STALE
    said = next(item for item in found.reasons if item.code == "requirement.overridden")
    assert said.text == "bank@1 asks otherwise than the catalog: models drift"


def test_an_override_of_kinds(book: Any) -> None:
    """Other kinds carry the control, and more of them are wanted."""
    approved(book)
    wanted = {"kinds": ["eval-result", "monitoring-report"], "minimumKinds": 2}
    assert result(book, override(**wanted)).state is State.PARTIAL
    assert result(book, override(kinds=["policy"])).state is State.MISSING


@pytest.mark.parametrize(("wanted", "state"), [("risk", "met"), ("legal", "unapproved")])
def test_an_override_of_the_approver(book: Any, wanted: str, state: str) -> None:
    """Only an approval in the function that the profile wants counts."""
    approved(book)
    found = result(book, override(approver=wanted))
    assert found.state == state
    if state == "unapproved":
        assert "nobody who approves as legal has approved #0" in found.reasons[-1].text
        assert found.unblock == "have #0 approved by an approver other than Alice, as legal"
        assert found.command == 'muniment approve "#0" --key KEY --role legal'


def test_an_override_that_asks_for_no_second_person(book: Any) -> None:
    """A profile may do without approval where it says why."""
    book.add("eval-result", MEASURE)
    assert result(book, profile()).state is State.UNAPPROVED
    assert result(book, override(secondPerson="not-needed")).state is State.MET


# Limits on metrics


def limited(**limit: Any) -> Profile:
    """A profile that limits one metric."""
    return profile(thresholds={METRIC: {"max": 0.1, **limit}})


def figures(*values: float | None, **more: Any) -> list[dict[str, Any]]:
    """The metrics of a body: one that decides, and the limited one with these values."""
    auc = {"name": "auc", "value": 0.9, "threshold": 0.8, "direction": "higher"}
    return [auc, *({"name": METRIC, "value": value, **more} for value in values)]


@pytest.mark.parametrize(
    ("metrics", "state", "code"),
    [
        (figures(0.1), "met", "threshold.held"),
        (figures(0.11), "failed", "threshold.failed"),
        (figures(0.05, 0.2), "failed", "threshold.failed"),
        (figures(None), "failed", "threshold.failed"),
        (figures(), "partial", "threshold.missing"),
        (figures(0.05, slice="age<25"), "partial", "threshold.missing"),
        (figures(0.2, slice="age<25"), "failed", "threshold.failed"),
        (figures(0.15, threshold=0.2, direction="lower"), "failed", "threshold.failed"),
        (figures(0.05, threshold=0.01, direction="lower"), "failed", "evidence.failed"),
    ],
)
def test_a_limited_metric(book: Any, metrics: Any, state: str, code: str) -> None:
    """A control is met only if the metric is shown over all the data and every figure of that name
    is within the limit; of the record's own threshold and the profile's the stricter decides."""
    approved(book, metrics=metrics)
    found = result(book, limited(controls=[MEASURE]))
    assert (found.state, code in codes(found)) == (state, True)
    assert result(book, limited(controls=[GOVERN])).state == (
        "failed" if code == "evidence.failed" else "met"
    )


def test_a_metric_in_a_record_that_claims_nothing(book: Any) -> None:
    """The metric may stand in any record about the model; it is no second kind of evidence, and
    the control lapses with it."""
    approved(book)
    shown = book.add("eval-result", metrics=figures(0.05), age=100)
    own = limited(controls=[MEASURE])
    assert result(book, own).state is State.PARTIAL
    vote = book.approve(shown)
    found = result(book, own)
    assert (found.state, shown.ref in found.evidence) == (State.MET, False)
    held = next(item for item in found.reasons if item.code == "threshold.held")
    assert held.records == (shown.ref, vote.ref)
    assert found.fresh_until is not None
    assert found.fresh_until < (result(book, profile()).fresh_until or book.now)


@pytest.mark.parametrize(
    "fault",
    [
        {"age": 4000},
        {"model": {"name": "m", "sha256": "b" * 64}},
        {"evaluated": 0},
    ],
    ids=["stale", "other model", "nothing evaluated"],
)
def test_a_metric_that_does_not_count(book: Any, fault: dict[str, Any]) -> None:
    """A figure that is old, of another model or of a run that says no shows nothing."""
    book.add("system")
    approved(book)
    book.approve(book.add("eval-result", metrics=figures(0.05), **fault))
    found = result(book, limited(controls=[MEASURE]))
    assert (found.state, "threshold.missing" in codes(found)) == (State.PARTIAL, True)
    assert "auc" not in str(found.unblock)
    assert METRIC in str(found.unblock)


def test_a_monitoring_report_must_name_the_model(book: Any) -> None:
    """A report that names no model may break a limit, but not hold it."""
    book.add("system")
    approved(book)
    own = limited(controls=[MEASURE])
    book.approve(book.add("monitoring-report", metrics=figures(0.05)))
    assert result(book, own).state is State.PARTIAL
    named = {"model": {"name": "m", "sha256": book.model}}
    book.approve(book.add("monitoring-report", metrics=figures(0.05), **named))
    assert result(book, own).state is State.MET
    book.add("monitoring-report", metrics=figures(0.5))
    assert result(book, own).state is State.FAILED


_report = st.fixed_dictionaries(
    {
        "kind": st.sampled_from(["eval-result", "monitoring-report"]),
        "claims": st.booleans(),
        "approved": st.booleans(),
        "value": st.sampled_from([None, 0.05, 0.05, 0.2]),
        "slice": st.booleans(),
        "age": st.sampled_from([1, 100, 4000]),
    }
)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(_report, max_size=5), st.randoms())
def test_order_and_removal_of_measurements(new_book: Any, reports: list[Any], luck: Any) -> None:
    """The order of records changes nothing, and without a record that does not itself say no, a
    control is never better off."""
    book = new_book()
    book.add("system")
    for item in reports:
        more = {"slice": "age<25"} if item["slice"] else {}
        claims = [MEASURE] if item["claims"] else []
        metrics = figures(item["value"], **more)
        record = book.add(item["kind"], *claims, age=item["age"], metrics=metrics)
        if item["approved"]:
            book.approve(record)
    own = limited(controls=[MEASURE])
    nist = load_catalog("nist-ai-rmf-1.0")
    only = tuple(control for control in nist.controls if control.id == MEASURE)

    def judge(records: list[Any]) -> Coverage:
        return evaluate(records, [replace(nist, controls=only)], own, book.system, book.now)

    whole = judge(book.records)
    shuffled = book.records.copy()
    luck.shuffle(shuffled)
    assert judge(shuffled) == whole
    best, state = list(State), whole.controls[0].state
    for gone in range(1, len(book.records) if state is not State.FAILED else 0):
        left = judge([item for item in book.records if item.index != gone])
        assert best.index(left.controls[0].state) <= best.index(state)


def test_a_limit_on_whatever_may_show_it(book: Any) -> None:
    """Without controls, every control hangs on the limit that blocks and takes measurements."""
    coverage = cover(book, limited())
    hanging = {item.id for item in coverage.controls if "threshold.missing" in codes(item)}
    assert hanging == {
        control.id
        for control in load_catalog("nist-ai-rmf-1.0").controls
        if {"eval-result", "monitoring-report"} & set(control.requirement.any_of)
    }


# Lint


def faults(*layers: dict[str, Any], name: str = "bank") -> list[Fault]:
    """What lint says of a profile of these layers."""
    return lint(name, documents(*layers), load_catalog, KindRegistry())


@pytest.mark.parametrize("name", list(shipped_layers()))
def test_what_ships_is_sound(name: str) -> None:
    """No profile that ships has a fault."""
    assert faults(name=name) == []


@pytest.mark.parametrize(
    ("parts", "code", "stops", "words"),
    [
        ({"blocks": {}}, "profile.empty", True, "blocks on nothing"),
        ({"blocks": {"nist": "all"}}, "profile.unknown-catalog", True, "nist"),
        ({"blocks": {"bsi": "all"}}, "profile.unknown-catalog", True, "bsi"),
        (
            {"blocks": {"readiness-gate": ["rg 5"]}},
            "profile.unknown-control",
            True,
            "did you mean readiness-gate:RG-5?",
        ),
        (
            {"overrides": {"GOVERN 1.1": {"reason": "r", "validityDays": 9}}},
            "profile.unknown-control",
            True,
            "write CATALOG:CONTROL",
        ),
        (
            {"thresholds": {METRIC: {"max": 1, "controls": [MEASURE, "bsi:X"]}}},
            "profile.unknown-catalog",
            True,
            "bsi",
        ),
        (
            {"overrides": {MEASURE: {"reason": "r", "kinds": ["eval-result", "evalresult"]}}},
            "profile.unknown-kind",
            True,
            "did you mean eval-result?",
        ),
        (
            {"overrides": {MEASURE: {"reason": "r", "minimumKinds": 9}}},
            "profile.impossible",
            True,
            "wants 9 kinds",
        ),
        (
            {"overrides": {MEASURE: {"reason": "r", "kinds": ["link"]}}},
            "profile.impossible",
            True,
            "none of those",
        ),
        (
            {
                "blocks": {"readiness-gate": "all"},
                "overrides": {"readiness-gate:RG-5": {"reason": "r", "kinds": ["policy"]}},
            },
            "profile.impossible",
            True,
            "with an ownership part",
        ),
        (
            {"overrides": {MEASURE: {"reason": "r", "validityDays": 0}}},
            "profile.impossible",
            True,
            "count for no day",
        ),
        ({"thresholds": {METRIC: {"min": 2, "max": 1}}}, "profile.impossible", True, "at least 2"),
        (
            {"thresholds": {METRIC: {"max": 1, "controls": ["iso-42001-2023:A.2.2"]}}},
            "profile.dead-threshold",
            True,
            "would be ignored",
        ),
        (
            {"blocks": {"nist-ai-rmf-1.0": {"controls": "all", "when": {"phase": []}}}},
            "profile.dead-block",
            True,
            "never applies",
        ),
        (
            {"overrides": {"iso-42001-2023:A.2.2": {"reason": "r", "validityDays": 9}}},
            "profile.dead-override",
            False,
            "does not block",
        ),
        (
            {"overrides": {MEASURE: {"reason": "r", "secondPerson": "expected"}}},
            "profile.dead-override",
            False,
            "asks anyway",
        ),
        (
            {
                "overrides": {
                    MEASURE: {"reason": "r", "secondPerson": "not-needed", "approver": "x"}
                }
            },
            "profile.dead-override",
            False,
            "nobody need approve",
        ),
        ({"maxWaiverDays": 9}, "profile.dead-waiver", False, "nobody may waive"),
        (
            {"extends": "production", "blocks": {"readiness-gate": "all"}},
            "profile.restated",
            False,
            "say the same",
        ),
    ],
)
def test_lint(parts: dict[str, Any], code: str, stops: bool, words: str) -> None:
    """Each fault is found, alone, and stops the gate if what is asked for would not be asked."""
    (fault,) = faults(layer(**parts))
    assert (fault.code, fault.stops) == (code, stops)
    assert words in f"{fault.text} {fault.hint}"
    if not stops:
        require_sound("bank", [fault])
        return
    with pytest.raises(InputError, match="profile bank cannot be used") as caught:
        require_sound("bank", [fault])
    assert caught.value.code == code


def test_a_layer_shadowed_by_its_neighbour() -> None:
    """Of two parents the later wins; that is found, unless the profile settles it itself."""
    a = {**layer(), "profile": "a", "blocks": {"readiness-gate": ["RG-1"]}}
    own = layer(extends=["a", "pilot"])
    weaker, fault = faults(a, own)
    assert weaker.code == "profile.weaker"
    assert (fault.code, fault.where) == ("profile.shadowed", "blocks.readiness-gate")
    settled = layer(extends=["a", "pilot"], blocks={"readiness-gate": "all"}, waivedBy=[])
    assert faults(a, settled) == []


def test_layered_keeps_no_word_of_what_it_extends() -> None:
    """The resolved document names its layers, and is one that a packet can hold."""
    below = shipped_layers()["pilot"]
    found = layered([below, layer(extends="pilot")])
    assert "extends" not in found
    assert Profile.from_json(found).layers == ("pilot@1",)
