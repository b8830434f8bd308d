"""Catalogs: counts, ids as people write them, digests and the embedded form."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.catalog import (
    Catalog,
    Control,
    catalog_named,
    find_control,
    load_catalog,
    load_catalogs,
    resolve,
)
from muniment.controls.data import read_yaml
from muniment.controls.requirement import SecondPerson
from muniment.schemas import strictjson
from muniment.schemas.errors import InputError
from muniment.schemas.kinds import KindRegistry

NIST, ISO, GATE = "nist-ai-rmf-1.0", "iso-42001-2023", "readiness-gate"
GENERATIVE, EU = "nist-ai-600-1", "eu-ai-act-high-risk"


def _groups(name: str) -> Counter[str]:
    return Counter(control.group for control in load_catalog(name).controls)


def test_counts() -> None:
    """NIST has 72 subcategories, ISO 32 leaf clauses and 38 controls, the gate 29 checks."""
    assert _groups(NIST) == {"GOVERN": 19, "MAP": 18, "MEASURE": 22, "MANAGE": 13}
    iso = _groups(ISO)
    assert sum(count for group, count in iso.items() if group.startswith("Clause ")) == 32
    areas = {group: count for group, count in iso.items() if group.startswith("A.")}
    assert list(areas.values()) == [3, 2, 5, 4, 9, 5, 4, 3, 3]
    assert _groups(GATE) == {"six-check": 6, "blocker": 23}


def test_counts_of_nist_600_1() -> None:
    """NIST AI 600-1 has 212 actions under 49 subcategories that exist, against 12 risks."""
    assert _groups(GENERATIVE) == {"GOVERN": 58, "MAP": 39, "MEASURE": 72, "MANAGE": 43}
    controls = load_catalog(GENERATIVE).controls
    parents = {_fact(control, "parent") for control in controls}
    assert len(parents) == 49
    assert parents <= {control.id for control in load_catalog(NIST).controls}
    risks = Counter(
        value.partition(",")[0]
        for control in controls
        for name, value in control.facts
        if name == "risk"
    )
    assert risks == read_yaml("catalogs/nist-ai-600-1.yaml")["counts"]["actions_by_risk"]
    assert len(risks) == 12


def test_actions_ask_for_what_their_subcategory_asks_for() -> None:
    """The requirement of an action is its parent's, and its reason says so."""
    parents = {control.id: control.requirement for control in load_catalog(NIST).controls}
    for control in load_catalog(GENERATIVE).controls:
        parent = _fact(control, "parent")
        assert control.requirement.reason.startswith(f"As {parent.partition(':')[2]} of the AI RMF")
        assert replace(control.requirement, reason="") == replace(parents[parent], reason="")


def test_counts_of_the_eu_ai_act() -> None:
    """The EU AI Act has 69 requirements in 22 articles and 16 items of Annex IV."""
    groups = _groups(EU)
    assert groups.pop("Annex IV") == 16
    assert len(groups) == 22
    assert sum(groups.values()) == 69


def test_dates_and_their_doubts_are_kept() -> None:
    """Every requirement of the EU AI Act has its date, its basis and how sure it is."""
    controls = {control.short_id: control for control in load_catalog(EU).controls}
    for control in controls.values():
        names = {name for name, _ in control.facts}
        assert {"reference", "role", "basis", "confidence", "dates-as-of"} <= names
        assert any(name.startswith("applies") for name in names)
    assert _fact(controls["AIA-9.1"], "applies-annex-iii") == "2027-12-02"
    assert _fact(controls["AIA-IV.1"], "applies-annex-i") == "2028-08-02"
    assert _fact(controls["AIA-10.5"], "applies") == "2026-07-27"
    assert _fact(controls["AIA-49.2"], "confidence").startswith("medium")
    assert "unknown" in _fact(controls["AIA-72.3"], "amended")


def _fact(control: Control, name: str) -> str:
    return next(value for known, value in control.facts if known == name)


def test_fields_of_the_gate() -> None:
    """The readiness gate has 224 fields."""
    controls = read_yaml("catalogs/readiness-gate.yaml")["controls"]
    assert sum(len(control["fields"]) for control in controls) == 224


def test_ids_and_prose_are_unique() -> None:
    """No id stands twice, and no two controls of any catalogs share a title or a summary.

    The summary of an action of NIST AI 600-1 only lists its parent and its risks.
    """
    controls = [control for catalog in load_catalogs() for control in catalog.controls]
    own = [control for control in controls if not control.id.startswith(GENERATIVE)]
    for values in (
        [control.id for control in controls],
        [control.title.casefold() for control in controls],
        [control.summary.casefold() for control in own],
    ):
        assert [value for value, count in Counter(values).items() if count > 1] == []


def test_no_two_catalogs_share_prose() -> None:
    """No six words in a row stand in titles, summaries or facts of two catalogs."""
    told: dict[str, str] = {}
    for catalog in load_catalogs():
        for control in catalog.controls:
            for text in (control.title, control.summary, *(value for _, value in control.facts)):
                words = re.findall(r"[a-z0-9]+", text.lower())
                for at in range(len(words) - 5):
                    run = " ".join(words[at : at + 6])
                    assert told.setdefault(run, catalog.id) == catalog.id, (control.id, run)


def test_requirements_name_kinds_that_exist() -> None:
    """Every kind a requirement asks for has a schema, and enough of them to be met."""
    known = {kind.name for kind in KindRegistry()}
    for catalog in load_catalogs():
        for control in catalog.controls:
            requirement = control.requirement
            assert {*requirement.any_of, *requirement.supporting} <= known
            assert 1 <= requirement.minimum_kinds <= len(requirement.any_of)


def test_second_person_counts() -> None:
    """43 controls of NIST and ISO expect a second person."""
    expected = [
        control
        for name in (NIST, ISO)
        for control in load_catalog(name).controls
        if control.requirement.second_person is SecondPerson.EXPECTED
    ]
    assert len(expected) == 43


def test_loading_does_not_load_the_rule_engine() -> None:
    """Naming a control costs no import of the CEL engine; only a rule that runs does."""
    code = (
        "import sys; from muniment.controls.catalog import load_catalogs, resolve; "
        "resolve('RG-1', load_catalogs()); sys.exit('cel' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_only_the_catalog_asked_for_is_read() -> None:
    """A catalog costs its own files and no other's; naming one costs none."""
    code = (
        "import muniment.controls.shipped as s; read = []; old = s.read_yaml\n"
        "s.read_yaml = lambda path: read.append(path) or old(path)\n"
        "from muniment.controls.catalog import catalog_id, find_control, load_catalog\n"
        "catalog_id('eu-ai-act'); assert not read\n"
        "find_control('readiness-gate:RG-1', ['nist-ai-rmf']); print(*read)\n"
        "load_catalog('nist-ai-rmf'); find_control('MEASURE 2.3', ['nist-ai-rmf']); print(*read)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    gate, more = done.stdout.splitlines()
    assert gate == "catalogs/readiness-gate.yaml"
    assert set(more.split()) == {
        gate,
        "catalogs/nist-ai-rmf-1.0.yaml",
        "catalogs/evidence-needs.yaml",
    }


def test_the_guide_lists_every_catalog() -> None:
    """The table in docs/controls.md has the catalogs that ship with their numbers of controls."""
    text = (Path(__file__).parents[2] / "docs" / "controls.md").read_text("utf-8")
    listed = re.findall(r"^\| `([a-z0-9.-]+)` \| (\d+) \|", text, re.M)
    assert listed == [(item.id, str(len(item.controls))) for item in _by_table(load_catalogs())]


def _by_table(catalogs: Sequence[Catalog]) -> list[Catalog]:
    """Each profile under its framework, our own scheme last."""
    order = [NIST, GENERATIVE, ISO, EU, GATE]
    return sorted(catalogs, key=lambda catalog: order.index(catalog.id))


def test_what_is_used_goes_first() -> None:
    """A bare id is looked for in the catalogs in use, then in all that ship."""
    assert find_control("6.1.2", [ISO]) == f"{ISO}:6.1.2"
    assert find_control("6.1.2", [GATE]) == f"{ISO}:6.1.2"
    with pytest.raises(InputError) as caught:
        find_control("6.9.9", [GATE])
    assert caught.value.code == "control.unknown"


def test_every_gate_check_has_section_and_rule() -> None:
    """Each readiness check rests on one section of a body and a rule over it."""
    controls = load_catalog(GATE).controls
    assert all(control.requirement.rule for control in controls)
    assert len({control.requirement.section for control in controls} - {None}) == 29


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("nist-ai-rmf:MEASURE 2.3", f"{NIST}:MEASURE 2.3"),
        ("nist-ai-rmf-1.0:measure-2.3", f"{NIST}:MEASURE 2.3"),
        ("nist-ai-rmf-1.0:measure23", f"{NIST}:MEASURE 2.3"),
        ("NIST AI RMF:Measure 2.3", f"{NIST}:MEASURE 2.3"),
        ("MEASURE 2.3", f"{NIST}:MEASURE 2.3"),
        ("measure2.3", f"{NIST}:MEASURE 2.3"),
        ("MEASURE 2.13", f"{NIST}:MEASURE 2.13"),
        ("iso-42001:A.6.2.4", f"{ISO}:A.6.2.4"),
        ("iso_42001_2023:a6.2.4", f"{ISO}:A.6.2.4"),
        ("6.1.2", f"{ISO}:6.1.2"),
        ("RG-1", f"{GATE}:RG-1"),
        ("rg1", f"{GATE}:RG-1"),
        ("rg 01", f"{GATE}:RG-1"),
        ("readiness-gate:RG-11", f"{GATE}:RG-11"),
        ("gv 1.1 001", f"{GENERATIVE}:GV-1.1-001"),
        ("nist-ai-600:MS-2.5-003", f"{GENERATIVE}:MS-2.5-003"),
        ("eu-ai-act:aia 9.1", f"{EU}:AIA-9.1"),
        ("AIA-IV.16", f"{EU}:AIA-IV.16"),
    ],
)
def test_resolve(text: str, expected: str) -> None:
    """Ids are found as people write them."""
    assert resolve(text, load_catalogs()) == expected


def test_every_id_resolves_to_itself() -> None:
    """A full or a short id always finds its own control."""
    for catalog in load_catalogs():
        for control in catalog.controls:
            assert resolve(control.id, load_catalogs()) == control.id
            assert resolve(control.short_id.lower(), load_catalogs()) == control.id


@pytest.mark.parametrize(
    ("text", "code", "hint"),
    [
        ("MEASURE 9.3", "control.unknown", "MEASURE"),
        ("measur 2.3", "control.unknown", f"{NIST}:MEASURE 2.3"),
        ("A.62.4", "control.unknown", "A.6.2.4"),
        ("MEASURE 2", "control.unknown", ""),
        ("", "control.unknown", ""),
        ("MEASURE 2.3\u202e", "control.unknown", ""),
        ("x" * 100_000, "control.unknown", ""),
        ("nist-rmf:MAP 1.1", "catalog.unknown", NIST),
        ("iso:MAP 1.1", "catalog.unknown", ""),
        ("iso-42001:MAP 1.1", "control.unknown", ""),
    ],
)
def test_unknown_ids(text: str, code: str, hint: str) -> None:
    """An id that names nothing is an error that suggests the nearest ones."""
    with pytest.raises(InputError) as caught:
        resolve(text, load_catalogs())
    assert caught.value.code == code
    assert hint in (caught.value.hint or "")
    assert len(caught.value.message) < 200


def test_numbers_stay_apart() -> None:
    """Punctuation between numbers matters: A.6.1 is not A.61."""
    document = load_catalog(ISO).to_json()
    first, second = document["controls"][:2]
    document["controls"] = [{**first, "id": "A.6.1"}, {**second, "id": "A.61"}]
    catalog = Catalog.from_json(document)
    assert resolve("a.6.1", [catalog]) == f"{ISO}:A.6.1"
    assert resolve("a61", [catalog]) == f"{ISO}:A.61"


def test_ambiguous_ids() -> None:
    """A bare id that two catalogs have, or a name that two versions share, is refused."""
    old = load_catalog(NIST)
    new = Catalog.from_json({**old.to_json(), "catalog": "nist-ai-rmf-2.0"})
    with pytest.raises(InputError, match="names more than one control") as caught:
        resolve("MAP 1.1", [old, new])
    assert caught.value.code == "control.ambiguous"
    with pytest.raises(InputError) as caught:
        catalog_named("nist-ai-rmf", [old, new])
    assert caught.value.code == "catalog.ambiguous"
    assert catalog_named("nist-ai-rmf-2.0", [old, new]) is new


@pytest.mark.parametrize("catalog", load_catalogs(), ids=lambda catalog: catalog.id)
def test_embedded_catalog_is_the_same(catalog: Catalog) -> None:
    """A catalog read back from what a packet embeds is equal and has the same digest."""
    embedded = strictjson.loads(strictjson.canonical(catalog.to_json()))
    again = Catalog.from_json(embedded)
    assert again == catalog
    assert again.sha256 == catalog.sha256


def test_digest_covers_the_requirements() -> None:
    """Any change of a requirement changes the catalog's digest."""
    catalog = load_catalog(GATE)
    document = catalog.to_json()
    document["controls"][0]["requirement"]["validityDays"] += 1
    assert Catalog.from_json(document).sha256 != catalog.sha256


def _with(path: str, value: Any) -> Any:
    document = json.loads(json.dumps(load_catalog(GATE).to_json()))
    part = document
    *steps, last = path.split("/")
    for step in steps:
        part = part[int(step) if step.isdigit() else step]
    part[last] = value
    return document


@pytest.mark.parametrize(
    ("document", "code"),
    [
        (None, "catalog.malformed"),
        ([], "catalog.malformed"),
        (_with("extra", 1), "catalog.malformed"),
        (_with("catalog", "Bad:Id"), "catalog.malformed"),
        (_with("controls/0/id", "a:b"), "catalog.malformed"),
        (_with("controls/0/id", "\u202eRG-1"), "catalog.malformed"),
        (_with("controls/0/requirement", {}), "catalog.malformed"),
        (_with("controls/0/requirement/minimumKinds", 0), "catalog.malformed"),
        (_with("controls/0/requirement/anyOf", ["policy"] * 2), "catalog.malformed"),
        (_with("controls/0/requirement/validityDays", 10**9), "catalog.malformed"),
        (_with("controls/0/requirement/secondPerson", "maybe"), "catalog.malformed"),
        (_with("controls/0/facts", [{"name": "role"}]), "catalog.malformed"),
        (_with("controls/0/facts", "role"), "catalog.malformed"),
        (_with("controls/0/id", "rg 2"), "catalog.duplicate"),
        (_with("controls/0/requirement/rule", "section."), "rule.malformed"),
        (_with("controls/0/requirement/rule", "[1].map(x, x)"), "rule.too-costly"),
    ],
)
def test_bad_catalogs_are_refused(document: Any, code: str) -> None:
    """A catalog from a stranger's packet is checked before anything is evaluated with it."""
    with pytest.raises(InputError) as caught:
        Catalog.from_json(document)
    assert caught.value.code == code
