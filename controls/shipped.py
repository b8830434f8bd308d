"""The catalogs that ship, read out of the YAML in ``catalogs/`` into catalog documents.

``catalogs/NOTES.md`` says where each comes from. A file is read only when its catalog is asked for.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from .data import read_yaml

Facts = list[tuple[str, str]]
"""Name and value; a name may repeat."""
_FUNCTIONS = {"GV": "GOVERN", "MP": "MAP", "MS": "MEASURE", "MG": "MANAGE"}


def document(catalog: str) -> dict[str, Any]:
    """The shipped catalog with this id, as ``Catalog.to_json`` writes one."""
    return _READERS[catalog]()


def _nist() -> dict[str, Any]:
    data = read_yaml("catalogs/nist-ai-rmf-1.0.yaml")
    needs = read_yaml("catalogs/evidence-needs.yaml")["nist_ai_rmf"]
    controls = (
        (function["id"], control)
        for function in data["functions"]
        for category in function["categories"]
        for control in category["subcategories"]
    )
    return _document(data, controls, needs)


def _iso() -> dict[str, Any]:
    data = read_yaml("catalogs/iso-42001-2023.yaml")
    needs = read_yaml("catalogs/evidence-needs.yaml")
    return _document(
        data, _iso_controls(data), needs["iso_42001_clauses"] + needs["iso_42001_annex_a"]
    )


def _iso_controls(data: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Clauses that have no parts, then Annex A."""
    for main in data["clauses"]:
        for clause in main["clauses"]:
            for leaf in clause.get("subclauses", [clause]):
                yield f"Clause {main['id']}", leaf
    for area in data["annex_a"]:
        for part in area.get("subgroups", [area]):
            for control in part["controls"]:
                yield area["id"], control


def _gate() -> dict[str, Any]:
    data = read_yaml("catalogs/readiness-gate.yaml")
    found = _document(data, ((item["gate"], item) for item in data["controls"]), data["controls"])
    return {**found, "alwaysApplies": data["always_applies"]}


def _generative() -> dict[str, Any]:
    """NIST AI 600-1: each action asks for what its subcategory of the AI RMF asks for."""
    data = read_yaml("catalogs/nist-ai-600-1.yaml")
    parents = {
        need["id"]: need for need in read_yaml("catalogs/evidence-needs.yaml")["nist_ai_rmf"]
    }
    actors = {item["id"]: "; ".join(item["actor_tasks"]) for item in data["parents"]}
    risks = {item["id"]: item for item in data["risks"]}
    controls, needs = [], []
    for action in data["actions"]:
        parent = action["parent"]
        labels = [risks[risk]["label"] for risk in action["risks"]]
        facts: Facts = [("parent", f"{data['parent_catalog']}:{parent}")]
        facts += [
            ("risk", f"{risk}, {risks[risk]['label']}: {risks[risk]['title']}")
            for risk in action["risks"]
        ]
        facts += [("other-tag", tag) for tag in action.get("other_tags", ())]
        facts += [("actors", actors[parent])]
        facts += [("printed-as", action["printed_as"])] if "printed_as" in action else []
        summary = f"Action under {parent} against: {'; '.join(labels)}."
        controls.append(
            (_FUNCTIONS[action["id"][:2]], {**action, "summary": summary, "facts": facts})
        )
        reason = f"As {parent} of the AI RMF, under which it stands: {parents[parent]['reason']}"
        needs.append({**parents[parent], "id": action["id"], "reason": reason})
    return _document(data, controls, needs)


def _eu() -> dict[str, Any]:
    data = read_yaml("catalogs/eu-ai-act-high-risk.yaml")
    controls = []
    for article in data["articles"]:
        for duty in article["requirements"]:
            facts = _eu_facts(data, duty, duty.get("timing", article["timing"]))
            controls.append((f"Art. {article['article']}", {**duty, "facts": facts}))
    for item in data["annex_iv"]:
        # NOTE: the annex binds through Art. 11(1), so it has that article's dates.
        controls.append(("Annex IV", {**item, "facts": _eu_facts(data, item, "deferred")}))
    return _document(data, controls, read_yaml("catalogs/eu-ai-act-needs.yaml")["needs"])


def _eu_facts(data: Mapping[str, Any], duty: Mapping[str, Any], timing: str) -> Facts:
    """Reference, role, dates with their basis and confidence, and amendments of the article."""
    facts = [("reference", duty["ref"]), ("role", duty["role"])]
    facts += [
        (name.replace("_", "-"), str(value)) for name, value in data["timing"][timing].items()
    ]
    facts.append(("dates-as-of", data["as_of"]))
    articles = set(re.findall(r"Art\. (\d+[a-z]?)", duty["ref"]))
    facts += [
        ("amended", f"Art. {item['article']}: {item['change']} (confidence: {item['confidence']})")
        for item in data["amendments"]
        if re.match(r"\d+[a-z]?", item["article"])[0] in articles  # type: ignore[index]
    ]
    return facts


def _document(
    data: Mapping[str, Any],
    controls: Iterable[tuple[str, Mapping[str, Any]]],
    needs: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    by_id = {need["id"]: need for need in needs}
    return {
        "catalog": data["catalog"],
        "name": data["name"],
        "controls": [_control(group, item, by_id[item["id"]]) for group, item in controls],
    }


def _control(group: str, item: Mapping[str, Any], need: Mapping[str, Any]) -> dict[str, Any]:
    control = {
        "id": item["id"],
        "title": item["title"],
        "summary": item.get("summary") or item["ask"],
        "group": group,
        "requirement": _requirement(need),
    }
    facts = [{"name": name, "value": value} for name, value in item.get("facts", ())]
    if "rule_note" in item:
        facts.append({"name": "not-shown-by-the-rule", "value": item["rule_note"]})
    return {**control, "facts": facts} if facts else control


def _requirement(need: Mapping[str, Any]) -> dict[str, Any]:
    """One entry of the files of needs, or of readiness-gate.yaml, as a catalog document has it."""
    return {
        "anyOf": need.get("any_of") or need["evidence"],
        "minimumKinds": need.get("minimum_kinds", 1),
        "supporting": need.get("supporting", []) if "any_of" in need else [],
        "validityDays": need["validity_days"],
        "secondPerson": need["second_person"],
        "reason": need.get("reason") or need["pass_rule"],
        "section": need.get("section"),
        "rule": need.get("rule"),
    }


_READERS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "nist-ai-rmf-1.0": _nist,
    "iso-42001-2023": _iso,
    "readiness-gate": _gate,
    "nist-ai-600-1": _generative,
    "eu-ai-act-high-risk": _eu,
}
