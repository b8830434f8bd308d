"""Reading frameworks of others: OSCAL catalogs and profiles, libraries of CISO Assistant."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.controls.catalog import Catalog, load_catalogs
from muniment.controls.coverage import State
from muniment.controls.evaluator import evaluate
from muniment.controls.exchange.ciso_assistant import read_library
from muniment.controls.exchange.crosswalk import tie
from muniment.controls.exchange.framework import read_framework, requirements_file
from muniment.controls.exchange.oscal import read_oscal
from muniment.controls.exchange.oscal_writer import Names, catalog_document
from muniment.controls.exchange.source import MAX_CONTROLS, SourceCatalog
from muniment.controls.profile import load_profile
from muniment.schemas import yamldoc
from muniment.schemas.errors import InputError
from muniment.schemas.statement import SystemRef

NOW = datetime(2026, 6, 1, tzinfo=UTC)
METADATA = {
    "title": "Care of models",
    "last-modified": "2026-01-01T00:00:00Z",
    "version": "1",
    "oscal-version": "1.1.2",
}
CATALOG: dict[str, Any] = {
    "catalog": {
        "uuid": "74c8ba1e-5cd4-4ad1-bbfd-d888e2f6c724",
        "metadata": METADATA,
        "params": [{"id": "who", "label": "somebody"}],
        "groups": [
            {
                "id": "g1",
                "title": "Keeping",
                "controls": [
                    {
                        "id": "k-1",
                        "title": "Keep {{ insert: param, k-1_days }}",
                        "params": [
                            {"id": "k-1_days", "values": ["thirty days"]},
                            {
                                "id": "k-1_how",
                                "select": {
                                    "how-many": "one-or-more",
                                    "choice": ["on paper", "by {{ insert: param, who }}"],
                                },
                            },
                        ],
                        "props": [
                            {"name": "label", "class": "sorted", "value": "K-01"},
                            {"name": "label", "value": "K-1"},
                        ],
                        "parts": [
                            {
                                "name": "statement",
                                "prose": "Keep it {{ insert: param, k-1_how }}:",
                                "parts": [
                                    {
                                        "name": "item",
                                        "props": [{"name": "label", "value": "a."}],
                                        "prose": "whole;",
                                    },
                                ],
                            },
                            {"name": "guidance", "prose": "Boxes help."},
                        ],
                        "controls": [
                            {"id": "k-1.1", "title": "Keep twice"},
                            {
                                "id": "k-1.2",
                                "title": "Gone",
                                "props": [{"name": "status", "value": "withdrawn"}],
                            },
                        ],
                    }
                ],
            },
            {
                "id": "g2",
                "title": "Looking",
                "groups": [
                    {
                        "id": "g2.1",
                        "title": "Daily",
                        "controls": [
                            {
                                "id": "l-1",
                                "title": "Look",
                                "parts": [{"name": "guidance", "prose": "Look well."}],
                            }
                        ],
                    }
                ],
            },
        ],
    }
}
PROFILE: dict[str, Any] = {
    "profile": {
        "uuid": "7db89308-6616-4b8a-8fe9-d2d9f2bb5292",
        "metadata": {**METADATA, "title": "Care, the least"},
        "imports": [
            {
                "href": "#73d0a1b0-0000-4000-8000-000000000000",
                "include-controls": [{"with-ids": ["k-1"], "with-child-controls": "yes"}],
                "exclude-controls": [{"matching": [{"pattern": "l-*"}]}],
            }
        ],
        "modify": {
            "set-parameters": [{"param-id": "k-1_days", "values": ["ten days"]}],
            "alters": [{"control-id": "k-1", "adds": []}],
        },
        "back-matter": {
            "resources": [
                {
                    "uuid": "73d0a1b0-0000-4000-8000-000000000000",
                    "rlinks": [{"href": "care.xml"}, {"href": "care.json"}],
                }
            ]
        },
    }
}
FRAMEWORK = "urn:example:risk:framework:care"
NODE = "urn:example:risk:req_node:care"
LIBRARY: dict[str, Any] = {
    "urn": "urn:example:risk:library:care",
    "version": 1,
    "objects": {
        "framework": {
            "urn": FRAMEWORK,
            "ref_id": "Care 1.0",
            "name": "Care of models",
            "requirement_nodes": [
                {"urn": f"{NODE}:all", "assessable": False, "depth": 1, "name": "Everything"},
                {
                    "urn": f"{NODE}:5",
                    "parent_urn": f"{NODE}:all",
                    "assessable": False,
                    "depth": 2,
                    "ref_id": "Art. 5",
                },
                {
                    "urn": f"{NODE}:6",
                    "parent_urn": f"{NODE}:all",
                    "assessable": False,
                    "depth": 2,
                    "ref_id": "Art. 6",
                },
                {
                    "urn": f"{NODE}:5.1",
                    "parent_urn": f"{NODE}:5",
                    "assessable": True,
                    "depth": 3,
                    "ref_id": "Art. 5(1)(a)",
                    "description": "Care for it.\nEvery day.",
                },
                {
                    "urn": f"{NODE}:6.a",
                    "parent_urn": f"{NODE}:6",
                    "assessable": True,
                    "depth": 3,
                    "name": "Feed",
                },
            ],
        },
        "requirement_mapping_sets": [
            {
                "urn": "urn:example:risk:req_mapping_set:care-to-nist",
                "ref_id": "care-to-nist",
                "name": "Care to NIST AI RMF",
                "source_framework_urn": FRAMEWORK,
                "target_framework_urn": "urn:intuitem:risk:framework:nist-ai-rmf-1.0",
                "requirement_mappings": [
                    {
                        "source_requirement_urn": f"{NODE}:5.1",
                        "target_requirement_urn": (
                            "urn:intuitem:risk:req_node:nist-ai-rmf-1.0:govern-1.1"
                        ),
                        "relationship": "equal",
                        "rationale": "semantic",
                    },
                    {
                        "source_requirement_urn": f"{NODE}:6.a",
                        "target_requirement_urn": (
                            "urn:intuitem:risk:req_node:nist-ai-rmf-1.0:map-1.1"
                        ),
                        "relationship": "superset",
                    },
                    {
                        "source_requirement_urn": f"{NODE}:6.a",
                        "target_requirement_urn": (
                            "urn:intuitem:risk:req_node:nist-ai-rmf-1.0:govern"
                        ),
                        "relationship": "intersect",
                    },
                ],
            },
            {
                "urn": "urn:example:risk:req_mapping_set:nist-to-care",
                "source_framework_urn": "urn:intuitem:risk:framework:nist-ai-rmf-1.0",
                "target_framework_urn": FRAMEWORK,
                "requirement_mappings": [],
            },
        ],
    },
}


def nothing(href: str, place: str) -> tuple[Any, str]:
    raise AssertionError(f"nothing is fetched: {href}")


def oscal(value: Any, as_id: str | None = None) -> SourceCatalog:
    """Read a catalog, or a profile of ``CATALOG``."""
    return read_oscal(value, "here", lambda href, place: (CATALOG, href), as_id)


def changed(value: Any, change: Callable[[Any], Any]) -> Any:
    """A copy of a document with one thing done to it."""
    made = copy.deepcopy(value)
    change(made)
    return made


def as_catalog(source: SourceCatalog, requirements: str | None = None) -> Catalog:
    text = json.dumps(source.to_json()).encode()
    needs = None if requirements is None else requirements.encode()
    return read_framework(source.id, text, needs).catalog


def test_an_oscal_catalog() -> None:
    """Groups, nested controls, labels, parameters and statements are read; what is withdrawn is
    left out and said."""
    catalog = read_oscal(CATALOG, "here", nothing)
    assert (catalog.id, catalog.name) == ("care-of-models", "Care of models")
    assert [(c.id, c.title, c.group) for c in catalog.controls] == [
        ("K-1", "Keep thirty days", "Keeping"),
        ("k-1.1", "Keep twice", "Keeping"),
        ("l-1", "Look", "Looking"),
    ]
    assert [c.summary for c in catalog.controls] == [
        "Keep it [one or more of: on paper; by [somebody]]:\na. whole;",
        "Keep twice",
        "Look well.",
    ]
    assert catalog.notes == ("withdrawn, and so left out: k-1.2",)


@pytest.mark.parametrize(
    ("name", "label", "expected"),
    [
        ("GV.OV", "Oversight (GV.OV)", "GV.OV"),
        ("ac-2.1", "AC-2(1)", "AC-2(1)"),
        ("s1.1.1", "1.1.1", "1.1.1"),
        ("c-9", "A very long label that nobody would want to type", "c-9"),
        ("c-9", "Größe 4", "Gr-e 4"),
    ],
)
def test_ids_are_what_people_write(name: str, label: str, expected: str) -> None:
    """A label is a control's id where it is one, and not the id with words around it."""
    catalog = changed(
        CATALOG,
        lambda it: it["catalog"].update(
            groups=[],
            controls=[{"id": name, "title": "x", "props": [{"name": "label", "value": label}]}],
        ),
    )
    assert [control.id for control in oscal(catalog).controls] == [expected]


@pytest.mark.parametrize("version", ["1.0.0", "1.1.2", "v1.2.2"])
def test_versions_that_are_read(version: str) -> None:
    """OSCAL 1.0 to 1.2 is read, also with the v that some publish."""
    change = {"oscal-version": version}
    assert oscal(changed(CATALOG, lambda it: it["catalog"]["metadata"].update(change))).controls


def test_an_oscal_profile() -> None:
    """A profile's choice and its parameters hold, the controls within a control come along, and
    what it alters is left out and said; the file with an ending that is read is asked for."""
    asked: list[tuple[str, str]] = []

    def fetch(href: str, place: str) -> tuple[Any, str]:
        asked.append((href, place))
        return CATALOG, "there"

    catalog = read_oscal(PROFILE, "here", fetch, "least")
    assert asked == [("care.json", "here")]
    assert [(c.id, c.title) for c in catalog.controls] == [
        ("K-1", "Keep ten days"),
        ("k-1.1", "Keep twice"),
    ]
    assert "the profile alters the control, which is left out: k-1" in catalog.notes


def test_parameters_within_parameters_end() -> None:
    """Parameters that insert each other, or themselves a thousand times, end in a bounded text."""
    many = " ".join(["{{ insert: param, b }}"] * 1000)
    looped = changed(
        CATALOG,
        lambda it: it["catalog"]["groups"][0]["controls"][0].update(
            params=[{"id": "a", "label": many}, {"id": "b", "label": "{{ insert: param, a }}"}],
            title="{{ insert: param, a }}",
        ),
    )
    assert len(oscal(looped).controls[0].title) <= 200


@pytest.mark.parametrize("catalog", load_catalogs(), ids=lambda item: item.id)
def test_our_oscal_reads_back(catalog: Catalog) -> None:
    """A catalog written as OSCAL has the same ids, titles, summaries and groups when read."""
    document = json.loads(json.dumps(catalog_document(catalog, Names("a.example"), NOW)))
    back = read_oscal(document, "here", nothing, "back")
    assert [(c.id, c.title, c.summary, c.group) for c in back.controls] == [
        (c.short_id, c.title, c.summary, c.group) for c in catalog.controls
    ]
    assert back.name == catalog.name and back.notes == ()


def test_a_library_of_ciso_assistant() -> None:
    """Assessable nodes are controls under the outermost group that tells them apart; a node
    without a number is named by its URN."""
    (catalog,) = read_library(LIBRARY).catalogs
    assert (catalog.id, catalog.origin) == ("care-1.0", FRAMEWORK)
    assert [(c.id, c.title, c.group, c.summary) for c in catalog.controls] == [
        ("Art. 5(1)(a)", "Care for it.", "Art. 5", "Care for it.\nEvery day."),
        ("6.a", "Feed", "Art. 6", "Feed"),
    ]
    assert as_catalog(catalog).controls[0].id == "care-1.0:Art. 5(1)(a)"


def test_a_mapping_of_ciso_assistant() -> None:
    """Only what is equal is close; what names no control is left out and said; the same mapping
    written backwards is not read twice."""
    library = read_library(LIBRARY)
    (raw,) = library.mappings
    text = json.dumps(library.catalogs[0].to_json()).encode()
    own = read_framework("care-1.0", text, None)
    crosswalk = tie(raw, [own], (*load_catalogs(), own.catalog))
    assert [(p.first, p.second, p.fit, p.doubt) for p in crosswalk.pairs] == [
        ("care-1.0:Art. 5(1)(a)", "nist-ai-rmf-1.0:GOVERN 1.1", "close", ""),
        ("care-1.0:6.a", "nist-ai-rmf-1.0:MAP 1.1", "partial", "superset"),
    ]
    assert crosswalk.notes == (
        "no control here, and so left out: urn:intuitem:risk:req_node:nist-ai-rmf-1.0:govern",
    )
    assert crosswalk.to_json()["pairs"][1] == {
        "from": "care-1.0:6.a",
        "to": "nist-ai-rmf-1.0:MAP 1.1",
        "source": "imported",
        "fit": "partial",
        "doubt": "superset",
    }
    with pytest.raises(InputError, match="a framework that is not known") as caught:
        tie(raw, [], load_catalogs())
    assert caught.value.code == "crosswalk.framework"


def test_the_pairs_that_ship_stay_as_they_are() -> None:
    """A mapping between two catalogs that ship is refused."""
    between = changed(
        LIBRARY,
        lambda it: [
            it["objects"]["requirement_mapping_sets"].pop(),
            it["objects"]["requirement_mapping_sets"][0].update(
                source_framework_urn="urn:intuitem:risk:framework:iso42001-2023"
            ),
        ],
    )
    with pytest.raises(InputError) as caught:
        tie(read_library(between).mappings[0], [], load_catalogs())
    assert caught.value.code == "crosswalk.shipped"


def test_labels_that_are_not_unique_are_not_used() -> None:
    """Where two nodes have one number, both go by their URN, and that is said."""
    twice = changed(
        LIBRARY,
        lambda it: it["objects"]["framework"]["requirement_nodes"][4].update(
            ref_id="ART 5 (1) (a)"
        ),
    )
    (catalog,) = read_library(twice).catalogs
    assert [c.id for c in catalog.controls] == ["5.1", "6.a"]
    assert catalog.notes[0].startswith("more than one control has the label")


def _nodes(change: Callable[[list[Any]], Any]) -> Any:
    return changed(LIBRARY, lambda it: change(it["objects"]["framework"]["requirement_nodes"]))


def _groups(change: Callable[[list[Any]], Any]) -> Any:
    return changed(CATALOG, lambda it: change(it["catalog"]["groups"]))


def _profile(change: Callable[[Any], Any]) -> Any:
    return changed(PROFILE, lambda it: change(it["profile"]))


def _deep(levels: int) -> Any:
    group: dict[str, Any] = {"id": "end", "title": "End"}
    for number in range(levels):
        group = {"id": f"g{number}", "title": "Group", "groups": [group]}
    return _groups(lambda it: it.append(group))


BAD: dict[str, tuple[Any, str]] = {
    "an id twice": (_groups(lambda it: it.append(it[0])), "framework.duplicate"),
    "ids that differ in signs alone": (
        _groups(lambda it: it[1].update(controls=[{"id": "k-1-1", "title": "x"}])),
        "framework.duplicate",
    ),
    "no control": (_groups(lambda it: it.clear()), "framework.empty"),
    "too many": (
        _groups(
            lambda it: it[0].update(
                controls=[{"id": f"c{n}", "title": "x"} for n in range(MAX_CONTROLS + 1)]
            )
        ),
        "framework.too-many",
    ),
    "groups that are no list": (_groups(lambda it: it.insert(0, "g")), "framework.malformed"),
    "a title that is no text": (
        _groups(lambda it: it[0]["controls"][0].update(title=["x"])),
        "framework.malformed",
    ),
    "nested too deep": (_deep(60), "framework.malformed"),
    "a draft version": (
        changed(
            CATALOG,
            lambda it: it["catalog"]["metadata"].update({"oscal-version": "1.0.0-milestone3"}),
        ),
        "oscal.version",
    ),
    "an old version": (
        changed(CATALOG, lambda it: it["catalog"]["metadata"].update({"oscal-version": "0.9"})),
        "oscal.version",
    ),
    "an unknown control": (
        _profile(lambda it: it["imports"][0].update({"include-controls": [{"with-ids": ["x"]}]})),
        "profile.unknown-control",
    ),
    "no such resource": (_profile(lambda it: it.pop("back-matter")), "profile.href"),
    "a profile of nothing": (_profile(lambda it: it.update(imports=[])), "framework.empty"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_oscal_is_refused(name: str) -> None:
    """Every fault of a catalog or profile has its code."""
    value, code = BAD[name]
    with pytest.raises(InputError) as caught:
        oscal(value)
    assert caught.value.code == code


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something stands within a document."""
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = []
    for key, item in inner:
        found.append((*path, key))
        if isinstance(item, dict | list):
            found += places(item, (*path, key))
    return found


JUNK: list[Any] = [None, True, 0, 1.5, "", " ", "x", "{{ insert: param, x }}", [], [[]], {}, ["x"]]


@pytest.mark.parametrize("document", [CATALOG, PROFILE, LIBRARY], ids=["catalog", "profile", "lib"])
@given(data=st.data())
def test_no_document_breaks_a_reader(document: Any, data: st.DataObject) -> None:
    """Whatever stands anywhere in a document, it is read or refused with a code."""
    value = copy.deepcopy(document)
    for path in data.draw(st.lists(st.sampled_from(places(value)), min_size=1, max_size=2)):
        node = value
        try:
            for step in path[:-1]:
                node = node[step]
            node[path[-1]] = data.draw(st.sampled_from(JUNK))
        except (LookupError, TypeError):
            continue
    try:
        catalogs = read_library(value).catalogs if "objects" in value else (oscal(value),)
    except InputError as error:
        assert "." in error.code
    else:
        for catalog in catalogs:
            assert as_catalog(catalog).controls


def test_profiles_that_import_each_other_are_refused() -> None:
    """A cycle of profiles ends."""
    with pytest.raises(InputError) as caught:
        read_oscal(PROFILE, "here", lambda href, place: (PROFILE, "there"))
    assert caught.value.code == "profile.cycle"


BAD_LIBRARIES: dict[str, tuple[Any, str]] = {
    "a URN twice": (_nodes(lambda it: it.append(it[0])), "framework.duplicate"),
    "a cycle": (_nodes(lambda it: it[0].update(parent_urn=f"{NODE}:5")), "framework.cycle"),
    "its own parent": (
        _nodes(lambda it: it[0].update(parent_urn=f"{NODE}:all")),
        "framework.cycle",
    ),
    "no such parent": (_nodes(lambda it: it[0].update(parent_urn="urn:x")), "framework.parent"),
    "nothing assessable": (_nodes(lambda it: it.__delitem__(slice(3, 5))), "framework.empty"),
    "nothing of use": (
        changed(LIBRARY, lambda it: it.update(objects={"threats": []})),
        "framework.empty",
    ),
    "an unknown relation": (
        changed(
            LIBRARY,
            lambda it: it["objects"]["requirement_mapping_sets"][0]["requirement_mappings"][
                0
            ].update(relationship="likes"),
        ),
        "crosswalk.relation",
    ),
}


@pytest.mark.parametrize("name", BAD_LIBRARIES)
def test_bad_libraries_are_refused(name: str) -> None:
    """Every fault of a library has its code."""
    value, code = BAD_LIBRARIES[name]
    with pytest.raises(InputError) as caught:
        read_library(value)
    assert caught.value.code == code


def test_a_chain_of_parents_is_bounded() -> None:
    """A chain of ten thousand parents is refused, and at once."""
    chain = [
        {"urn": f"{NODE}:n{n}", "parent_urn": f"{NODE}:n{n + 1}" if n < 10_000 else None}
        for n in range(10_001)
    ]
    with pytest.raises(InputError, match="nested deeper"):
        read_library(_nodes(lambda it: it.extend(chain)))


def test_an_open_control_is_missing_whatever_is_attached(new_book: Any) -> None:
    """Until somebody writes what it needs, no evidence meets an imported control; once they have,
    the same evidence does."""
    source = oscal(CATALOG, "care")
    written = requirements_file(source, ())
    assert yamldoc.load(written, what="it")["controls"]["K-1"] is None
    book = new_book()
    book.add("policy", "care:K-1")

    def state(requirements: str | None) -> Any:
        (covered,) = evaluate(
            book.records,
            [as_catalog(source, requirements)],
            load_profile("production"),
            SystemRef("credit-risk", "2.1.0"),
            new_book.now,
        ).catalogs
        return covered.controls[0]

    for left_open in (None, written, ""):
        result = state(left_open)
        assert result.state is State.MISSING
        assert "requirement.unset" in {reason.code for reason in result.reasons}
        assert result.unblock is not None and result.command is None
    asked = written.replace('"K-1":', '"K-1": {anyOf: [policy], secondPerson: not-needed}')
    assert state(asked).state is State.MET
    assert state(requirements_file(source, ["policy"])).state is State.UNAPPROVED


@pytest.mark.parametrize(
    ("requirements", "code"),
    [
        ("controls: {K-9: {anyOf: [policy]}}", "framework.unknown-control"),
        ("controls: {K-1: [policy]}", "framework.malformed"),
        ("others: {}", "framework.malformed"),
        ("every: {anyOf: [policy], least: 1}", "catalog.malformed"),
        ("every: {validityDays: 3}", "catalog.malformed"),
        ("every: {anyOf: [policy], rule: 'body.('}", "rule.malformed"),
        ("every: &a {anyOf: [policy]}\ncontrols: {K-1: *a}", "yaml.malformed"),
        ("every:\nevery:", "yaml.malformed"),
    ],
)
def test_bad_requirements_are_refused(requirements: str, code: str) -> None:
    """What people write into the YAML is held to its form."""
    with pytest.raises(InputError) as caught:
        as_catalog(oscal(CATALOG, "care"), requirements)
    assert caught.value.code == code


@pytest.mark.parametrize("name", ["", "Ä", "A B", "x_y", "a.crosswalk", "-a"])
def test_a_chosen_id_must_be_one(name: str) -> None:
    """An id that is given is taken as it is, or refused."""
    with pytest.raises(InputError) as caught:
        oscal(CATALOG, name)
    assert caught.value.code == "framework.id"
