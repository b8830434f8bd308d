"""The packet as a web page, in a real browser: it says what it checked, finds what was changed, and
fetches nothing. And ``muniment verify`` on the same file."""

from __future__ import annotations

import base64
import hashlib
import json
import random
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from muniment.controls.coverage import State
from muniment.reports import charts, views
from muniment.reports.printed import written_by
from muniment.reports.verifypage import verify_page
from muniment.schemas.finding import Check

from ..chromium import Chromium, find
from .conftest import STORY, make_repository, run_all

NOT_YET = "Not verified yet"
VERIFIED = "Verified against the root key you gave, within the limits named below."
HOSTILE = (
    "</script><script>document.title='pwned'</script><img src=https://evil.example/x onerror=y>"
)
HOSTILE_POLICY = json.dumps({
    "title": f"{HOSTILE} \u202e {{{{ 7 * 7 }}}} <!-- <script> ]]>",
    "version": "1",
    "inForceFrom": "2026-01-01",
    "reviewBy": "2030-01-01",
    "owner": {"name": HOSTILE, "email": "ana@example.com"},
})  # fmt: skip
MORE = [
    ["key", "new", "edward", "--from", "../edward"],
    [
        *("key", "add", "../edward.pub", "--name", "Edward Ed", "--email", "ed@example.com"),
        *("--role", "contributor"),
    ],
    ["attach", "policy", "policy.md", "--body", "hostile.json", "--key", "edward"],
    [
        *("packet", "--framework", "nist-ai-rmf-1.0", "--format", "html", "-o", "../packet.html"),
        *("--sample", "3", "--cover", "cover.yaml"),
    ],
]
COVER = json.dumps({"reviewer": HOSTILE[:100], "conclusions": HOSTILE, "accent": "#7a1f3d"})
BLOCK = re.compile(rb'(?<=id="proof">)[^<]*')
OUTSIDE = {"signature-time", "outside", "previous", "artifacts"}
"""Checks of what this ledger does not have, or a page cannot."""
MANIFEST = re.compile(rb'(?<=data-shown="manifest">)[0-9a-f]+')
RECEIPT = "receipt-000003.sigstore.json"


@dataclass(frozen=True, slots=True)
class Answer:
    """What the page says when it has checked itself."""

    outcome: str
    checks: dict[str, tuple[str, str]]
    """Outcome and details of each check, by name."""

    @property
    def failed(self) -> set[str]:
        return {name for name, (outcome, _) in self.checks.items() if "does not hold" in outcome}


Ask = Callable[..., Answer]


@pytest.fixture(scope="session")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page of a ledger of nine records, one signed with Ed25519, one hostile."""
    home = tmp_path_factory.mktemp("webpage")
    make_repository(home / "ws")
    (home / "ws" / "hostile.json").write_text(HOSTILE_POLICY)
    (home / "ws" / "cover.yaml").write_text(COVER)
    subprocess.run(
        ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(home / "edward")], check=True
    )
    assert run_all(home, [*STORY, *MORE]) == [0] * (len(STORY) + len(MORE))
    return home / "packet.html"


@pytest.fixture(scope="session")
def root(page: Path) -> str:
    """The fingerprint that the workspace pins."""
    found = re.search(r"SHA256:[A-Za-z0-9+/]{43}", (page.parent / "ws/muniment.yaml").read_text())
    assert found
    return found[0]


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    program = find()
    if program is None:
        pytest.skip("there is no Chromium here: apt-get install chromium")
    with Chromium(program, tmp_path_factory.mktemp("chromium")) as browser:
        yield browser


@pytest.fixture
def ask(chromium: Chromium, tmp_path: Path, root: str) -> Ask:
    """Opens a page, gives it a fingerprint, and waits for its answer."""

    def opened(page: bytes, given: str = root, before: str = "") -> Answer:
        path = tmp_path / "packet.html"
        path.write_bytes(page)
        chromium.open(path, before=before)
        chromium.wait(f"!document.getElementById('outcome').textContent.startsWith('{NOT_YET}')")
        chromium.ask(f"document.getElementById('root').value = {json.dumps(given)}")
        chromium.ask("document.querySelector('#verify button').click()")
        chromium.ask("running.then(() => true)")
        rows = chromium.ask(
            "Object.fromEntries([...document.querySelectorAll('#checks tr')].map((row) => "
            "[row.dataset.check, [row.cells[1].textContent, row.cells[2].textContent]]))"
        )
        outcome = chromium.ask("document.getElementById('outcome').textContent")
        return Answer(outcome, {name: (said, why) for name, (said, why) in rows.items()})

    return opened


def files_of(page: bytes) -> dict[str, bytes]:
    found = BLOCK.findall(page)
    assert len(found) == 1
    block = json.loads(found[0])["files"]
    return {name: base64.b64decode(text) for name, text in block.items()}


def with_files(page: bytes, changes: dict[str, bytes | None], manifest: bool = True) -> bytes:
    """The page with embedded files changed or left out; and the manifest made to fit, or not."""
    block = json.loads(BLOCK.findall(page)[0])
    files = files_of(page) | {name: data for name, data in changes.items() if data is not None}
    files = {name: data for name, data in files.items() if changes.get(name, b"") is not None}
    if manifest:
        listed = json.loads(files["manifest.json"])
        listed["files"] = [item for item in listed["files"] if item["name"] in files]
        for item in listed["files"]:
            data = files[item["name"]]
            item |= {"sha256": hashlib.sha256(data).hexdigest(), "size": len(data)}
        files["manifest.json"] = json.dumps(listed).encode()
    block["files"] = {name: base64.b64encode(data).decode() for name, data in files.items()}
    digest = hashlib.sha256(files["manifest.json"]).hexdigest().encode()
    page = MANIFEST.sub(digest, page)
    return BLOCK.sub(json.dumps(block, separators=(",", ":")).encode(), page)


def changed_json(page: bytes, name: str, change: Callable[[Any], None]) -> bytes:
    value = json.loads(files_of(page)[name])
    change(value)
    return with_files(page, {name: json.dumps(value).encode()})


def flipped(text: str, at: int = 20) -> str:
    """Base64 with one bit of one byte changed."""
    data = bytearray(base64.b64decode(text))
    data[at] ^= 1
    return base64.b64encode(data).decode()


def test_a_sound_page_verifies(page: Path, ask: Ask, chromium: Chromium) -> None:
    """With the right root key every check is made and holds; nothing but the file is read, and the
    browser has nothing to complain of, whatever strangers wrote."""
    answer = ask(page.read_bytes())
    assert answer.outcome == VERIFIED
    assert list(answer.checks) == ["manifest", "root", "checkpoint", "receipts", "history", "page"]
    for said, why in answer.checks.values():
        assert re.fullmatch(r"holds \([1-9]\d* checked\)", said) and why == ""
    assert answer.checks["receipts"][0] == "holds (9 checked)"
    assert chromium.requests == [chromium.ask("location.href")]
    assert chromium.complaints == []
    assert chromium.ask("document.title") == "Evidence packet: support@1.0.0"
    assert chromium.ask("document.querySelectorAll('script, img, link, iframe').length") == 2


def test_nothing_is_called_verified_before_it_was(page: Path, ask: Ask) -> None:
    """The file says that it is not verified; without a fingerprint it never says that it is."""
    text = page.read_text("utf-8")
    assert f'<p id="outcome" role="status">{NOT_YET}.</p>' in text
    answer = ask(page.read_bytes(), "")
    assert answer.outcome.startswith("Not verified in full:")
    assert answer.checks["root"][0] == "not checked"
    assert "SHA256:" in answer.checks["root"][1]


def test_another_root_key(page: Path, ask: Ask) -> None:
    """A fingerprint that is not the ledger's root is a no."""
    answer = ask(page.read_bytes(), f"SHA256:{'A' * 43}")
    assert answer.failed == {"root"}
    assert answer.outcome.startswith("This page does NOT HOLD")


def _signature(bundle: Any) -> None:
    said = bundle["dsseEnvelope"]["signatures"][0]
    said["sig"] = flipped(said["sig"])


def _payload(bundle: Any) -> None:
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"]).replace(b"0.93", b"0.99")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(payload).decode()


def _leaf(bundle: Any) -> None:
    """Another digest in the leaf and another payload beside it, one fitting the other."""
    _payload(bundle)
    payload = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    pae = b"DSSEv1 28 application/vnd.in-toto+json %d %s" % (len(payload), payload)
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    leaf = json.loads(base64.b64decode(entry["canonicalizedBody"]))
    digest = base64.b64encode(hashlib.sha256(pae).digest()).decode()
    leaf["spec"]["hashedRekordV002"]["data"]["digest"] = digest
    written = json.dumps(leaf, separators=(",", ":")).encode()
    entry["canonicalizedBody"] = base64.b64encode(written).decode()


def _proof(bundle: Any) -> None:
    hashes = bundle["verificationMaterial"]["tlogEntries"][0]["inclusionProof"]["hashes"]
    hashes[0] = flipped(hashes[0])


def _place(bundle: Any) -> None:
    entry = bundle["verificationMaterial"]["tlogEntries"][0]
    entry["logIndex"] = entry["inclusionProof"]["logIndex"] = "4"


@pytest.mark.parametrize("change", [_signature, _payload, _leaf, _proof, _place])
def test_a_changed_record_is_named(page: Path, ask: Ask, change: Callable[[Any], None]) -> None:
    """Whatever is changed in a receipt, with a manifest that fits, the record is named."""
    answer = ask(changed_json(page.read_bytes(), RECEIPT, change))
    assert answer.failed == {"receipts"}
    assert answer.checks["receipts"][1].startswith("record #3: ")
    assert answer.checks["receipts"][0] == "does not hold (8 checked)"


def test_a_receipt_of_another_record_in_its_place(page: Path, ask: Ask) -> None:
    """A receipt that holds, under another record's name, does not pass for it."""
    files = files_of(page.read_bytes())
    answer = ask(with_files(page.read_bytes(), {RECEIPT: files[RECEIPT.replace("3", "5")]}))
    assert "record #3: it is of another place" in answer.checks["receipts"][1]


def test_a_changed_checkpoint(page: Path, ask: Ask) -> None:
    """A root hash that the ledger did not sign is found, and nothing rests on it."""
    data = page.read_bytes()
    note = files_of(data)["checkpoint.txt"].decode()
    lines = note.split("\n")
    lines[2] = flipped(lines[2])
    answer = ask(with_files(data, {"checkpoint.txt": "\n".join(lines).encode()}))
    assert answer.failed == {"checkpoint"}
    assert answer.checks["receipts"][0] == "not checked"
    assert answer.checks["history"][0] == "not checked"


def test_another_ledgers_key(page: Path, ask: Ask) -> None:
    """The verifier key must be the one that the root signed for."""
    data = page.read_bytes()
    vkey = files_of(data)["ledger.vkey"].decode().strip()
    name, _, _ = vkey.split("+", 2)
    answer = ask(with_files(data, {"ledger.vkey": f"{name}+00000000+AQ==\n".encode()}))
    assert "root" in answer.failed


def test_a_changed_history(page: Path, ask: Ask) -> None:
    """A checkpoint that dates records and is not of the same history is found."""

    def change(value: Any) -> None:
        proof = value["checkpoints"][0]["consistency"]
        proof[-1] = flipped(proof[-1])

    assert ask(changed_json(page.read_bytes(), "history.json", change)).failed == {"history"}


@pytest.mark.parametrize("name", [RECEIPT, "checkpoint.txt", "coverage.json", "gate.json"])
def test_a_file_that_is_missing(page: Path, ask: Ask, name: str) -> None:
    """A file left out is missed, by the manifest and by what needs it."""
    data = page.read_bytes()
    assert "manifest" in ask(with_files(data, {name: None}, manifest=False)).failed
    assert ask(with_files(data, {name: None})).failed - {"manifest"}


def test_a_file_that_nobody_named(page: Path, ask: Ask) -> None:
    """What the manifest does not name is found, and a receipt nobody wants even if it does."""
    data = page.read_bytes()
    assert ask(with_files(data, {"more.txt": b"more"}, manifest=False)).failed == {"manifest"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('data-shown="state">met<', 'data-shown="state">partial<', "state of "),
        ('data-shown="gate">not passed<', 'data-shown="gate">passed<', "gate: "),
        ("support@1.0.0 does not pass the", "support@1.0.0 passes the", "verdict: "),
        (' data-blocks="', ' data-unblocks="', "what blocks: "),
        ('data-shown="kind">policy<', 'data-shown="kind">approval<', "kind of #"),
        ('data-record="3"', 'data-record="33"', "records: "),
        ('data-shown="root">SHA256:', 'data-shown="root">SHA255:', "root key: "),
        ('data-shown="missing">', 'data-shown="missing">1', "missing: "),
    ],
)
def test_a_page_that_says_something_else(
    page: Path, ask: Ask, old: str, new: str, said: str
) -> None:
    """A state, a verdict or a record shown otherwise than the data has it is found and named."""
    text = page.read_text("utf-8")
    assert old in text
    answer = ask(text.replace(old, new, 1).encode())
    assert answer.failed == {"page"}
    assert said in answer.checks["page"][1]


def test_coverage_that_the_page_does_not_show(page: Path, ask: Ask) -> None:
    """Data that was changed beneath a page is found by what the page shows."""

    def change(value: Any) -> None:
        control = next(c for c in value["catalogs"][0]["controls"] if c["state"] == "missing")
        control["state"] = "met"

    assert ask(changed_json(page.read_bytes(), "coverage.json", change)).failed == {"page"}


def test_no_flipped_byte_of_the_proof_passes(page: Path, ask: Ask) -> None:
    """Thirty bytes of the embedded data, each changed alone: the page never says it is verified."""
    data = page.read_bytes()
    start, end = BLOCK.search(data).span()  # type: ignore[union-attr]
    start = data.index(b'"files":', start)
    rng = random.Random(7)
    for _ in range(30):
        changed = bytearray(data)
        at = rng.randrange(start, end)
        changed[at] = ord("A") if changed[at] != ord("A") else ord("B")
        assert ask(bytes(changed)).outcome != VERIFIED, f"byte {at}"


def test_a_browser_without_ed25519(page: Path, ask: Ask) -> None:
    """What the browser cannot check is called not checked, and the page not verified."""
    before = """
      const real = crypto.subtle.importKey.bind(crypto.subtle);
      crypto.subtle.importKey = (form, data, algorithm, ...rest) => algorithm === "Ed25519"
        ? Promise.reject(new DOMException("no", "NotSupportedError"))
        : real(form, data, algorithm, ...rest);
    """
    answer = ask(page.read_bytes(), before=before)
    assert answer.outcome.startswith("Not verified: nothing failed")
    assert answer.failed == set()
    assert answer.checks["checkpoint"] == (
        "not checked",
        "this browser does not know Ed25519 signatures",
    )
    assert answer.checks["receipts"][0] == "not checked"
    assert "#8: this browser does not know" in answer.checks["receipts"][1]


def test_a_browser_that_withholds_its_cryptography(page: Path, ask: Ask) -> None:
    """Where there is nothing to check with, nothing is called checked."""
    before = "Object.defineProperty(Crypto.prototype, 'subtle', {get: () => undefined})"
    answer = ask(page.read_bytes(), before=before)
    assert answer.outcome == "Not verified: the browser keeps its cryptography from this page."
    assert answer.checks == {}


def test_a_page_is_read_on_a_phone_and_by_keyboard(
    page: Path, ask: Ask, chromium: Chromium
) -> None:
    """No sideways scrolling of the page at 360 pixels; every link leads somewhere, and unfolds it;
    tables have captions and headers; the form has a label."""
    ask(page.read_bytes())
    chromium.call(
        "Emulation.setDeviceMetricsOverride",
        width=360, height=800, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    assert chromium.ask("document.documentElement.scrollWidth") <= 360
    dead = "[...document.querySelectorAll('a')].filter((a) => !document.querySelector(a.hash))"
    assert chromium.ask(f"{dead}.length") == 0
    chromium.ask("location.hash = '#record-3'")
    chromium.wait("document.getElementById('record-3').open")
    bare = "[...document.querySelectorAll('table')].filter((t) => !t.caption?.textContent.trim())"
    assert chromium.ask(f"{bare}.length") == 0
    assert chromium.ask("document.querySelectorAll('th:not([scope])').length") == 0
    assert chromium.ask("document.querySelectorAll('#root').length") == 1
    assert chromium.ask("document.getElementById('root').labels.length") == 1
    levels = chromium.ask("[...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_drawings_are_read_on_a_phone_and_in_the_dark(
    page: Path, ask: Ask, chromium: Chromium
) -> None:
    """At 390 pixels a drawing keeps letters of eight pixels and is pushed inside its frame; on a
    dark screen it stands on a light ground."""
    ask(page.read_bytes())
    chromium.call(
        "Emulation.setDeviceMetricsOverride",
        width=390, height=800, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    chromium.call("Emulation.setEmulatedMedia", features=dark)
    assert chromium.ask("document.documentElement.scrollWidth") <= 390
    letters = "[...document.querySelectorAll('.broad text, .time text, .donut text')]"
    assert chromium.ask(f"{letters}.length") > 4
    smallest = f"Math.min(...{letters}.map((text) => text.getBoundingClientRect().height))"
    assert chromium.ask(smallest) >= 8
    ground = "getComputedStyle(document.querySelector('.drawing')).backgroundColor"
    assert chromium.ask(ground) == "rgb(238, 241, 245)"
    assert chromium.ask("getComputedStyle(document.body).backgroundColor") == "rgb(17, 22, 29)"
    chromium.call("Emulation.setEmulatedMedia", features=[])


def test_the_page_is_printed(page: Path, ask: Ask, chromium: Chromium) -> None:
    """On paper nothing is wider than the sheet, and what was folded is open."""
    ask(page.read_bytes())
    chromium.call("Page.printToPDF")
    assert chromium.ask("document.querySelectorAll('details:not([open])').length") == 0
    chromium.call("Emulation.setEmulatedMedia", media="print")
    chromium.call(
        "Emulation.setDeviceMetricsOverride",
        width=688, height=970, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    assert chromium.ask("document.documentElement.scrollWidth") <= 688
    chromium.call("Emulation.setEmulatedMedia", media="")


BROKEN = """(() => {
  const found = [];
  for (const cell of document.querySelectorAll("th, td:not(.mono)")) {
    const texts = document.createTreeWalker(cell, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
      const text = texts.currentNode;
      if (text.parentElement.closest("code, .mono, svg")) continue;
      for (const word of text.data.matchAll(/[^\\s\\-–]+/gu)) {
        if (word[0].length > 12) continue;
        const range = document.createRange();
        range.setStart(text, word.index);
        range.setEnd(text, word.index + word[0].length);
        const lines = new Set([...range.getClientRects()].map((line) => Math.round(line.top)));
        if (lines.size > 1) found.push(word[0]);
      }
    }
  }
  return found;
})()"""
"""Words of a table that stand on more than one line."""


@pytest.mark.parametrize(("media", "width"), [("", 1200), ("", 500), ("", 360), ("print", 688)])
def test_no_word_of_a_table_is_broken(
    page: Path, ask: Ask, chromium: Chromium, media: str, width: int
) -> None:
    """Words of twelve letters and short ids stand on one line, on any screen and on A4; from 500
    pixels on, the table of checks needs no pushing."""
    ask(page.read_bytes())
    chromium.call("Emulation.setEmulatedMedia", media=media)
    chromium.call(
        "Emulation.setDeviceMetricsOverride",
        width=width, height=900, deviceScaleFactor=1, mobile=False,
    )  # fmt: skip
    chromium.ask("document.querySelectorAll('details').forEach((one) => { one.open = true })")
    assert chromium.ask(BROKEN) == []
    frame = "document.getElementById('checks-table').parentElement"
    assert width < 500 or chromium.ask(f"{frame}.scrollWidth - {frame}.clientWidth") <= 0
    chromium.call("Emulation.setEmulatedMedia", media="")


def test_a_tables_head_stands_with_its_first_row(
    page: Path, ask: Ask, chromium: Chromium, tmp_path: Path
) -> None:
    """Wherever a sheet ends, the last line on it is no head of a table."""
    ask(page.read_bytes())
    heads = chromium.ask("[...document.querySelectorAll('thead')].map((one) => one.innerText)")
    heads = [" ".join(head.split()) for head in heads]
    sheet = tmp_path / "page.pdf"
    for height in range(70, 120, 5):
        data = chromium.call("Page.printToPDF", paperHeight=height / 10)["data"]
        sheet.write_bytes(base64.b64decode(data))
        text = subprocess.run(
            ["pdftotext", "-layout", sheet, "-"], capture_output=True, text=True, check=True
        ).stdout
        for printed in filter(str.strip, text.split("\f")):
            last = " ".join(printed.strip().splitlines()[-1].split())
            assert last not in heads, f"{height / 10} inches"


def test_the_script_knows_the_states_and_lists() -> None:
    """The script's own constants are those of the model."""
    script = Path(charts.__file__).with_name("templates").joinpath("webpage.js").read_text("utf-8")
    states = re.search(r"const STATES = \[(.*?)\];", script, re.S)
    assert states and re.findall(r'"([^"]+)"', states[1]) == list(State)
    assert f"const MAX_ROWS = {views.MAX_ROWS};" in script


# ---- muniment verify


def test_muniment_verifies_the_page(page: Path, root: str) -> None:
    """Every check of a PDF is made but for its signature, and the page is compared whole."""
    report = verify_page(page, root)
    assert report.ok, list(report.findings)
    outcomes = {check.name: str(check.outcome) for check in report.checks}
    unchecked = {name for name, outcome in outcomes.items() if outcome == "not-checked"}
    assert unchecked <= {"pdf-signature", "reviewer", "derivation", "beyond", *OUTSIDE}
    assert {"pdf-signature", "reviewer"} <= unchecked
    assert outcomes["page"] == outcomes["coverage"] == outcomes["root"] == "held"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('data-shown="state">met<', 'data-shown="state">partial<'),
        ('    return ["holds", ', '    return ["holds" , '),
        ("Whoever can change the file", "Nobody can change the file"),
        ("default-src &#39;none&#39;", "default-src &#39;self&#39;"),
        ("</html>\n", "</html>\n<p>More"),
    ],
)
def test_muniment_finds_any_change_of_the_page(
    page: Path, tmp_path: Path, old: str, new: str
) -> None:
    """A state, the script, a sentence, the policy, the end: each change is found."""
    text = page.read_text("utf-8")
    assert old in text
    copy = tmp_path / "packet.html"
    copy.write_text(text.replace(old, new, 1), "utf-8")
    codes = {finding.code for finding in verify_page(copy).findings}
    assert codes == {"page.differs"}


def test_muniment_finds_changes_of_the_proof(page: Path, tmp_path: Path) -> None:
    """A changed record, and a block that is not in its one form, are each a no."""
    copy = tmp_path / "packet.html"
    copy.write_bytes(changed_json(page.read_bytes(), RECEIPT, _signature))
    assert not verify_page(copy).ok
    for old, new in ((b'{"files":', b'{"filed":'), (b'id="proof"', b'id="prooof"')):
        copy.write_bytes(page.read_bytes().replace(old, new, 1))
        report = verify_page(copy)
        assert "packet.malformed" in {finding.code for finding in report.findings}


def _page_check(path: Path) -> Check:
    report = verify_page(path)
    (check,) = [check for check in report.checks if check.name == "page"]
    return check


def test_a_page_of_another_version(page: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another version's page cannot be compared, and nobody signed it: that is no pass."""
    monkeypatch.setattr("muniment.reports.verifypage.written_by", lambda: {"muniment": "99"})
    assert not verify_page(page).ok
    (finding,) = _page_check(page).findings
    assert finding.code == "page.not-compared" and "muniment" in str(finding.found)


def test_a_page_set_by_other_libraries(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another library comes to the same bytes the page holds; where it does not, the page
    cannot be compared, and that is no pass."""
    here = {**written_by(), "jinja2": "0.0"}
    monkeypatch.setattr("muniment.reports.verifypage.written_by", lambda: here)
    assert str(_page_check(page).outcome) == "held"
    copy = tmp_path / "packet.html"
    copy.write_bytes(page.read_bytes().replace(b"</html>\n", b"</html>\n\n"))
    check = _page_check(copy)
    assert [item.code for item in check.findings] == ["page.not-compared"]
    assert check.findings[0].expected == "jinja2 0.0"


def test_a_page_whose_accent_is_no_colour(page: Path, tmp_path: Path) -> None:
    """Style that somebody put into the page's data is a no, not a style."""

    def change(value: Any) -> None:
        value["look"]["accent"] = "red } #outcome { display: none"

    copy = tmp_path / "packet.html"
    copy.write_bytes(changed_json(page.read_bytes(), "pages.json", change))
    (finding,) = verify_page(copy).findings
    assert finding.code == "page.differs" and "accent" in finding.message


def test_the_page_is_the_same_every_time(page: Path) -> None:
    """The same ledger and date give the same bytes, in another process."""
    home = page.parent
    command = [
        *("packet", "--framework", "nist-ai-rmf-1.0", "--format", "html"),
        *("--as-of", "2030-01-01"),
    ]
    written = [home / name for name in ("one.html", "two.html")]
    for path in written:
        assert run_all(home, [[*command, "-o", f"../{path.name}"]]) == [0]
    assert written[0].read_bytes() == written[1].read_bytes()
    shutil.copy(written[0], home / "copy.html")
    assert run_all(home, [["verify", "../copy.html"]]) == [0]
