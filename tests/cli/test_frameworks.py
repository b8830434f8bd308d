"""Frameworks of others taken in, used like those that ship, and coverage written as OSCAL."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli

METADATA = {
    "title": "Care of models",
    "last-modified": "2026-01-01T00:00:00Z",
    "version": "1",
    "oscal-version": "1.0.4",
}
CATALOG = {
    "catalog": {
        "uuid": "74c8ba1e-5cd4-4ad1-bbfd-d888e2f6c724",
        "metadata": METADATA,
        "controls": [
            {"id": "care-1", "title": "Feed it", "parts": [{"name": "statement", "prose": "Do."}]},
            {"id": "care-2", "title": "Walk it"},
        ],
    }
}
PROFILE = {
    "profile": {
        "uuid": "7db89308-6616-4b8a-8fe9-d2d9f2bb5292",
        "metadata": METADATA | {"title": "Feeding alone"},
        "imports": [
            {"href": "care.json", "include-controls": [{"with-ids": ["care-1"]}]},
        ],
    }
}
LIBRARY = """\
urn: urn:example:risk:library:duties
objects:
  framework:
    urn: urn:example:risk:framework:duties
    ref_id: duties
    name: Duties
    requirement_nodes:
      - {urn: "urn:example:risk:req_node:duties:d1", assessable: true, ref_id: D.1, name: First}
  requirement_mapping_sets:
    - urn: urn:example:risk:req_mapping_set:duties-to-nist
      ref_id: duties-to-nist
      name: Duties to NIST
      source_framework_urn: urn:example:risk:framework:duties
      target_framework_urn: urn:example:risk:framework:nist-ai-rmf-1.0
      requirement_mappings:
        - source_requirement_urn: urn:example:risk:req_node:duties:d1
          target_requirement_urn: urn:example:risk:req_node:nist-ai-rmf-1.0:map-1.1
          relationship: equal
"""


@pytest.fixture
def files(place: Path) -> Path:
    """A workspace to stand in, with files of others in it."""
    (place / "care.json").write_text(json.dumps(CATALOG))
    (place / "least.json").write_text(json.dumps(PROFILE))
    (place / "duties.yaml").write_text(LIBRARY)
    return place


def controls(said: Any) -> dict[str, Any]:
    """The controls of a coverage document."""
    return {
        control["id"]: control
        for catalog in said.json["data"]["catalogs"]
        for control in catalog["controls"]
    }


def test_a_framework_is_taken_in_and_used(files: Path, cli: Cli) -> None:
    """An imported catalog is missing throughout; once its file says what a control needs, evidence
    that claims it carries it, and a packet holds it whole and verifies."""
    said = cli("import", "care.json", "--as", "care")
    assert said.code == 0 and "care: 2 controls of Care of models" in said.out
    assert "left open" in said.err
    attach = ["attach", "policy", "policy.md", "--body", "policy.yaml", "--control", "care:care-1"]
    assert "nobody has written what evidence meets" in cli(*attach).err
    found = controls(cli("coverage", "--framework", "care", "--json"))
    assert {control["state"] for control in found.values()} == {"missing"}
    needs = files / "frameworks/care.yaml"
    written = '"care-1": {anyOf: [policy], secondPerson: not-needed}'
    needs.write_text(needs.read_text().replace('"care-1":', written))
    found = controls(cli("coverage", "--framework", "care", "--json"))
    assert [control["state"] for control in found.values()] == ["met", "missing"]
    cli("packet", "--framework", "care", "-o", "../packet.pdf")
    said = cli("verify", "../packet.pdf", "--json")
    assert said.code == 0
    (rules,) = [item for item in said.json["data"]["checks"] if item["name"] == "rules"]
    assert "care is the organisation's own" in rules["not_checked"][0]


def test_the_default_requirement_is_written(files: Path, cli: Cli) -> None:
    """``--kinds`` is what any control asks for that is left open, with a second person."""
    assert cli("import", "care.json", "--kinds", "policy,decision").code == 0
    text = (files / "frameworks/care-of-models.yaml").read_text()
    assert 'every: {"anyOf": ["policy", "decision"]}' in text
    cli("attach", "policy", "policy.md", "--body", "policy.yaml", "--control", "care-1")
    found = controls(cli("coverage", "--framework", "care-of-models", "--json"))
    assert [item["state"] for item in found.values()] == ["unapproved", "missing"]


def test_a_profile_and_a_library_are_taken_in(files: Path, cli: Cli) -> None:
    """A profile takes its catalog from beside it; a library brings a catalog and a crosswalk."""
    data = cli("import", "least.json", "--json").json["data"]
    assert [(item["catalog"], item["controls"]) for item in data["catalogs"]] == [
        ("feeding-alone", 1)
    ]
    data = cli("import", "duties.yaml", "--json").json["data"]
    assert [Path(name).name for name in data["files"]] == [
        "duties.yaml",
        "duties.json",
        "duties-to-nist.crosswalk.json",
    ]
    assert data["crosswalks"][0]["pairs"] == 1
    pairs = json.loads((files / "frameworks/duties-to-nist.crosswalk.json").read_text())["pairs"]
    assert (pairs[0]["from"], pairs[0]["fit"]) == ("duties:D.1", "close")


def test_evidence_carries_over_an_imported_mapping(files: Path, cli: Cli) -> None:
    """What an imported mapping calls equal carries evidence of a catalog that ships over to the
    imported one; the packet shows whose pairs they are, and verifies."""
    assert cli("import", "duties.yaml", "--kinds", "eval-result").code == 0
    mapping = files / "frameworks/duties-to-nist.crosswalk.json"
    mapping.write_text(mapping.read_text().replace("MAP 1.1", "MEASURE 2.3"))
    config = files / "muniment.yaml"
    config.write_text(config.read_text().replace("frameworks:\n", "frameworks:\n- duties\n"))
    found = controls(cli("coverage", "--json"))
    assert found["duties:D.1"]["state"] == "met"
    assert found["duties:D.1"]["evidence"] == found["nist-ai-rmf-1.0:MEASURE 2.3"]["evidence"]
    assert cli("packet", "-o", "../packet.pdf").code == 0
    said = cli("verify", "../packet.pdf", "--json")
    assert said.code == 0
    (rules,) = [item for item in said.json["data"]["checks"] if item["name"] == "rules"]
    assert any("1 pairs of the crosswalk" in text for text in rules["not_checked"])


def _written(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


REMOTE = {"profile": PROFILE["profile"] | {"imports": [{"href": "https://a.example/care.json"}]}}
ABSOLUTE = {"profile": PROFILE["profile"] | {"imports": [{"href": "/etc/care.json"}]}}


@pytest.mark.parametrize(
    ("name", "content", "options", "code"),
    [
        ("a.xml", "<catalog/>", [], "framework.xml"),
        ("a.yaml", "a: 1", [], "framework.unknown"),
        ("a.yaml", "a: &x [1]\nb: [*x, *x]", [], "yaml.malformed"),
        ("a.yaml", "a: " + "[" * 5000, [], "yaml.malformed"),
        ("a.yaml", "#" * (5 << 20), [], "file.too-large"),
        ("a.json", "{", [], "json.malformed"),
        ("a.json", REMOTE, [], "profile.remote"),
        ("a.json", ABSOLUTE, [], "profile.remote"),
        ("a.json", CATALOG, ["--as", "nist-ai-rmf"], "framework.taken"),
        ("a.json", CATALOG, ["--as", "Nist AI"], "framework.id"),
        ("a.json", CATALOG, ["--kinds", "nothing"], "kind.unknown"),
        ("a.json", {"a": 1}, ["--as", "b"], "usage"),
        ("a.json", {"a": 1}, [], "attestation.key"),
    ],
)
def test_bad_frameworks_are_refused(
    files: Path, cli: Cli, name: str, content: Any, options: list[str], code: str
) -> None:
    """What cannot be taken in is answered with 2 and a code, and nothing is written."""
    (files / name).write_text(_written(content))
    said = cli("import", name, *options, "--json")
    assert (said.code, said.json["error"]["code"]) == (2, code)
    assert not list((files / "frameworks").glob("*")) if (files / "frameworks").exists() else True


def test_nothing_is_replaced(files: Path, cli: Cli) -> None:
    """What people wrote about a framework outlives a second import of it."""
    cli("import", "care.json", "--as", "care")
    (files / "frameworks/care.yaml").write_text("every: {anyOf: [policy]}\n")
    said = cli("import", "care.json", "--as", "care", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, "framework.exists")
    assert (files / "frameworks/care.yaml").read_text() == "every: {anyOf: [policy]}\n"


@pytest.mark.parametrize(
    ("name", "content", "code"),
    [
        ("other.json", CATALOG, "framework.name"),
        ("care.yaml", "every: {anyOf: [nothing]}", "kind.unknown"),
        ("nist-ai-rmf.json", None, "framework.taken"),
    ],
)
def test_a_folder_that_was_meddled_with_is_told(
    files: Path, cli: Cli, name: str, content: Any, code: str
) -> None:
    """A framework whose files do not fit together stops whoever relies on frameworks."""
    cli("import", "care.json", "--as", "care")
    text = (files / "frameworks/care.json").read_text()
    (files / "frameworks" / name).write_text(
        text.replace('"care"', '"nist-ai-rmf"') if content is None else _written(content)
    )
    said = cli("coverage", "--json")
    assert (said.code, said.json["error"]["code"]) == (2, code)


def test_controls_of_an_own_framework_are_explained(files: Path, cli: Cli) -> None:
    """``controls list``, ``show`` and ``map`` know the workspace's catalogs and pairs; elsewhere
    only those that ship."""
    assert cli("import", "duties.yaml", "--kinds", "eval-result").code == 0
    assert cli("import", "care.json", "--as", "care").code == 0
    listed = cli("controls", "list", "--json").json["data"]["catalogs"]
    assert {item["catalog"] for item in listed} > {"care", "duties", "nist-ai-rmf-1.0"}
    assert "Feed it" in cli("controls", "list", "--framework", "care").out
    shown = cli("controls", "show", "D.1")
    assert "Evidence of kind eval-result carries it." in shown.out
    assert 'attach eval-result --body eval-result.yaml --control "duties:D.1"' in shown.out
    unset = cli("controls", "show", "care:care-1", "--json").json["data"]
    assert "frameworks/care.yaml" in unset["meets_it"][0]
    assert unset["commands"] == []
    assert "Nobody has written" in cli("controls", "show", "care:care-1").out
    paths = cli("controls", "map", "duties:D.1", "--json").json["data"]["paths"]
    assert "nist-ai-rmf-1.0:MAP 1.1" in {item["from"] for item in paths if item["carries"]}
    assert "MAP 1.1" in cli("controls", "map", "duties:D.1").out
    back = cli("controls", "map", "MAP 1.1", "--json").json["data"]["paths"]
    assert "duties:D.1" in {item["from"] for item in back}
    assert "First" in cli("controls", "map", "MAP 1.1").out
    assert cli("controls", "show", "care:care-9").code == 2
    (files / "frameworks").rename(files / "away")
    assert "[catalog.unknown]" in cli("controls", "show", "duties:D.1").err


def test_coverage_is_written_as_oscal(files: Path, cli: Cli) -> None:
    """Two exports of one state are the same bytes; a control is satisfied only if it is met, and
    each that is not has an item in the plan."""
    data = cli("export", "oscal", "out", "--framework", "nist-ai-rmf-1.0", "--json").json["data"]
    assert cli("export", "oscal", "again", "--framework", "nist-ai-rmf-1.0").code == 0
    written = sorted(path for path in (files / "out").rglob("*") if path.is_file())
    for path in written:
        assert path.read_bytes() == (files / "again" / path.relative_to(files / "out")).read_bytes()
    as_of = ["--framework", "nist-ai-rmf-1.0", "--as-of", data["as_of"], "--json"]
    expected = controls(cli("coverage", *as_of))
    results = json.loads((files / "out/assessment-results.json").read_text())
    (result,) = results["assessment-results"]["results"]
    states = {}
    for finding in result["findings"]:
        (control,) = [item["value"] for item in finding["props"] if item["name"] == "control"]
        target = finding["target"]
        states[control] = target["props"][0]["value"]
        assert (target["status"]["state"] == "satisfied") == (states[control] == "met")
    nist = {key: value for key, value in states.items() if key.startswith("nist")}
    assert nist == {key: value["state"] for key, value in expected.items()}
    assert list(states.values()).count("met") == data["satisfied"] == 1
    plan = json.loads((files / "out/poam.json").read_text())["plan-of-action-and-milestones"]
    assert len(plan["poam-items"]) == len(plan["risks"]) == data["unmet"] == len(states) - 1
    for observation in result["observations"]:
        receipt = files / "out" / observation["links"][0]["href"]
        assert json.loads(receipt.read_text())["verificationMaterial"]


def test_what_lapses_meanwhile_is_a_milestone(files: Path, cli: Cli) -> None:
    """Evidence of a control that is not met, and that says itself when it lapses, is a milestone of
    the plan, beside what would close the gap."""
    attach = ["attach", "policy", "policy.md", "--body", "policy.yaml", "--control", "GOVERN 1.2"]
    assert cli(*attach, "--valid-until", "2029-06-30T12:00:00Z").code == 0
    assert cli("export", "oscal", "out").code == 0
    plan = json.loads((files / "out/poam.json").read_text())["plan-of-action-and-milestones"]
    (risk,) = [item for item in plan["risks"] if item["title"] == "GOVERN 1.2 is unapproved"]
    (remedy,) = risk["remediations"]
    assert remedy["title"].startswith("have #7 approved")
    assert remedy["description"] == 'muniment approve "#7"'
    (task,) = remedy["tasks"]
    assert task["timing"] == {"on-date": {"date": "2029-06-30T12:00:00Z"}}


def test_what_is_waived_is_an_approved_deviation(files: Path, cli: Cli) -> None:
    """A waiver and an accepted risk are in the plan with their status, end, measure and approver;
    what is open and what does not apply are not."""
    end = (datetime.now(UTC) + timedelta(days=60)).date().isoformat()
    why = ("--reason", "Starts soon", "--measure", "Checked by hand", "--until", end)
    assert cli("waive", "A.6.2.6", *why, "--key", "risk").code == 0
    accept = ("--risk-acceptance", "--residual", "Seen a day late")
    assert cli("waive", "A.6.2.8", *why, *accept, "--key", "risk").code == 0
    decide = ("--not-applicable", "--justification", "No supplier", "--key", "risk")
    assert cli("applicability", "A.10.3", *decide).code == 0
    data = cli("export", "oscal", "out", "--framework", "iso-42001", "--json").json["data"]
    assert data["waived"] == 2
    plan = json.loads((files / "out/poam.json").read_text())["plan-of-action-and-milestones"]
    risks = {item["props"][0]["value"]: item for item in plan["risks"]}
    assert len(risks) == len(plan["poam-items"]) == data["unmet"] + 2
    assert "iso-42001-2023:A.10.3" not in risks
    status = {name: risk["status"] for name, risk in risks.items() if risk["status"] != "open"}
    waived, accepted = (f"iso-42001-2023:{name}" for name in ("A.6.2.6", "A.6.2.8"))
    assert status == dict.fromkeys((waived, accepted), "deviation-approved")
    for name, kind in ((waived, "waiver"), (accepted, "risk-acceptance")):
        risk = risks[name]
        props = {item["name"]: item["value"] for item in risk["props"]}
        assert (props["deviation"], props["underlying-state"]) == (kind, "missing")
        assert risk["deadline"] == f"{end}T23:59:59Z"
        assert [item["description"] for item in risk["mitigating-factors"]] == ["Checked by hand"]
        (actor,) = risk["origins"][0]["actors"]
        parties = {item["uuid"]: item["name"] for item in plan["metadata"]["parties"]}
        assert parties[actor["actor-uuid"]] == "Rita Risk"
        (item,) = [item for item in plan["poam-items"] if item["props"][0]["value"] == name]
        assert item["related-risks"] == [{"risk-uuid": risk["uuid"]}]
        (seen,) = [found["observation-uuid"] for found in item["related-observations"]]
        (title,) = [each["title"] for each in plan["observations"] if each["uuid"] == seen]
        assert title.endswith(": waiver")
    assert ("Seen a day late" in risks[accepted]["statement"]) is True
    assert ("accepted" in risks[waived]["statement"]) is False


def test_names_stay_when_the_ledger_grows(files: Path, cli: Cli) -> None:
    """Systems, parties, findings and observations keep their UUIDs from one export to the next;
    the documents themselves get new ones."""

    def names(folder: str) -> Any:
        assert cli("export", "oscal", folder).code == 0
        document = json.loads((files / folder / "assessment-results.json").read_text())
        results = document["assessment-results"]
        (result,) = results["results"]
        return results["uuid"], {
            (kind, item["uuid"])
            for kind, items in (
                ("party", results["metadata"]["parties"]),
                ("component", result["local-definitions"]["components"]),
                ("finding", result["findings"]),
                ("observation", result["observations"]),
            )
            for item in items
        }

    before, first = names("one")
    assert cli("approve", "#5", "--key", "risk", "--statement", "Read").code == 0
    after, second = names("two")
    assert before != after and first < second


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["data"], "export.not-empty"),
        (["out", "--system", "nothing@1"], "system.unknown"),
        (["out", "--as-of", "soon"], "time.malformed"),
        (["out", "--framework", "nothing"], "catalog.unknown"),
    ],
)
def test_what_cannot_be_exported_is_said(
    place: Path, cli: Cli, arguments: list[str], code: str
) -> None:
    """Bad input is answered with 2 and a code, and no folder is left."""
    said = cli("export", "oscal", *arguments, "--json")
    assert (said.code, said.json["error"]["code"]) == (2, code)
    assert not (place / "out").exists()
