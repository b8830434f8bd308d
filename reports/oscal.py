"""A system's coverage as OSCAL 1.1.2: catalogs, profile, assessment results and plan of action.

=============================  =====================================================================
``catalog-ID.json``            each catalog that was evaluated, with what meets its controls
``profile.json``               the controls that the gate's profile blocks on
``assessment-results.json``    an observation per record, a finding per control
``poam.json``                  an item per control that is not met or is waived; absent where all
                               are met
``receipts/…``                 the proof of each record that an observation names
=============================  =====================================================================

Only ``met`` becomes ``satisfied``; the state itself stands beside it as a property. Every UUID
follows from the ledger's name, every time from the checkpoint or from the moment asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from muniment.controls.catalog import Catalog
from muniment.controls.coverage import ControlResult, Coverage, State
from muniment.controls.exchange.oscal_writer import (
    NAMESPACE,
    Names,
    catalog_document,
    control_token,
    metadata,
    one_line,
    profile_document,
    prop,
)
from muniment.controls.profile import Profile
from muniment.evidence.receipt import trusted_root
from muniment.schemas.record import Record, Signer
from muniment.schemas.statement import RecordRef
from muniment.schemas.times import format_time

from .coverages import known_since
from .files import new_folder, told_as_report_error
from .proofs import TRUSTED_ROOT, receipt_name

if TYPE_CHECKING:
    from muniment.evidence.verified import VerifiedLedger

    from .workspace import Workspace

PROFILE, RESULTS, POAM, RECEIPTS = (
    "profile.json",
    "assessment-results.json",
    "poam.json",
    "receipts",
)
_REASONS = {State.MET: "pass", State.FAILED: "fail"}
_WAIVED = ("control.waived", "control.risk-accepted")
"""Codes of the reason that names the record by which a control may stand open."""
_TESTED = ("eval-result", "monitoring-report")
"""Kinds that record a test; of all others it is the document that was examined."""
_PHASES = {
    "experiment": "under-development",
    "pilot": "under-development",
    "production": "operational",
    "retired": "disposition",
}


@dataclass(frozen=True, slots=True)
class OscalExport:
    """What an export wrote."""

    folder: Path
    files: tuple[str, ...]
    """Names relative to the folder, receipts aside."""
    coverage: Coverage
    satisfied: int
    unmet: int
    """Controls of the plan of action that still want something."""
    waived: int
    """Controls of the plan that a signed record lets stand open: approved deviations."""
    receipts: int


def export_oscal(
    workspace: Workspace,
    verified: VerifiedLedger,
    coverage: Coverage,
    catalogs: Sequence[Catalog],
    profile: Profile,
    folder: Path,
) -> OscalExport:
    """Write the export into a folder that is new or empty; all of it is there at the end, or none.

    Args:
        catalogs: those of the coverage.

    Raises:
        InputError: ``export.not-empty``.
        ReportError: ``report.unwritable``.
    """
    writer = _Writer(
        Names(workspace.config.origin),
        coverage,
        {record.sha256: record for record in verified.records},
        workspace.config.organisation,
        verified.require().checkpoint.origin,
        tuple(item.sentence for item in known_since(workspace, verified, coverage)),
    )
    documents = writer.documents(catalogs, profile)
    used = writer.records()
    with new_folder(folder) as target, told_as_report_error(folder):
        for name, document in documents.items():
            text = json.dumps(document, ensure_ascii=False, indent=2)
            (target / name).write_text(f"{text}\n", "utf-8")
        _write_receipts(workspace, verified, used, target / RECEIPTS)
    states = [control.state for control in coverage.controls]
    met = states.count(State.MET)
    unmet, waived = sum(state.is_gap for state in states), states.count(State.WAIVED)
    return OscalExport(folder, tuple(documents), coverage, met, unmet, waived, len(used))


def _write_receipts(
    workspace: Workspace, verified: VerifiedLedger, records: Sequence[Record], target: Path
) -> None:
    checkpoint, ledger = verified.require(), workspace.ledger
    target.mkdir()
    for receipt in ledger.receipts([record.index for record in records], checkpoint):
        bundle = receipt.to_bundle(ledger.vkey, checkpoint.size, checkpoint.root)
        (target / receipt_name(receipt.index)).write_bytes(bundle)
    began = verified.records[0].recorded_at
    (target / TRUSTED_ROOT).write_bytes(trusted_root(ledger.vkey, began))


@dataclass(frozen=True, slots=True)
class _Writer:
    """One export being written."""

    names: Names
    coverage: Coverage
    known: Mapping[str, Record]
    """Every verified record by its digest."""
    organisation: str
    origin: str
    hindsight: tuple[str, ...]
    """What became known after the moment of the coverage, a sentence each."""

    def documents(self, catalogs: Sequence[Catalog], profile: Profile) -> dict[str, Any]:
        """Every document by its file's name."""
        hrefs = {catalog.id: f"catalog-{catalog.id}.json" for catalog in catalogs}
        moment = self.coverage.as_of
        found: dict[str, Any] = {
            hrefs[catalog.id]: catalog_document(catalog, self.names, moment) for catalog in catalogs
        }
        found[PROFILE] = profile_document(
            profile, catalogs, hrefs, self.names, moment, self.coverage.exempt
        )
        found[RESULTS] = self._results()
        if self.planned():
            found[POAM] = self._poam()
        return found

    def planned(self) -> list[ControlResult]:
        """Controls that still want something, or that a signed record lets stand open."""
        controls = self.coverage.controls
        return [item for item in controls if item.state.is_gap or item.state is State.WAIVED]

    def records(self) -> list[Record]:
        """Every record that a control's result names, in ledger order."""
        refs = {ref for control in self.coverage.controls for ref in _refs(control)}
        found = [self.known[ref.sha256] for ref in refs if ref.sha256 in self.known]
        return sorted(found, key=lambda record: record.index)

    def _state(self) -> list[str]:
        """What makes one export's documents unlike another's."""
        coverage = self.coverage
        digests = [catalog.sha256 for catalog in coverage.catalogs]
        return [
            str(coverage.system),
            format_time(coverage.as_of),
            coverage.profile_sha256,
            str(coverage.artifact),
            *digests,
            *(record.sha256 for record in self.records()),
        ]

    def _metadata(self, title: str) -> dict[str, Any]:
        parties = {signer.person: self._party(signer) for signer in self._signers("person")}
        return metadata(
            f"{title}: {self.coverage.system}",
            self.coverage.system.version,
            self.coverage.as_of,
            props=[
                prop("ledger", self.origin),
                prop("system", str(self.coverage.system)),
                prop("profile", self.coverage.profile),
                *([prop("model-sha256", self.coverage.artifact)] if self.coverage.artifact else []),
            ],
            parties=[
                {
                    "uuid": self.names.uuid("organisation"),
                    "type": "organization",
                    "name": one_line(self.organisation),
                },
                *(parties[person] for person in sorted(parties)),
            ],
        )

    def _signers(self, kind: str) -> list[Signer]:
        return [record.signer for record in self.records() if record.signer.type == kind]

    def _party(self, signer: Signer) -> dict[str, Any]:
        found = {
            "uuid": self.names.uuid("party", signer.person),
            "type": "person",
            "name": one_line(signer.name),
        }
        is_address = "@" in signer.email[1:-1] and " " not in signer.email
        return {**found, "email-addresses": [signer.email]} if is_address else found

    def _results(self) -> dict[str, Any]:
        plan = self.names.uuid("no-plan", *self._state())
        result: dict[str, Any] = {
            "uuid": self.names.uuid("result", *self._state()),
            "title": f"Coverage of {self.coverage.system}",
            "description": "Computed by Muniment from the verified records of the ledger alone.",
            "start": format_time(self.coverage.as_of),
            "end": format_time(self.coverage.as_of),
            "props": [prop("records-considered", str(self.coverage.considered))],
            "local-definitions": {"components": self._components()},
            "reviewed-controls": {"control-selections": list(self._selections())},
            "observations": [self._observation(record) for record in self.records()],
            "findings": [self._finding(control) for control in self.coverage.controls],
        }
        left_out = [f"Left out: {reason.text}" for reason in self.coverage.left_out]
        if remarks := [*left_out, *self.hindsight]:
            result["remarks"] = "\n\n".join(remarks)
        if not result["observations"]:
            del result["observations"]
        return {
            "assessment-results": {
                "uuid": self.names.uuid("assessment-results", *self._state()),
                "metadata": self._metadata("Assessment results"),
                "import-ap": {
                    "href": f"#{plan}",
                    "remarks": "There is no assessment plan in OSCAL: every control of the "
                    "catalogs beside this file was evaluated.",
                },
                "results": [result],
                "back-matter": {
                    "resources": [
                        {
                            "uuid": plan,
                            "title": "What the gate asks for",
                            "rlinks": [{"href": PROFILE, "media-type": "application/json"}],
                        }
                    ]
                },
            }
        }

    def _selections(self) -> Iterator[dict[str, Any]]:
        for catalog in self.coverage.catalogs:
            yield {
                "description": catalog.name,
                "links": [{"href": f"catalog-{catalog.catalog}.json", "rel": "catalog"}],
                "include-controls": [
                    {"control-id": control_token(control.id)} for control in catalog.controls
                ],
            }

    def _components(self) -> list[dict[str, Any]]:
        """The system, the evaluator, and the machines that signed."""
        described = [
            record.statement.body
            for record in self.known.values()
            if record.kind == "system" and record.statement.system == self.coverage.system
        ]
        body = described[-1] if described else {}
        state = _PHASES.get(str(body.get("phase")), "other")
        machines = {signer.person: signer for signer in self._signers("machine")}
        return [
            _component(
                self._system,
                "this-system",
                str(body.get("name") or self.coverage.system.id),
                str(body.get("purpose") or f"AI system {self.coverage.system.id}"),
                state,
            ),
            _component(
                self._tool, "software", "Muniment", "The evaluator of the evidence.", "operational"
            ),
            *(
                _component(
                    self.names.uuid("machine", person),
                    "software",
                    machines[person].name,
                    "A machine that signs evidence.",
                    "operational",
                )
                for person in sorted(machines)
            ),
        ]

    @property
    def _system(self) -> str:
        """UUID of the system, the same for all its versions."""
        return self.names.uuid("system", self.coverage.system.id)

    @property
    def _tool(self) -> str:
        return self.names.uuid("tool")

    def _observation(self, record: Record) -> dict[str, Any]:
        statement, signer = record.statement, record.signer
        is_person = signer.type == "person"
        actor = {
            "type": "party" if is_person else "tool",
            "actor-uuid": self.names.uuid("party" if is_person else "machine", signer.person),
        }
        found: dict[str, Any] = {
            "uuid": self.names.uuid("observation", record.sha256),
            "title": f"Record {record}: {record.kind}",
            "description": f"{record.kind}, signed by {signer.name}, recorded "
            f"{format_time(record.recorded_at)} as {record} of {self.origin}.",
            "props": [
                prop("record", str(record.index)),
                prop("record-sha256", record.sha256),
                prop("kind", record.kind),
                prop("signer-key", signer.fingerprint),
                prop("recorded-at", format_time(record.recorded_at)),
            ],
            "links": [
                {
                    "href": f"{RECEIPTS}/{receipt_name(record.index)}",
                    "rel": "receipt",
                    "media-type": "application/vnd.dev.sigstore.bundle.v0.3+json",
                }
            ],
            "methods": ["TEST" if record.kind in _TESTED else "EXAMINE"],
            "origins": [{"actors": [actor]}],
            "subjects": [{"subject-uuid": self._system, "type": "component"}],
            "collected": format_time(statement.collected_at),
        }
        files = [
            {
                "description": subject.name,
                "props": [prop("sha256", subject.sha256)],
            }
            for subject in statement.subjects
            if subject.is_file
        ]
        if files:
            found["relevant-evidence"] = files
        if statement.valid_until is not None:
            found["expires"] = format_time(statement.valid_until)
        return found

    def _finding(self, control: ControlResult) -> dict[str, Any]:
        met = control.state is State.MET
        target: dict[str, Any] = {
            "type": "statement-id",
            "target-id": f"{control_token(control.id)}_smt",
            "props": [prop("state", str(control.state))],
            "status": {
                "state": "satisfied" if met else "not-satisfied",
                "reason": _REASONS.get(control.state, "other"),
            },
        }
        if control.fresh_until is not None:
            target["props"].append(prop("fresh-until", format_time(control.fresh_until)))
        return {
            "uuid": self.names.uuid("finding", str(self.coverage.system), control.id),
            "title": one_line(f"{control.id.partition(':')[2]} {control.title}"),
            "description": _reasons(control),
            "props": [
                prop("control", control.id),
                *(prop("reason", code) for code in dict.fromkeys(r.code for r in control.reasons)),
            ],
            "origins": [{"actors": [{"type": "tool", "actor-uuid": self._tool}]}],
            "target": target,
            **self._observed(control),
        }

    def _observed(self, control: ControlResult) -> dict[str, Any]:
        """The observations that a control's result names; nothing where it names none."""
        shas = [ref.sha256 for ref in sorted(_refs(control), key=lambda ref: ref.index)]
        found = [
            {"observation-uuid": self.names.uuid("observation", sha)}
            for sha in shas
            if sha in self.known
        ]
        return {"related-observations": found} if found else {}

    def _poam(self) -> dict[str, Any]:
        planned = self.planned()
        named = {ref.sha256 for control in planned for ref in _refs(control)}
        observations = [self._observation(item) for item in self.records() if item.sha256 in named]
        plan: dict[str, Any] = {
            "uuid": self.names.uuid("poam", *self._state()),
            "metadata": self._metadata("Plan of action and milestones"),
            "system-id": {"identifier-type": NAMESPACE, "id": str(self.coverage.system)},
            "local-definitions": {"components": self._components()},
            "observations": observations,
            "risks": [self._risk(control) for control in planned],
            "poam-items": [self._item(control) for control in planned],
        }
        if not observations:
            del plan["observations"]
        return {"plan-of-action-and-milestones": plan}

    def _item(self, control: ControlResult) -> dict[str, Any]:
        return {
            "uuid": self.names.uuid("poam-item", str(self.coverage.system), control.id),
            "title": one_line(f"{control.id.partition(':')[2]} {control.title}"),
            "description": _reasons(control),
            "props": [prop("control", control.id), prop("state", str(control.state))],
            "related-risks": [{"risk-uuid": self._named(control, "risk")}],
            **self._observed(control),
        }

    def _risk(self, control: ControlResult) -> dict[str, Any]:
        """What is open about a control, what would close it, and what lapses meanwhile.

        Where a signed record lets it stand open, that is an approved deviation until a day.
        """
        found: dict[str, Any] = {
            "uuid": self._named(control, "risk"),
            "title": one_line(f"{control.id.partition(':')[2]} is {control.state}"),
            "description": _reasons(control),
            "statement": f"The control {control.id} is {control.state} for "
            f"{self.coverage.system} as of {format_time(self.coverage.as_of)}.",
            "props": [prop("control", control.id), prop("state", str(control.state))],
            "status": "open",
        }
        waiver = self._waiver(control)
        if waiver is not None:
            found |= self._deviation(control, waiver, found)
        if waiver is None or control.unblock:
            found["remediations"] = [self._remediation(control)]
        return found

    def _waiver(self, control: ControlResult) -> Record | None:
        """The record that lets a control stand open."""
        if control.state is not State.WAIVED:
            return None
        (by,) = (reason.records[0] for reason in control.reasons if reason.code in _WAIVED)
        return self.known[by.sha256]

    def _deviation(
        self, control: ControlResult, waiver: Record, risk: Mapping[str, Any]
    ) -> dict[str, Any]:
        """What a waiver or the acceptance of a risk makes of an open risk."""
        body, signer = waiver.statement.body, waiver.signer
        party = {"type": "party", "actor-uuid": self.names.uuid("party", signer.person)}
        sentences = [risk["statement"], f"By the evidence alone it is {control.underlying}."]
        if "residualRisk" in body:
            sentences.append(f"The risk that is left is accepted: {body['residualRisk']}")
        found: dict[str, Any] = {
            "statement": "\n\n".join(sentences),
            "props": [
                *risk["props"],
                prop("underlying-state", str(control.underlying)),
                prop("deviation", body["type"]),
            ],
            "status": "deviation-approved",
            "origins": [{"actors": [party]}],
            "mitigating-factors": [
                {
                    "uuid": self.names.uuid("mitigation", control.id, waiver.sha256),
                    "description": body["measure"],
                }
            ],
        }
        if control.fresh_until is not None:
            found["deadline"] = format_time(control.fresh_until)
        return found

    def _remediation(self, control: ControlResult) -> dict[str, Any]:
        remediation: dict[str, Any] = {
            "uuid": self._named(control, "remediation"),
            "lifecycle": "recommendation",
            "title": one_line(control.unblock or "Bring what is missing"),
            "description": control.command or _reasons(control),
        }
        milestones = [
            {
                "uuid": self.names.uuid("milestone", control.id, record.sha256),
                "type": "milestone",
                "title": f"Evidence {record} lapses",
                "timing": {"on-date": {"date": format_time(until)}},
            }
            for record, until in self._expiring(control)
        ]
        if milestones:
            remediation["tasks"] = milestones
        return remediation

    def _expiring(self, control: ControlResult) -> Iterator[tuple[Record, datetime]]:
        """Records behind a control that say themselves when they lapse, still to come."""
        for ref in sorted(_refs(control), key=lambda ref: ref.index):
            record = self.known.get(ref.sha256)
            until = record.statement.valid_until if record else None
            if record and until and until > self.coverage.as_of:
                yield record, until

    def _named(self, control: ControlResult, what: str) -> str:
        return self.names.uuid(what, str(self.coverage.system), control.id)


def _component(uuid: str, kind: str, title: str, description: str, state: str) -> dict[str, Any]:
    return {
        "uuid": uuid,
        "type": kind,
        "title": one_line(title),
        "description": description,
        "status": {"state": state},
    }


def _refs(control: ControlResult) -> set[RecordRef]:
    """Every record that a control's result names."""
    found = {ref for reason in control.reasons for ref in reason.records}
    return found | set(control.evidence) | set(control.approvals)


def _reasons(control: ControlResult) -> str:
    return "\n\n".join(reason.text for reason in control.reasons) or str(control.state)
