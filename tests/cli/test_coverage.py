"""``muniment coverage``: systems side by side, over time, in every form, in agreement."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from muniment.reports.signature import read_attachments
from muniment.reports.workspace import Workspace
from muniment.schemas.times import parse_time

from .conftest import ADD_SYSTEM, SYSTEM, Cli, change_ledger

NIST = ("--framework", "nist-ai-rmf-1.0")
CONTROL = "nist-ai-rmf-1.0:MEASURE 2.3"


def data(cli: Cli, *options: str) -> dict[str, Any]:
    """The document of ``coverage``."""
    said = cli("coverage", *NIST, *options, "--json")
    assert said.code == 0, said.out
    found: dict[str, Any] = said.json["data"]
    return found


def states(document: dict[str, Any]) -> dict[str, str]:
    return {
        item["id"]: item["state"]
        for catalog in document["catalogs"]
        for item in catalog["controls"]
    }


def size(cli: Cli) -> str:
    """Size of the ledger, as an argument."""
    listed = cli("record", "list", "--json").json["data"]["records"]
    return str(max(item["index"] for item in listed) + 1)


ANSWERS = [
    ("coverage", *NIST),
    ("gate", "--dry-run"),
    ("soa",),
    ("export", "oscal", "oscal"),
    ("packet", "-o", "past.pdf"),
]


@pytest.mark.parametrize("command", ANSWERS, ids=[item[0] for item in ANSWERS])
def test_a_day_before_the_ledger_is_refused(place: Path, cli: Cli, command: Any) -> None:
    """Of a day on which there was no ledger nothing is answered, however early it is."""
    for day in ("0001-01-01", "2000-01-01"):
        said = cli(*command, "--as-of", day, "--json")
        assert (said.code, said.json["error"]["code"]) == (2, "coverage.before-ledger")
        assert "when its first record was recorded" in said.json["error"]["expected"]
    assert not [item for item in ("oscal", "past.pdf") if (place / item).exists()]


def test_what_changed_since_before_the_ledger(place: Path, cli: Cli) -> None:
    """Looking back to the first of all days compares with nothing, and fails on no arithmetic."""
    found = data(cli, "--since", "0001-01-01")["since"]
    assert found["considered"] == 0
    assert found["changes"]


def test_a_day_to_come_is_said_to_be(place: Path, cli: Cli) -> None:
    """An answer about a day after today says that nothing recorded later is known; one about today
    does not."""
    text = "nothing recorded later is known"
    assert text in cli("coverage", *NIST, "--as-of", "2099-12-31").out
    assert text in cli("gate", "--dry-run", "--as-of", "2099-12-31").out
    assert text in cli("soa", "--as-of", "2099-12-31").err
    (item,) = data(cli, "--as-of", "9999-12-31")["hindsight"]
    assert item["code"] == "moment.later"
    assert cli("export", "oscal", "oscal", "--as-of", "2099-12-31").code == 0
    assert text in (place / "oscal/assessment-results.json").read_text()
    today = datetime.now(UTC).date().isoformat()
    assert text not in cli("coverage", *NIST, "--as-of", today).out


def test_a_compromise_known_later_is_hindsight(place: Path, cli: Cli) -> None:
    """The state at the old checkpoint stays; the list names record, key record and time."""
    assert cli("approve", "#5", "--key", "risk").code == 0
    before, then = data(cli), size(cli)
    revoke = ("key", "revoke", "risk", "--reason", "Laptop stolen", "--compromised-since", "#7")
    assert cli(*revoke).code == 0
    past, now = data(cli, "--as-of", then), data(cli)
    assert states(past) == states(before)
    policy = "nist-ai-rmf-1.0:GOVERN 1.1"
    assert [states(item)[policy] for item in (past, now)] == ["met", "unapproved"]
    first, known = past["hindsight"]
    assert (first["code"], first["record"]["index"]) == ("key.revoked", 4)
    assert (known["code"], known["record"]["index"]) == ("record.distrusted", 7)
    assert known["by"]["index"] == int(then)
    assert known["since"] and now["hindsight"] == []
    assert "record.distrusted" in {item["code"] for item in now["left_out"]}
    for form in ("text", "markdown", "html"):
        said = cli("coverage", *NIST, "--as-of", then, "--format", form).out
        assert "counts for nothing any more" in said and known["since"][:10] in said


def test_a_plain_revocation_known_later_is_hindsight(place: Path, cli: Cli) -> None:
    """Whoever signed and left since is named; nothing changes then or now."""
    before, then = data(cli), size(cli)
    assert cli("key", "revoke", "rita@example.com", "--reason", "Left the bank").code == 0
    past = data(cli, "--as-of", then)
    assert states(past) == states(before) == states(data(cli))
    assert [(item["code"], item["record"]["index"]) for item in past["hindsight"]] == [
        ("key.revoked", 4)
    ]


def test_a_retraction_known_later_is_hindsight(place: Path, cli: Cli) -> None:
    """The retracted evidence still carries the control at the old checkpoint."""
    before, then = data(cli), size(cli)
    assert cli("retract", "#3", "--reason", "Wrong data").code == 0
    past = data(cli, "--as-of", then)
    assert states(past) == states(before)
    assert states(data(cli))[CONTROL] == "missing"
    assert [item["code"] for item in past["hindsight"]] == ["record.retracted"]


def test_an_erasure_known_later_is_hindsight(place: Path, cli: Cli) -> None:
    """What is gone cannot be judged again; that is said, with the order that removed it."""
    then = size(cli)
    order = ("erase", "#5", "--basis", "GDPR Art. 17(1)(b)", "--reason", "Consent withdrawn")
    assert cli(*order, "--yes").code == 0
    (known,) = data(cli, "--as-of", then)["hindsight"]
    assert (known["code"], known["record"]["index"]) == ("record.erased", 5)
    assert "states shown are without it" in known["text"]


def test_the_packet_of_the_past_says_the_same_and_holds(place: Path, cli: Cli) -> None:
    """A packet as of an old moment verifies, and agrees with coverage."""
    then = data(cli)["as_of"]
    revoke = ("key", "revoke", "risk", "--reason", "Laptop stolen", "--compromised-since", "#4")
    # NOTE: a second is the ledger's unit of time.
    while data(cli)["as_of"] == then:
        pass
    assert cli(*revoke).code == 0
    covered = data(cli, "--as-of", then)
    assert [item["code"] for item in covered["hindsight"]] == ["record.distrusted"]
    assert cli("packet", *NIST, "--as-of", then, "-o", "past.pdf").code == 0
    assert cli("verify", "past.pdf").code == 0
    gated = cli("gate", "--dry-run", "--as-of", then, "--json").json["data"]
    assert gated["hindsight"] == covered["hindsight"]
    assert cli("export", "oscal", "oscal", "--as-of", then).code == 0
    assert "counts for nothing any more" in Path("oscal", "assessment-results.json").read_text()
    attached = read_attachments(Path("past.pdf").read_bytes())
    inside = json.loads(attached["coverage.json"])
    assert by_id(inside)[CONTROL] == by_id(covered)[CONTROL]


def test_a_checkpoint_is_a_moment_everywhere(place: Path, cli: Cli) -> None:
    """Gate, SoA, packet and OSCAL take the size of a checkpoint as coverage does."""
    then = size(cli)
    covered = data(cli, "--as-of", then)
    past, now = covered["as_of"], data(cli)["as_of"]
    while now == past:
        # NOTE: a second is the ledger's unit of time.
        now = data(cli)["as_of"]
    assert cli("retract", "#3", "--reason", "Wrong data").code == 0
    gated = cli("gate", "--dry-run", "--as-of", then, "--json").json["data"]
    assert [item["code"] for item in gated["hindsight"]] == ["record.retracted"]
    assert cli("soa", "--as-of", then, "--json").json["data"]["as_of"] == past
    assert cli("packet", *NIST, "--as-of", then, "-o", "past.pdf").code == 0
    inside = json.loads(read_attachments(Path("past.pdf").read_bytes())["coverage.json"])
    assert by_id(inside)[CONTROL] == by_id(covered)[CONTROL]
    said = cli("export", "oscal", "oscal", "--as-of", then, "--json").json["data"]
    assert said["as_of"] == past
    for command in (("gate", "--dry-run"), ("soa",), ("packet", "-o", "x.pdf")):
        assert "[checkpoint.unknown]" in cli(*command, "--as-of", "999").err


def test_a_checkpoint_that_its_time_does_not_name(place: Path, cli: Cli) -> None:
    """A packet says only the time: it refuses a checkpoint in whose second more was recorded."""
    sizes = {item: data(cli, "--as-of", str(item))["as_of"] for item in (6, 7)}
    said = cli("packet", *NIST, "--as-of", "6", "-o", "past.pdf")
    if sizes[6] == sizes[7]:
        assert "[checkpoint.same-second]" in said.err
        assert not Path("past.pdf").exists()
    else:
        assert said.code == 0


def test_every_form_names_the_profile(place: Path, cli: Cli) -> None:
    """Text, Markdown and HTML in the heading, CSV in a column, of changes too."""
    for more in ((), ("--since", "3"), ("--expiring", "90d")):
        for form in ("text", "markdown", "html", "csv"):
            said = cli("coverage", *NIST, *more, "--profile", "pilot", "--format", form).out
            wanted = {"csv": '"profile"', "markdown": "by profile pilot&#64;"}
            assert wanted.get(form, "by profile pilot@") in said


def test_what_changed_is_counted_and_no_id_is_broken(
    place: Path, cli: Cli, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counts stand above the rows; on a narrow terminal a reason stands below its row."""
    monkeypatch.setenv("COLUMNS", "50")
    lines = cli("coverage", *NIST, "--since", "3").out.splitlines()
    assert "1 newly met" in lines[2] or "newly" in lines[2]
    at = next(number for number, line in enumerate(lines) if line.startswith(CONTROL))
    assert "newly met" in lines[at]
    assert lines[at + 1].startswith("    carried by eval-result")


def test_html_breaks_no_word_but_in_prose(place: Path, cli: Cli) -> None:
    """Only cells of prose may break anywhere."""
    page = cli("coverage", *NIST, "--format", "html").out
    style = page.partition("<style>")[2].partition("</style>")[0]
    (rule,) = [line for line in style.splitlines() if "anywhere" in line]
    assert rule.startswith(".prose")
    assert '<td class="met">met</td>' in page


def test_a_filter_that_fits_nothing(place: Path, cli: Cli) -> None:
    """It is said so, without headings of empty tables; what was left out is a number."""
    for form in ("text", "markdown", "html"):
        said = cli("coverage", *NIST, "--state", "waived", "--format", form).out
        assert "no control fits" in said
        assert "NIST AI RMF 1" not in said
        assert "Left out" not in said
    assert "on records that count for nothing" in cli("coverage", *NIST, "--state", "met").out


def by_id(document: dict[str, Any]) -> dict[str, Any]:
    return {item["id"]: item for one in document["catalogs"] for item in one["controls"]}


def test_coverage_gate_and_packet_agree_record_for_record(place: Path, cli: Cli) -> None:
    """State, reasons, evidence and approvals of every control are the same in all three."""
    when = data(cli)["as_of"]
    frameworks = (*NIST, "--framework", "readiness-gate")
    covered = by_id(cli("coverage", *frameworks, "--as-of", when, "--json").json["data"])
    gate = cli("gate", "--dry-run", "--as-of", when, "--json").json["data"]
    assert cli("packet", *NIST, "--as-of", when, "-o", "p.pdf").code == 0
    attached = read_attachments(Path("p.pdf").read_bytes())
    inside = by_id(json.loads(attached["coverage.json"]))
    assert covered == inside
    blocking = {item["id"]: item for item in gate["blocking"]}
    assert blocking == {name: covered[name] for name in blocking}
    opened = Workspace.find()
    decision = opened.gate(dry_run=True, as_of=parse_time(when)).decision
    opened.storage.close()
    scope = {item.id: item.to_json() for item in decision.scope}
    assert scope and scope.keys() >= blocking.keys()
    assert scope == {name: covered[name] for name in scope}
    said = json.loads(attached["gate.json"])
    assert {item["control"] for item in said["blocking"]} == blocking.keys()


def test_since_a_checkpoint_and_a_date(place: Path, cli: Cli) -> None:
    """What happened since is listed with the records behind it."""
    document = data(cli, "--since", "3")
    (change,) = (item for item in document["since"]["changes"] if item["id"] == CONTROL)
    assert (change["what"], change["before"]) == ("newly met", "missing")
    assert [ref["index"] for ref in change["gained"]] == [3, 4]
    assert change["reasons"]
    early = data(cli, "--since", "2000-01-01")["since"]
    assert CONTROL in {item["id"] for item in early["changes"]}
    text = cli("coverage", *NIST, "--since", "3").out
    assert "newly met" in text and "#3 #4" in text


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("--since", "99"), "checkpoint.unknown"),
        (("--since", "0"), "checkpoint.unknown"),
        (("--as-of", "999999999999"), "checkpoint.unknown"),
        (("--since", "2999-01-01"), "coverage.since"),
        (("--since", "3", "--expiring", "30d"), "usage.since"),
        (("--expiring", "soon"), "duration.malformed"),
        (("--expiring", "999999w"), "duration.malformed"),
        (("--system", SYSTEM, "--all-systems"), "usage.systems"),
        (("--owner", "nobody@example.com"), "coverage.no-system"),
        (("--function", "GOVERNMENT"), "coverage.no-function"),
        (("--state", "fine"), "coverage.no-state"),
        (("--kind", "nothing"), "kind.unknown"),
        (("--all-systems", "--as-of", "2000-01-01"), "coverage.before-ledger"),
        (("--format", "csv"), "usage.format"),
        (("-o", "none/here.csv", "--format", "csv"), "file.missing"),
    ],
)
def test_a_question_without_sense_is_refused(
    place: Path, cli: Cli, options: tuple[str, ...], code: str
) -> None:
    """Each is its own error with exit 2, and nothing is written."""
    said = cli("coverage", *options, "--json")
    assert (said.code, said.json["error"]["code"]) == (2, code)


def test_expiring_names_what_lapses_soonest_first(place: Path, cli: Cli) -> None:
    """Within three years the evaluation lapses; by tomorrow nothing does."""
    found = data(cli, "--expiring", "160w")["expiring"]["lapses"]
    assert CONTROL in {item["id"] for item in found}
    assert [item["at"] for item in found] == sorted(item["at"] for item in found)
    assert all(item["records"] for item in found)
    assert data(cli, "--expiring", "1d")["expiring"]["lapses"] == []
    assert "lapse by" in cli("coverage", *NIST, "--expiring", "160w").out


def test_filters_compose(place: Path, cli: Cli) -> None:
    """A control is shown only if it fits every filter; the document repeats what was asked."""
    whole = by_id(data(cli))
    asked = ("--function", "measure", "--kind", "eval-result", "--state", "met")
    document = data(cli, *asked)
    assert by_id(document).keys() == {CONTROL}
    assert by_id(document)[CONTROL] == whole[CONTROL]
    assert document["catalogs"][0]["counts"]["met"] == 1
    assert document["shown"]["states"] == ["met"]
    assert {item["group"] for item in by_id(data(cli, "--function", "GOVERN")).values()} == {
        "GOVERN"
    }


def test_systems_side_by_side(place: Path, cli: Cli) -> None:
    """Several systems are evaluated apart and shown in one table, by owner too."""
    other = ["other@2.0.0" if word == SYSTEM else word for word in ADD_SYSTEM]
    other[other.index("Ana Owner <ana@example.com>")] = "Bo Other <bo@example.com>"
    assert cli(*other).code == 0
    document = data(cli, "--all-systems")
    one, two = document["systems"]
    assert [item["system"]["id"] for item in (one, two)] == ["support", "other"]
    assert [item["owner"] for item in (one, two)] == ["ana@example.com", "bo@example.com"]
    assert states(one) == states(data(cli, "--system", SYSTEM))
    assert set(states(two).values()) == {"missing"}
    text = cli("coverage", *NIST, "--all-systems").out
    assert SYSTEM in text and "other@2.0.0" in text and "without evidence anywhere" in text
    (mine,) = data(cli, "--owner", "BO@example.com")["systems"]
    assert mine["system"]["id"] == "other"
    named = data(cli, "--system", "other@2.0.0", "--system", SYSTEM)["systems"]
    assert [item["system"]["id"] for item in named] == ["other", "support"]


def rows(cli: Cli, *options: str) -> list[dict[str, str]]:
    """What ``csv`` writes."""
    said = cli("coverage", *NIST, *options, "--format", "csv")
    assert said.code == 0, said.err
    return list(csv.DictReader(io.StringIO(said.out)))


def test_csv_says_what_became_known_since(place: Path, cli: Cli) -> None:
    """A later retraction stands in the rows of the control it bears on; what bears on none in
    all rows of the system; where nothing is left to list, in a row of its own."""
    then = size(cli)
    assert {row["known_since"] for row in rows(cli)} == {""}
    assert cli("retract", "#3", "--reason", "Wrong data").code == 0
    past = rows(cli, "--as-of", then)
    named = {row["control"]: row["known_since"] for row in past if row["known_since"]}
    assert set(named) == {CONTROL}
    assert "was retracted" in named[CONTROL] and "known since 20" in named[CONTROL]
    order = ("erase", "#5", "--basis", "GDPR Art. 17(1)(b)", "--reason", "Consent withdrawn")
    assert cli(*order, "--yes").code == 0
    past = rows(cli, "--as-of", then)
    assert len(past) == 72
    assert all("was erased" in row["known_since"] for row in past)
    assert [row["control"] for row in past if "retracted" in row["known_since"]] == [CONTROL]
    (alone,) = rows(cli, "--as-of", then, "--since", then)
    assert (alone["system"], alone["control"]) == (SYSTEM, "")
    assert "was erased" in alone["known_since"] and "retracted" in alone["known_since"]


def test_csv_has_every_control(place: Path, cli: Cli) -> None:
    """A file with one row for each control, those without evidence too; stdout stays as it is."""
    said = cli("coverage", *NIST, "--format", "csv", "-o", "c.csv")
    assert "MEASURE 2.3" in said.out and "wrote c.csv" in said.err
    rows = list(csv.DictReader(io.StringIO(Path("c.csv").read_text())))
    assert {row["control"]: row["state"] for row in rows} == states(data(cli))
    assert {row["records"] for row in rows if row["control"] == CONTROL} == {"#3"}


def test_json_is_the_json_document(place: Path, cli: Cli) -> None:
    """``--format json`` is what ``--json`` prints."""
    one = json.loads(cli("coverage", *NIST, "--as-of", "7", "--format", "json").out)
    assert one == cli("coverage", *NIST, "--as-of", "7", "--json").json


@pytest.mark.parametrize("columns", ["30", "60", "200"])
def test_the_heat_map_says_number_and_state(
    place: Path, cli: Cli, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In any width every count stands with its state in words."""
    monkeypatch.setenv("COLUMNS", columns)
    out = " ".join(cli("coverage", *NIST).out.split())
    assert "1 met" in out and "19 missing" not in out.split("MEASURE")[0].split("GOVERN")[0]
    counts = data(cli)["catalogs"][0]["counts"]
    assert f"{counts['met']} met" in out


def test_as_much_is_verified_whatever_system_is_asked_about(place: Path) -> None:
    """Every check looks at as many things; all records of the system are given."""
    opened = Workspace.find()
    whole = opened.verified()
    others, own = opened.verified(about=[]), opened.verified(about=[opened.system(None)])
    opened.storage.close()
    looked_at = [
        [(item.name, item.checked) for item in found.report.checks]
        for found in (whole, others, own)
    ]
    assert looked_at[0] == looked_at[1] == looked_at[2]
    assert {item.kind for item in others.records} >= {"system"}
    assert len(others.records) < len(own.records)
    about = [item for item in whole.records if item.statement.system is not None]
    assert [item for item in own.records if item.statement.system is not None] == about


HIDING = {
    "of an evaluation": (
        "UPDATE entry SET system_version = 'x' WHERE number = "
        "(SELECT max(number) FROM entry WHERE kind = 'eval-result')"
    ),
    "of another version": "UPDATE entry SET kind = 'x' WHERE system_version = '9.9.9'",
}


@pytest.mark.parametrize("what", HIDING)
def test_a_record_hidden_after_verification(place: Path, cli: Cli, what: str) -> None:
    """What the machine verified is the same answer; a row hidden since is a no, not a pass, and
    no other system is meant for it."""
    asked = ("coverage", *NIST, "--json", "--as-of", "5")
    before = cli(*asked).json
    if what == "of another version":
        words = ("--name", "A", "--purpose", "B", "--phase", "pilot", "--risk-tier", "high")
        assert cli("system", "add", "other@9.9.9", *words, "--owner", "A <a@example.com>").code == 0
        assert cli(*asked).json["error"]["code"] == "system.ambiguous"
    assert cli("verify").code == 0
    if what == "of an evaluation":
        assert cli(*asked).json == before
    change_ledger(place, HIDING[what])
    answer = cli(*asked)
    assert (answer.code, answer.json["error"]["code"]) == (1, "ledger.unsound")


@pytest.mark.parametrize(
    "command", [("coverage",), ("soa",), ("gate", "--dry-run"), ("packet", "-o", "p.pdf")]
)
def test_a_ledger_that_was_cut_back(place: Path, cli: Cli, command: tuple[str, ...]) -> None:
    """On a machine that verified more than there is, nothing is concluded."""
    opened = Workspace(place)
    size = opened.ledger.checkpoint().size
    opened.storage.close()
    again = ("attach", "policy", "policy.md", "--body", "policy.yaml", "--set", "title=Newer")
    assert cli(*again).code == 0
    assert cli("verify").code == 0
    change_ledger(
        place,
        f"DELETE FROM subject WHERE number >= {size}",
        f"DELETE FROM entry WHERE number >= {size}",
        f"DELETE FROM checkpoint WHERE size > {size}",
        f"UPDATE tile SET hashes = substr(hashes, 1, {32 * size})",
    )
    answer = cli(*command, "--json")
    assert (answer.code, answer.json["error"]["code"]) == (1, "ledger.unsound")
    assert "records and now has" in answer.json["error"]["message"]
