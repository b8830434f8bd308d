"""``muniment sample`` and ``packet --sample`` as a person meets them."""

from __future__ import annotations

import csv
import json
import re
import subprocess
import sys
from collections.abc import Mapping
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from muniment.reports.signature import read_attachments

from .conftest import ATTACH_POLICY, Cli

ROOT = Path(__file__).parents[2]
AUDITOR = [
    *("key", "add", "../config/keys/auditor.pub", "--name", "Outside Auditor"),
    *("--email", "auditor@example.com", "--role", "approver", "--kind", "sample-test"),
]


@pytest.fixture
def audited(place: Path, cli: Cli) -> Path:
    """The story with an auditor's key (#7), and three policies more (#8 to #10)."""
    assert cli("key", "new", "auditor").code == 0
    assert cli(*AUDITOR).code == 0
    for number in range(3):
        body = (place / "policy.yaml").read_text().replace('"4"', f'"1.{number}"')
        (place / "policy.yaml").write_text(body)
        assert cli(*ATTACH_POLICY, "--collected-at", f"2026-01-0{number + 1}").code == 0
    return place


def _fill(
    file: Path, outcomes: Mapping[int, tuple[str | None, str | None]] | None = None, **changes: Any
) -> None:
    """Answer a template: passed, or by place what is said there."""
    filled = yaml.safe_load(file.read_text())
    for item in filled["records"]:
        item["outcome"], item["note"] = (outcomes or {}).get(item["index"], ("passed", None))
    file.write_text(yaml.safe_dump(filled | changes))


def test_a_sample_from_end_to_end(audited: Path, cli: Cli) -> None:
    """Drawn, filled in, signed; the exception is heard, and nobody else takes it back."""
    seed = ("--seed-from", "10", "--salt", "a word of mine")
    said = cli("sample", "--n", "99", *seed, "--template", "results.yaml", "--json")
    assert said.code == 0, said.out
    drawn = said.json["data"]
    assert [item["index"] for item in drawn["records"]] == [1, 3, 4, 5, 6, 8, 9]
    assert (drawn["checkpoint"]["size"], drawn["salt"]) == (10, "a word of mine")
    assert (drawn["population"], drawn["later"]) == (7, 1)
    assert any("every record is drawn" in text for text in drawn["remarks"])
    _fill(audited / "results.yaml", {3: ("exception", "190 rows"), 4: ("not-tested", "away")})
    signed = cli("sample", "record", "results.yaml", "--key", "auditor", "--json")
    assert signed.code == 0, signed.out
    body = cli("record", "show", "#11", "--json").json["data"]["statement"]["predicate"]["body"]
    assert body["rule"] == "muniment-sample/v1"
    assert body["checkpoint"] == {k: drawn["checkpoint"][k] for k in ("size", "root")}
    assert body["records"][1]["note"] == "190 rows"
    again = cli("sample", "record", "results.yaml", "--key", "auditor", "--json").json["data"]
    assert (again["is_new"], again["record"]["index"]) == (False, 11)
    for reason in ("no", "no, I say"):  # it is not heard, and so not refused as done already
        assert cli("retract", "#11", "--reason", reason, "--key", "risk").code == 0
    assert cli("erase", "#11", "--basis", "b", "--reason", "r", "--yes", "--key", "risk").code == 2
    shown = cli("coverage", "--framework", "nist-ai-rmf", "--kind", "eval-result").out
    assert "#3 was tested, with an exception, by Outside Auditor in #11" in shown


def test_the_program_in_the_documents_draws_the_same(audited: Path, cli: Cli) -> None:
    """The Python of docs/formats.md, run on exported receipts alone, agrees, erasures included."""
    text = (ROOT / "docs" / "formats.md").read_text("utf-8")
    (program,) = re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)
    assert cli("gate").code == 1  # its decision is about the system too, and is not drawn
    assert (
        cli("packet", "--framework", "nist-ai-rmf-1.0", "-o", "p.pdf").code == 0
    )  # nor its record
    erased = ("--basis", "b", "--reason", "r", "--yes", "--key", "risk")
    for stage in range(2):
        assert cli("export", "bundles", f"out-{stage}").code == 0
        for n, size, salt in ((1, 13, ""), (4, 11, "word"), (6, 10, ""), (9, 13, "x y")):
            asked = ("--n", str(n), "--seed-from", str(size), *(("--salt", salt) if salt else ()))
            data = cli("sample", *asked, "--json").json["data"]
            done = subprocess.run(
                [sys.executable, "-c", program, data["checkpoint"]["root"], salt, str(size), str(n),
                 "support@1.0.0"],
                cwd=audited / f"out-{stage}", capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert json.loads(done.stdout) == [item["index"] for item in data["records"]]
        if not stage:
            assert cli("erase", "#9", *erased).code == 0


def test_an_erased_record_stays_drawn(audited: Path, cli: Cli) -> None:
    """Whoever erases what was drawn changes nothing but what can be tested."""
    assert cli("sample", "--n", "99", "--template", "results.yaml").code == 0
    gone = cli("erase", "#9", "--basis", "b", "--reason", "r", "--yes", "--key", "risk")
    assert gone.code == 0, gone.err
    drawn = cli("sample", "--n", "99", "--seed-from", "11", "--json").json["data"]["records"]
    (line,) = [item for item in drawn if item["index"] == 9]
    assert (line["standing"], line["signer"], line["kind"]) == ("erased by #11", None, "policy")
    assert "not known" in cli("sample", "--n", "99", "--seed-from", "11").out
    _fill(audited / "results.yaml", {9: ("not-tested", "erased before it could be")})
    said = cli("sample", "record", "results.yaml", "--key", "auditor")
    assert said.code == 0, said.err


def test_the_forms_agree(audited: Path, cli: Cli) -> None:
    """Text, JSON, CSV and the template name the same records, on the screen and in files."""
    command = ("sample", "--n", "4", "--by", "control", "--salt", "word")
    data = cli(*command, "--format", "json", "--template", "t.yaml").json["data"]
    places = [f"#{item['index']}" for item in data["records"]]
    text = cli(*command).out
    assert all(f"\n{place} " in text for place in places)
    rows = list(csv.DictReader(StringIO(cli(*command, "--format", "csv").out)))
    assert [row["Record"] for row in rows] == places
    assert [row["SHA-256"] for row in rows] == [item["sha256"] for item in data["records"]]
    template = yaml.safe_load((audited / "t.yaml").read_text())
    assert [item["index"] for item in template["records"]] == [
        item["index"] for item in data["records"]
    ]
    for form in ("csv", "json"):
        said = cli(*command, "--format", form, "-o", f"s.{form}")
        assert (said.code, "4 records of 8" in said.out) == (0, True)
    assert json.loads((audited / "s.json").read_text())["data"] == data
    assert "word" in text and "(--salt)" not in text
    assert "(--salt)" in cli("sample", "--n", "4").out


def test_a_seed_from_a_file_is_the_ledgers_own(audited: Path, cli: Cli) -> None:
    """A kept receipt names the checkpoint; one that another ledger signed is refused."""
    assert cli("export", "bundles", "kept").code == 0
    (receipt, *_) = sorted((audited / "kept").glob("receipt-*"))
    assert cli("waive", "A.6.2.6", "--reason", "r", "--measure", "m", "--until", "2099-01-01").code
    said = cli("sample", "--n", "3", "--seed-from", str(receipt), "--json").json["data"]
    assert said["checkpoint"]["size"] == 11
    note = json.loads(receipt.read_text())
    entry = note["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["checkpoint"]
    entry["envelope"] = entry["envelope"].replace("\n11\n", "\n10\n")
    receipt.write_text(json.dumps(note))
    assert cli("sample", "--seed-from", str(receipt)).code in (1, 2)


@pytest.mark.parametrize(
    ("command", "code"),
    [
        (("sample", "--n", "0"), "sample.number"),
        (("sample", "--n", "1001"), "sample.number"),
        (("sample", "--salt", "two  ärger"), "sample.salt"),
        (("sample", "--seed-from", "99"), "checkpoint.unknown"),
        (("sample", "--seed-from", "nowhere.pdf"), "file.missing"),
        (("sample", "--seed-from", "policy.md"), "since.malformed"),
        (("sample", "--seed-from", "1"), "sample.empty"),
        (("sample", "-o", "x"), "usage.output"),
        (("sample", "--format", "csv", "--json"), "usage.format"),
        (("sample", "--template", "nowhere/x.yaml"), "file.missing"),
        (("sample", "--n", "3", "record", "open.yaml"), "usage"),
        (("sample", "record", "policy.yaml", "--key", "auditor"), "sample.malformed"),
        (("sample", "record", "open.yaml", "--key", "auditor"), "body.malformed"),
        (("sample", "record", "noteless.yaml", "--key", "auditor"), "body.malformed"),
        (("sample", "record", "swapped.yaml", "--key", "auditor"), "sample.differs"),
        (("sample", "record", "fewer.yaml", "--key", "auditor"), "sample.differs"),
        (("sample", "record", "filled.yaml"), "sample.own"),
        (("sample", "record", "filled.yaml", "--key", "author"), "trust.wrong-role"),
        (("sample", "record", "filled.yaml", "--key", "robot"), "trust.machine"),
        (("attach", "sample-test", "--body", "filled.yaml", "--key", "auditor"), "attach.kind"),
        (("packet", "--sample", "0", "-o", "p.pdf"), "sample.number"),
        (("packet", "--sample", "policy.yaml", "-o", "p.pdf"), "sample.malformed"),
        (("packet", "--sample", "other.yaml", "-o", "p.pdf"), "sample.other-system"),
        (("approve", "#8", "--key", "auditor", "--role", "reviewer"), "trust.wrong-kind"),
    ],
)
def test_what_is_refused(command: tuple[str, ...], code: str, audited: Path, cli: Cli) -> None:
    """Each mistake has its own error, and nothing is signed."""
    assert cli("sample", "--n", "2", "--seed-from", "7", "--template", "open.yaml").code == 0
    for name in ("author", "robot"):
        if name in command:
            role = ("approver", "--machine") if name == "robot" else ("contributor",)
            assert cli("key", "new", name).code == 0
            who = ("--name", name, "--email", f"{name}@example.com", "--role", *role)
            assert cli("key", "add", f"../config/keys/{name}.pub", *who).code == 0
    given = yaml.safe_load((audited / "open.yaml").read_text())
    drawn = {item["index"] for item in given["records"]}
    for name in ("filled", "noteless", "swapped", "fewer", "other"):
        (audited / f"{name}.yaml").write_text(yaml.safe_dump(given))
    _fill(audited / "filled.yaml")
    _fill(audited / "noteless.yaml", dict.fromkeys(drawn, ("exception", "")))
    swapped = [dict(item) for item in given["records"]]
    swapped[0]["index"] = next(place for place in (1, 3, 4, 5, 6) if place not in drawn)
    _fill(
        audited / "swapped.yaml",
        records=[{**item, "outcome": "passed", "note": "x"} for item in swapped],
    )
    passed = {"outcome": "passed", "note": "x"}
    _fill(audited / "fewer.yaml", records=[{**given["records"][0], **passed}])
    _fill(audited / "other.yaml", system="other@1.0.0")
    before = len(cli("record", "list", "--json").json["data"]["records"])
    said = cli(*command)
    assert said.code == 2, said.out
    assert f"[{code}]" in said.err or code in said.out, said.err
    assert len(cli("record", "list", "--json").json["data"]["records"]) == before
    assert not (audited / "p.pdf").exists()


@pytest.mark.parametrize(
    ("answers", "says"),
    [
        ({}, "2 records still need an answer, beginning with #8"),
        ({8: ("passed", None), 9: ("pass", None)}, "#9: has the outcome 'pass': it is passed,"),
        ({8: ("passed", None), 9: ("exception", None)}, "#9: has no note: exception needs one"),
        ({8: ("passed", None), 9: ("not-tested", "")}, "#9: has no note: not-tested needs one"),
    ],
)
def test_what_is_still_open_is_named(
    answers: dict[int, tuple[str | None, str | None]], says: str, audited: Path, cli: Cli
) -> None:
    """A list that is not filled in is told by the record's number, with what to write."""
    assert cli("sample", "--n", "99", "--template", "s.yaml").code == 0
    filled: dict[int, tuple[str | None, str | None]] = dict.fromkeys(range(11), ("passed", None))
    filled |= {8: (None, None), 9: (None, None)}
    _fill(audited / "s.yaml", filled | answers)
    said = cli("sample", "record", "s.yaml", "--key", "auditor")
    assert said.code == 2
    text = " ".join(said.err.split())
    assert says in text and "[body.malformed]" in text
    assert "fill in s.yaml: outcome: passed, exception or not-tested; and note: TEXT" in text


def test_a_root_that_is_not_the_ledgers_is_refused(audited: Path, cli: Cli) -> None:
    """A sample of another history is told as what it is: the answer is no."""
    assert cli("sample", "--n", "2", "--template", "s.yaml").code == 0
    filled = yaml.safe_load((audited / "s.yaml").read_text())
    _fill(audited / "s.yaml", checkpoint={**filled["checkpoint"], "root": "ab" * 32})
    said = cli("sample", "record", "s.yaml", "--key", "auditor")
    assert (said.code, "[sample.seed-differs]" in said.err) == (1, True)


def test_the_packet_prints_the_sample_and_proves_it(audited: Path, cli: Cli) -> None:
    """Boxes on the pages, the draw in the file, and a verification that draws it again."""
    command = ("packet", "--framework", "nist-ai-rmf-1.0", "-o", "p.pdf", "--sample")
    assert (
        cli("sample", "--n", "3", "--seed-from", "9", "--salt", "w", "--template", "s.yaml").code
        == 0
    )
    _fill(audited / "s.yaml", {8: ("exception", "<b>bold</b> claim")})
    assert cli("sample", "record", "s.yaml", "--key", "auditor").code == 0
    for asked, checked in (("4", 2), ("s.yaml", 2)):
        said = cli(*command, asked)
        assert said.code == 0, said.err
        report = cli("verify", "p.pdf", "--json")
        assert report.code == 0, report.out
        (check,) = [item for item in report.json["data"]["checks"] if item["name"] == "sample"]
        assert (check["outcome"], check["checked"]) == ("held", checked)
    stated = json.loads(read_attachments((audited / "p.pdf").read_bytes())["sample.json"])
    drawn = cli("sample", "--n", "3", "--seed-from", "9", "--salt", "w", "--json").json["data"]
    assert stated["salt"] == "w"
    assert [item["index"] for item in stated["records"]] == [
        item["index"] for item in drawn["records"]
    ]
    plain = cli("packet", "--framework", "nist-ai-rmf-1.0", "-o", "q.pdf")
    assert plain.code == 0
    assert "sample.json" not in read_attachments((audited / "q.pdf").read_bytes())
