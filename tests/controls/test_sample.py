"""The rule that draws an auditor's sample, and what becomes of the results."""

from __future__ import annotations

import hashlib
import random
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.controls.catalog import load_catalogs
from muniment.controls.coverage import ControlResult, State
from muniment.controls.crosswalk import Crosswalk, Fit, Pair, Source
from muniment.controls.evaluator import evaluate
from muniment.controls.explain import decisive
from muniment.controls.profile import load_profile
from muniment.controls.sample import (
    By,
    Sample,
    Seed,
    allocate,
    check_salt,
    differences,
    draw,
    population,
)
from muniment.controls.standing import standings
from muniment.schemas.errors import InputError
from muniment.schemas.kinds import KindRegistry
from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef

KINDS = [
    *("policy", "eval-result", "decision", "approval", "waiver", "link", "retraction", "system"),
    "packet",
]
OUT = {"link", "retraction", "erasure", "gate-decision", "sample-test", "packet", "key"}
"""What docs/formats.md leaves out of the population."""
CONTROLS = [f"made-up:{letter}" for letter in "ABCDEFGH"]
CONTROL = "nist-ai-rmf-1.0:MEASURE 2.3"
TWO_KINDS = "nist-ai-rmf-1.0:GOVERN 4.1"
"""A policy and a decision."""
LENDER = "iso-42001-2023:A.6.2.4"
"""An approved eval-result."""
ROOT = hashlib.sha256(b"root").hexdigest()

_plan = st.lists(
    st.tuples(st.sampled_from(KINDS), st.sets(st.sampled_from(CONTROLS), max_size=3)),
    min_size=1,
    max_size=40,
)
_seeds = st.builds(
    Seed,
    st.just(1000),
    st.binary(min_size=32, max_size=32).map(bytes.hex),
    st.sampled_from(["", "word", "another word"]),
)


def _records(new_book: Any, plan: Sequence[tuple[str, set[str]]]) -> list[Record]:
    book = new_book()
    book.add("policy", CONTROLS[0])
    for kind, controls in plan:
        fields: dict[str, Any] = (
            {"records": [], "controls_": []} if kind in ("link", "retraction", "approval") else {}
        )
        book.add(kind, *sorted(controls), **fields)
    return list(book.records)


@given(plan=_plan, seed=_seeds, n=st.integers(1, 60), by=st.sampled_from(By), order=st.randoms())
def test_what_holds_of_every_draw(
    new_book: Any, plan: Any, seed: Seed, n: int, by: By, order: random.Random
) -> None:
    """The order records come in is nothing, ``n`` is kept, and every stratum gives if it can."""
    records = _records(new_book, plan)
    sample = draw(records, new_book.system, seed, n, by)
    shuffled = list(records)
    order.shuffle(shuffled)
    assert draw(shuffled, new_book.system, seed, n, by) == sample
    assert len(sample.drawn) == min(n, sample.population)
    assert len({item.candidate.index for item in sample.drawn}) == len(sample.drawn)
    assert Counter(item.stratum for item in sample.drawn) == Counter(
        {item.name: item.drawn for item in sample.strata}
    )
    assert all(item.drawn <= item.population for item in sample.strata)
    assert min(n, len(sample.strata)) == sum(item.drawn > 0 for item in sample.strata)
    assert {item.candidate.kind for item in sample.drawn} <= set(KINDS) - OUT
    assert list(differences(sample.to_body(), sample)) == []


@given(
    sizes=st.lists(st.integers(1, 300), min_size=1, max_size=12), seed=_seeds, n=st.integers(1, 900)
)
def test_shares_are_in_proportion(sizes: list[int], seed: Seed, n: int) -> None:
    """A stratum gets its one and, of the rest, its part to within one record."""
    named = {f"stratum {number}": size for number, size in enumerate(sizes)}
    shares = allocate(named, seed, n)
    n = min(n, sum(sizes))
    assert sum(shares.values()) == n
    if n < len(sizes):
        assert set(shares.values()) <= {0, 1}
        return
    left = max(sum(sizes) - len(sizes), 1)
    for name, size in named.items():
        assert 1 <= shares[name] <= size
        assert abs(shares[name] - 1 - (n - len(sizes)) * (size - 1) / left) < 1


def _recomputed(records: list[Record], seed: Seed, n: int) -> list[int]:
    """By control, from what the documents say alone."""
    known = [item for item in records if item.kind not in OUT and item.index < seed.size]
    claims = Counter(name for item in known for name in set(item.statement.controls))
    strata: dict[str, list[tuple[bytes, int]]] = {}

    def mark(*words: str) -> bytes:
        lines = ("muniment-sample/v1", seed.root, seed.salt, *words)
        return hashlib.sha256(("\n".join(lines) + "\n").encode()).digest()

    for item in known:
        names = sorted((claims[name], name) for name in item.statement.controls)
        stratum = names[0][1] if names else "none"
        strata.setdefault(stratum, []).append((mark("record", item.sha256), item.index))
    order = sorted(strata, key=lambda name: mark("stratum", name))
    n = min(n, len(known))
    give = dict.fromkeys(order, 0) | dict.fromkeys(order[:n], 1)
    if n > len(order):
        whole = {
            name: divmod((n - len(order)) * (len(strata[name]) - 1), len(known) - len(order))
            for name in order
        }
        give = {name: 1 + whole[name][0] for name in order}
        lacking = n - sum(give.values())
        for name in sorted(order, key=lambda name: (-whole[name][1], order.index(name)))[:lacking]:
            give[name] += 1
    return sorted(index for name in order for _, index in sorted(strata[name])[: give[name]])


@given(plan=_plan, seed=_seeds, n=st.integers(1, 50))
def test_an_independent_recomputation_agrees(new_book: Any, plan: Any, seed: Seed, n: int) -> None:
    """Written from docs/formats.md, without the rule's own code: the same records, by control."""
    records = _records(new_book, plan)
    sample = draw(records, new_book.system, seed, n, By.CONTROL)
    assert [item.candidate.index for item in sample.drawn] == _recomputed(records, seed, n)


def test_one_draw_is_fixed() -> None:
    """The rule gives what it gave when it was published: its version may not mean two things."""
    seed = Seed(9, ROOT, "word")
    assert seed.mark("record", "00").hex().startswith("2b6bea82df79932c18f8bf63f7e641fd")
    assert allocate({"a": 10, "b": 5, "c": 1}, seed, 8) == {"a": 4, "b": 3, "c": 1}


def test_no_record_is_favoured(new_book: Any) -> None:
    """Over many seeds every record of a stratum is drawn about as often as any other."""
    book = new_book()
    for _ in range(20):
        book.add("policy")
    for _ in range(10):
        book.add("decision")
    often: Counter[int] = Counter()
    rounds = 2000
    for number in range(rounds):
        seed = Seed(30, hashlib.sha256(str(number).encode()).hexdigest())
        sample = draw(book.records, book.system, seed, 9, By.KIND)
        often.update(item.candidate.index for item in sample.drawn)
    for first, last, share in ((0, 20, 6), (20, 30, 3)):
        expected = rounds * share / (last - first)
        spread = sum((often[place] - expected) ** 2 / expected for place in range(first, last))
        assert spread < 45  # chi squared with 19 degrees of freedom exceeds this once in 1,000


def test_small_strata_are_not_safe_from_few_draws() -> None:
    """With fewer records than strata, which of them give depends on the seed alone."""
    sizes = {"large": 500, "small": 1, "middle": 20}
    first = Counter(
        next(name for name, share in allocate(sizes, Seed(9, f"{number:064x}"), 1).items() if share)
        for number in range(600)
    )
    assert min(first.values()) > 150


def test_the_population_has_every_kind_but_those_the_documents_name(book: Any) -> None:
    """A kind that joins those shipped is drawn, or docs/formats.md must say why it is not."""
    for kind in KindRegistry():
        book.add(kind.name, body={"records": []})
    drawn = population(book.records, book.system, len(book.records))
    assert {item.kind for item in drawn} == {item.kind for item in book.records} - OUT
    text = (Path(__file__).parents[2] / "docs" / "formats.md").read_text("utf-8")
    table = text.partition("**Population.**")[2].partition("Every other kind")[0]
    named = "".join(re.findall(r"^\| (.*?) \|", table, re.M))
    assert set(re.findall(r"`([a-z-]+)`", named)) == OUT - {"gate-decision"}
    assert "gate decision" in named


def test_every_part_of_the_seed_matters(new_book: Any) -> None:
    """Another root or another word draws other records; another size another population."""
    book = new_book()
    for _ in range(60):
        book.add("policy")
    places = {
        tuple(
            item.candidate.index for item in draw(book.records, book.system, seed, 9, By.KIND).drawn
        )
        for seed in (
            Seed(60, ROOT),
            Seed(60, "ab" * 32),
            Seed(60, ROOT, "word"),
            Seed(60, ROOT, "w"),
        )
    }
    assert len(places) == 4
    small = draw(book.records, book.system, Seed(10, ROOT), 60, By.KIND)
    assert [item.candidate.index for item in small.drawn] == list(range(10))


def test_nothing_done_later_changes_a_draw_by_kind(book: Any) -> None:
    """Retracting, superseding and erasing behind the checkpoint leave the same records drawn."""
    for _ in range(12):
        book.add("policy", CONTROL)
    before = draw(book.records, book.system, Seed(12, ROOT), 5, By.KIND)
    first, second, third = (book.records[item.candidate.index] for item in before.drawn[:3])
    book.add("policy", CONTROL, supersedes=first)
    book.add("retraction", records=[second.ref.to_json()], reason="so")
    gone = {**third.ref.to_json(), "kind": "policy"}
    book.add("erasure", records=[gone], artifacts=[], basis="b", reason="so", signer="bob")
    left = [item for item in book.records if item is not third]
    after = draw(left, book.system, Seed(12, ROOT), 5, By.KIND)
    assert after.to_body() == before.to_body()
    assert [item.candidate.is_erased for item in after.drawn] == [False, False, True, False, False]
    by_control = draw(left, book.system, Seed(12, ROOT), 5, By.CONTROL)
    assert [item.name for item in by_control.strata] == ["erased", CONTROL]


def test_a_record_of_many_controls_stands_with_the_rarest(book: Any) -> None:
    """It is in the population once, where it is needed most; what is not seen is named."""
    for _ in range(5):
        book.add("policy", "made-up:A")
    book.add("policy", "made-up:A", "made-up:B")
    book.add("policy")
    sample = draw(book.records, book.system, Seed(7, ROOT), 3, By.CONTROL)
    assert {item.name: item.population for item in sample.strata} == {
        "made-up:A": 5,
        "made-up:B": 1,
        "none": 1,
    }
    assert sample.unseen == ()
    few = draw(book.records, book.system, Seed(7, ROOT), 1, By.CONTROL)
    seen = {name for item in few.drawn for name in item.candidate.controls or ()}
    assert set(few.unseen) == {"made-up:A", "made-up:B"} - seen


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"n": 0}, "sample.number"),
        ({"n": 1001}, "sample.number"),
        ({"seed": Seed(9, ROOT, "two\nlines")}, "sample.salt"),
        ({"seed": Seed(0, ROOT)}, "sample.empty"),
        ({"system": SystemRef("other", "1")}, "sample.empty"),
    ],
)
def test_what_cannot_be_drawn(changes: dict[str, Any], code: str, book: Any) -> None:
    """A number, a word or a population that cannot be is an error of its own."""
    book.add("policy")
    given = {"system": book.system, "seed": Seed(9, ROOT), "n": 5, "by": By.KIND, **changes}
    with pytest.raises(InputError) as raised:
        draw(book.records, **given)
    assert raised.value.code == code


@pytest.mark.parametrize("text", ["", " a", "a ", "ä", "a\tb", "x" * 201])
def test_what_is_no_word(text: str) -> None:
    """The word is one line of plain ASCII, so that it is hashed in one way only."""
    with pytest.raises(InputError, match="auditor's word"):
        check_salt(text)


def test_a_list_that_the_rule_does_not_give_is_told_apart(book: Any) -> None:
    """Another record, a record too few, one listed twice, other strata: each is said."""
    for _ in range(9):
        book.add("policy")
    sample = draw(book.records, book.system, Seed(9, ROOT), 3, By.KIND)
    body = sample.to_body()
    other = next(
        item for item in book.records if item.index not in {d.candidate.index for d in sample.drawn}
    )
    swapped = [*body["records"][1:], {**other.ref.to_json(), "stratum": "policy"}]
    (found,) = differences({**body, "records": swapped}, sample)
    assert f"#{sample.drawn[0].candidate.index} " in found[1] and f"#{other.index} " in found[2]
    (found,) = differences({**body, "records": body["records"][1:]}, sample)
    assert found[2] == "nothing for them"
    (found,) = differences({**body, "records": [*body["records"], body["records"][0]]}, sample)
    assert found[0] == "a record is listed twice"
    strata = [{"name": "policy", "population": 12, "drawn": 3}]
    (found,) = differences({**body, "strata": strata}, sample)
    assert found[1:] == ("policy 3 of 9", "policy 3 of 12")


def _test(book: Any, *outcomes: tuple[Record, str], signer: str = "bob") -> Record:
    listed = [
        {**record.ref.to_json(), "stratum": "eval-result", "outcome": outcome, "note": "seen"}
        for record, outcome in outcomes
    ]
    record = book.add("sample-test", signer=signer, records=listed)
    assert isinstance(record, Record)
    return record


def test_an_exception_is_heard_as_a_no(book: Any) -> None:
    """The record carries no control from then on, and the reason names the auditor's record."""
    record = book.add("eval-result", CONTROL)
    assert book.result(CONTROL).state is State.MET
    _test(book, (record, "passed"), signer="carol")
    assert book.result(CONTROL).state is State.MET
    test = _test(book, (record, "exception"))
    found = book.result(CONTROL)
    assert found.state is State.UNAPPROVED
    (reason,) = [item for item in found.reasons if item.code == "evidence.rejected"]
    assert reason.records == (record.ref, test.ref)
    assert "with an exception" in reason.text


def test_an_exception_is_told_as_what_it_is(book: Any) -> None:
    """Reason and advice name the test and what it found; a rejection is another matter."""
    record = book.add("eval-result", CONTROL)
    test = _test(book, (record, "exception"))
    found = book.result(CONTROL)
    (reason,) = [item for item in found.reasons if item.code == "evidence.rejected"]
    assert reason.text == f"{record} was tested, with an exception, by Bob in {test}: seen"
    assert (
        found.unblock == f"put right what the test of {record} found, in {test}, and supersede it"
    )
    assert f'--supersedes "{record}"' in found.commands[-1]
    other = book.add("policy", TWO_KINDS)
    book.add("decision", TWO_KINDS)
    _test(book, (other, "exception"))
    found = book.result(TWO_KINDS)
    assert found.state is State.PARTIAL
    assert found.unblock.startswith(f"put right what the test of {other} found")


def _lent(book: Any, pair: Pair) -> ControlResult:
    coverage = evaluate(
        book.records,
        load_catalogs(),
        load_profile("production"),
        book.system,
        book.now,
        crosswalk=Crosswalk("made-up", "Made up", (pair,)),
    )
    return next(item for item in coverage.controls if item.id == CONTROL)


@pytest.mark.parametrize("fit", [Fit.CLOSE, Fit.PARTIAL])
def test_evidence_that_an_exception_keeps_from_coming_over_is_named(fit: Fit, book: Any) -> None:
    """A control that lived on another's evidence says why it has none, and what to do."""
    pair = Pair(LENDER, CONTROL, Source.INFERRED, fit)
    record = book.add("eval-result", LENDER)
    book.approve(record)
    before = _lent(book, pair)
    assert before.state is (State.MET if fit is Fit.CLOSE else State.PARTIAL)
    test = _test(book, (record, "exception"))
    found = _lent(book, pair)
    assert found.state is State.MISSING
    reason = decisive(found)
    assert reason is not None and reason.code == "evidence.missing"
    assert f"{record} (eval-result) could come over, {LENDER} → {CONTROL} (" in reason.text
    assert f"but was tested, with an exception, by Bob in {test}: seen" in reason.text
    assert set(reason.records) == {record.ref, test.ref}
    advice = f"put right what the test of {record} found, in {test}, and supersede it, or attach an"
    assert (found.unblock or "").startswith(advice) is (fit is Fit.CLOSE)
    book.add("eval-result", CONTROL)
    own = _lent(book, pair)
    assert own.state is State.MET
    assert not any("come over" in item.text for item in own.reasons)


def test_only_the_same_auditor_lifts_an_exception(book: Any) -> None:
    """Neither another's pass, nor what is not tested, nor an approver takes it away."""
    record = book.add("eval-result", CONTROL)
    test = _test(book, (record, "exception"))
    _test(book, (record, "passed"), signer="carol")
    _test(book, (record, "not-tested"))
    book.add("retraction", signer="carol", records=[test.ref.to_json()], reason="so")
    book.add("sample-test", signer="carol", supersedes=test, records=[])
    assert book.result(CONTROL).state is State.UNAPPROVED
    assert standings(book.records)[test.index] == "counts"
    _test(book, (record, "passed"))
    assert book.result(CONTROL).state is State.MET


def test_a_pass_is_no_approval(book: Any) -> None:
    """Neither does it approve, nor does it take back a rejection that the same person signed."""
    record = book.add("eval-result", CONTROL)
    book.approve(record, decision="rejected")
    _test(book, (record, "exception"))
    _test(book, (record, "passed"))
    assert book.result(CONTROL).state is State.UNAPPROVED
    needs_approval = "iso-42001-2023:5.2"
    policy = book.add("policy", needs_approval)
    before = book.result(needs_approval).approvals
    _test(book, (policy, "passed"))
    assert book.result(needs_approval).approvals == before == ()


def test_a_test_of_what_came_later_is_not_heard(book: Any) -> None:
    """Nobody says in advance what a record will be found to be."""
    later = {"index": 1, "sha256": hashlib.sha256(f"{id(book)}/1".encode()).hexdigest()}
    said = {**later, "stratum": "eval-result", "outcome": "exception", "note": "seen"}
    book.add("sample-test", signer="bob", records=[said])
    assert book.add("eval-result", CONTROL).ref.to_json() == later
    assert book.result(CONTROL).state is State.MET


def test_a_sample_test_carries_no_control(book: Any) -> None:
    """It speaks of records; that it exists is evidence of nothing else."""
    record = book.add("eval-result")
    book.add(
        "sample-test",
        CONTROL,
        signer="bob",
        records=[{**record.ref.to_json(), "outcome": "passed"}],
    )
    assert book.result(CONTROL).state is State.MISSING


def test_the_sample_reads_back(book: Any) -> None:
    """What a packet embeds says everything that a draw depends on."""
    for _ in range(4):
        book.add("policy")
    sample = draw(book.records, book.system, Seed(4, ROOT, "word"), 2, By.KIND)
    stated = sample.to_json()
    seed = Seed(stated["checkpoint"]["size"], stated["checkpoint"]["root"], stated["salt"])
    system = SystemRef(stated["system"]["id"], stated["system"]["version"])
    again: Sample = draw(book.records, system, seed, stated["n"], By(stated["by"]))
    assert again == sample
