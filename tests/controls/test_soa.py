"""The statement of applicability: what was decided, and nothing that was not."""

from __future__ import annotations

import csv
from dataclasses import replace
from io import BytesIO, StringIO
from typing import Any

import pytest

from muniment.controls.coverage import State
from muniment.controls.gate import LedgerState
from muniment.controls.soa import Soa, statement_of_applicability
from muniment.reports.soafiles import COLUMNS, heading, rows, to_csv, to_xlsx
from muniment.schemas.errors import InputError

ROLES = "iso-42001-2023:A.3.2"
SUPPLIERS = "iso-42001-2023:A.10.3"
FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", '=HYPERLINK("http://example.com")', "\t=1+1"]


def _soa(book: Any) -> Soa:
    return statement_of_applicability(book.coverage(), book.records)


def _line(book: Any, control: str) -> Any:
    return {line.control.id: line for line in _soa(book).lines}[control]


def test_nothing_is_applicable_unsaid(book: Any) -> None:
    """Every Annex A control is there, and undecided until somebody signs."""
    soa = _soa(book)
    assert len(soa.lines) == 38
    assert {line.decided for line in soa.lines} == {"not decided"}
    assert soa.counts() == {"applicable": 0, "not applicable": 0, "not decided": 38}


def test_decisions_states_and_owners(book: Any) -> None:
    """A line has the signed decision, the coverage's own state and evidence, and the owner."""
    owner = book.add("owner-assignment", ROLES)
    book.decide(ROLES, True)
    book.decide(SUPPLIERS, False)
    line = _line(book, ROLES)
    assert (line.decided, line.justification, line.owners) == ("applicable", "so it is", ("Pat",))
    assert line.control == book.result(ROLES)
    assert line.control.evidence == (owner.ref,)
    line = _line(book, SUPPLIERS)
    assert (line.decided, line.owners) == ("not applicable", ())
    assert line.control.state is State.NOT_APPLICABLE
    document = _soa(book).to_json()
    assert document["counts"] == {"applicable": 1, "not applicable": 1, "not decided": 36}
    entry = next(item for item in document["controls"] if item["id"] == ROLES)
    assert entry == {**book.result(ROLES).to_json(), "decided": "applicable", "owners": ["Pat"]}


@pytest.mark.parametrize(
    "fields", [{"end": "2026-05-01"}, {"start": "2026-07-01"}, {"signer": "carol"}]
)
def test_who_is_no_owner_now(fields: dict[str, Any], book: Any) -> None:
    """A duty that ended, has not begun, or was rejected makes nobody the owner."""
    record = book.add("owner-assignment", ROLES, **fields)
    if "signer" in fields:
        book.approve(record, decision="rejected")
    assert _line(book, ROLES).owners == ()


def test_a_coverage_without_the_catalog(book: Any) -> None:
    """No statement is made of a coverage that does not hold ISO/IEC 42001."""
    coverage = replace(book.coverage(), catalogs=())
    with pytest.raises(InputError) as caught:
        statement_of_applicability(coverage, book.records)
    assert caught.value.code == "soa.no-catalog"


@pytest.mark.parametrize("text", FORMULAS)
def test_no_cell_is_a_formula(text: str, book: Any) -> None:
    """What was signed stays text in a spreadsheet program, read from CSV or XLSX."""
    from openpyxl import load_workbook

    item = {"control": SUPPLIERS, "applicable": False, "justification": text}
    book.add("applicability", signer="rita", controls_=[item])
    soa = _soa(book)
    table = list(csv.reader(StringIO(to_csv(soa))))
    assert all(not cell.startswith(("=", "+", "-", "@", "\t")) for row in table for cell in row)
    sheet = load_workbook(BytesIO(to_xlsx(soa))).active
    types = {cell.data_type for row in sheet.iter_rows() for cell in row}
    assert types <= {"s", "n", "inlineStr"}
    shown = [row[3].value for row in sheet.iter_rows() if row[0].value == "A.10.3"]
    assert shown == [text.replace("\t", "[U+0009]")]


def test_both_files_say_the_same(book: Any) -> None:
    """CSV and XLSX have the rows of the table, one for each control, and say what they are about:
    system, moment, profile and checkpoint."""
    from openpyxl import load_workbook

    book.decide(ROLES, True)
    ledger = LedgerState("evidence.example.com", 7, "ab" * 32)
    soa = statement_of_applicability(book.coverage(), book.records, ledger)
    wanted = [COLUMNS, *rows(soa)]
    lines = [tuple(row) for row in csv.reader(StringIO(to_csv(soa)))]
    assert [line[: len(COLUMNS)] for line in lines] == wanted
    about = dict(heading(soa))
    assert about["System"] == str(book.system)
    assert about["Profile"] == soa.profile
    assert about["Checkpoint"] == f"evidence.example.com, size 7, {'ab' * 32}"
    assert {line[len(COLUMNS) :] for line in lines} == {tuple(about), tuple(about.values())}
    book_read = load_workbook(BytesIO(to_xlsx(soa)))
    assert dict(list(book_read["About"].iter_rows(values_only=True))[1:]) == about
    sheet = book_read.active
    found = [tuple(cell or "" for cell in row) for row in sheet.iter_rows(values_only=True)]
    assert found == wanted
    assert {len(row) for row in wanted} == {len(COLUMNS)}


def test_characters_that_no_spreadsheet_holds(book: Any) -> None:
    """A control code in a justification is shown as its code point, and breaks no file."""
    item = {"control": ROLES, "applicable": True, "justification": "a\x00b\u202e" + "c" * 40_000}
    book.add("applicability", signer="rita", controls_=[item])
    soa = _soa(book)
    assert to_xlsx(soa)
    text = next(row[3] for row in rows(soa) if row[0] == "A.3.2")
    assert text.startswith("a[U+0000]b[U+202E]")
    assert len(text) <= 32_000
