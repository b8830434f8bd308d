"""Policies: what is read, what is refused, and which witnesses are enough."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muniment.evidence.keys import new_ed25519
from muniment.evidence.note import (
    COSIGNATURE_V1,
    ED25519,
    SignedNote,
    VerifierKey,
    cosign_note,
    sign_note,
)
from muniment.evidence.policy import Policy
from muniment.schemas.errors import InputError

ORIGIN = "evidence.example.com"
KEYS = {name: new_ed25519() for name in ("log", "x1", "x2", "x3", "y1", "y2")}
LOG = VerifierKey(ORIGIN, ED25519, KEYS["log"].public)
VKEYS = {
    name: VerifierKey(f"{name}.example.com", COSIGNATURE_V1, key.public)
    for name, key in KEYS.items()
}
WITNESSES = "".join(f"witness {name} {VKEYS[name]}\n" for name in ("x1", "x2", "x3", "y1", "y2"))
TWO_LEVELS = f"""\
# Two houses.
log {LOG} https://evidence.example.com
\t
{WITNESSES}
group X 2 x1 x2 x3
group Y any y1 y2
  group both\tall X Y
quorum both
"""
TEXT = f"{ORIGIN}\n3\n{'A' * 43}=\n"


def policy(text: str) -> Policy:
    return Policy.parse(text.encode())


def test_a_policy_is_read_whole() -> None:
    """Comments, blanks and tabs aside, every definition is there, URLs too."""
    found = policy(TWO_LEVELS)
    assert [(log.vkey, log.url) for log in found.logs] == [(LOG, "https://evidence.example.com")]
    assert [witness.name for witness in found.witnesses] == ["x1", "x2", "x3", "y1", "y2"]
    assert [(group.threshold, group.members) for group in found.groups] == [
        (2, ("x1", "x2", "x3")),
        (1, ("y1", "y2")),
        (2, ("X", "Y")),
    ]
    assert found.witness("y2").vkey == VKEYS["y2"]
    assert found.accepts(LOG) and not found.accepts(VerifierKey("b.example", ED25519, LOG.key))


@pytest.mark.parametrize(
    ("names", "is_met"),
    [
        ("x1 x2 y1", True),
        ("x1 x3 y2", True),
        ("x1 x2 x3", False),
        ("x1 y1 y2", False),
        ("", False),
        ("both", True),
    ],
)
def test_groups_of_groups(names: str, is_met: bool) -> None:
    """Two of one house and one of the other are needed."""
    assert policy(TWO_LEVELS).is_met_by(names.split()) is is_met


def test_no_quorum_asks_for_nobody() -> None:
    """``quorum none`` is met by nobody, and accepts every ledger."""
    found = policy("quorum none\n")
    assert found.is_met_by([]) and found.accepts(LOG)


W1 = f"witness x1 {VKEYS['x1']}\n"
W2 = f"witness x2 {VKEYS['x2']}\n"
MALFORMED = {
    "nothing": ("", 0),
    "no quorum": (W1, 0),
    "unknown word": ("witnesses x1\nquorum none\n", 1),
    "two quorums": ("quorum none\nquorum none\n", 2),
    "quorum of nobody": ("\n# x\nquorum x1\n", 3),
    "quorum before its name": ("quorum x1\n" + W1, 1),
    "quorum of two": (W1 + W2 + "quorum x1 x2\n", 3),
    "a taken name": (W1 + f"witness x1 {VKEYS['x2']}\nquorum x1\n", 2),
    "a reserved name": (f"witness none {VKEYS['x1']}\nquorum none\n", 1),
    "a key twice": (W1 + f"witness x2 {VKEYS['x1']}\nquorum x1\n", 2),
    "a log key twice": (f"log {LOG}\nlog {LOG}\nquorum none\n", 2),
    "a log with a witness key": (f"log {VKEYS['x1']}\nquorum none\n", 1),
    "a witness with a log key": (f"witness x1 {LOG}\nquorum none\n", 1),
    "no key": ("witness x1 key\nquorum none\n", 1),
    "a key with a wrong hash": (f"log {str(LOG).replace('+', '+0', 1)}\nquorum none\n", 1),
    "a member twice": (W1 + "group g any x1 x1\nquorum g\n", 2),
    "a member of two groups": (W1 + "group g any x1\ngroup h any x1\nquorum g\n", 3),
    "a later member": ("group g any x1\n" + W1 + "quorum g\n", 1),
    "none as member": (W1 + "group g any none\nquorum g\n", 2),
    "no member": (W1 + "group g any\nquorum g\n", 2),
    "threshold 0": (W1 + "group g 0 x1\nquorum g\n", 2),
    "threshold too high": (W1 + "group g 2 x1\nquorum g\n", 2),
    "threshold with a sign": (W1 + "group g +1 x1\nquorum g\n", 2),
    "threshold with a zero": (W1 + "group g 01 x1\nquorum g\n", 2),
    "carriage return": ("quorum none\r\n", 1),
    "another space": (f"witness x1\xa0{VKEYS['x1']}\nquorum none\n", 1),
    "a URL too many": (f"witness x1 {VKEYS['x1']} http://a http://b\nquorum x1\n", 1),
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_policies_are_refused_with_their_line(name: str) -> None:
    """Each fault is ``policy.malformed`` and names its line, counted from 1."""
    text, line = MALFORMED[name]
    with pytest.raises(InputError) as caught:
        policy(text)
    assert caught.value.code == "policy.malformed"
    assert line == 0 or f"line {line} " in caught.value.message


def test_names_are_bytes() -> None:
    """Names that no text decodes are kept apart, and a key with such a name is refused."""
    base = W1.replace("x1", "\udcff", 1) + f"witness \udcfe {VKEYS['x2']}\nquorum \udcfe\n"
    found = Policy.parse(base.encode("utf-8", "surrogateescape"))
    assert not found.is_met_by(["\udcff"]) and found.is_met_by(["\udcfe"])
    with pytest.raises(InputError, match="line 1"):
        Policy.parse(b"log \xff+00000000+AAAA\nquorum none\n")


@given(st.binary(max_size=200) | st.text(alphabet="logwitnesquorumgp xany1 \n#").map(str.encode))
def test_nothing_but_our_error_comes_out(data: bytes) -> None:
    """Any bytes are a policy or ``policy.malformed``."""
    try:
        Policy.parse(data)
    except InputError as error:
        assert error.code == "policy.malformed"


def cosigned(*names: str) -> SignedNote:
    lines = [sign_note(TEXT, ORIGIN, KEYS["log"])]
    lines += [cosign_note(TEXT, f"{name}.example.com", KEYS[name], 1000) for name in names]
    return SignedNote(TEXT, tuple(lines))


def test_a_checkpoint_is_judged_by_the_lines_that_hold() -> None:
    """Lines of witnesses count, those of strangers do not, and a false one is a fault."""
    found = policy(TWO_LEVELS).judge(cosigned("x1", "x2", "y1", "log"))
    assert (found.cosigned, found.faults, found.is_met) == (
        {"x1": 1000, "x2": 1000, "y1": 1000},
        {},
        True,
    )
    note = cosigned("x1", "x2", "y1")
    forged = SignedNote(TEXT.replace("3", "4"), note.signatures)
    found = policy(TWO_LEVELS).judge(forged)
    assert not found.cosigned and not found.is_met
    assert {error.code for error in found.faults.values()} == {"signature.invalid"}


def test_an_impossible_time_does_not_count() -> None:
    """A cosignature over 2^63 seconds is none."""
    line = cosign_note(TEXT, "x1.example.com", KEYS["x1"], 1 << 63)
    found = policy(W1 + "quorum x1\n").judge(SignedNote(TEXT, (line,)))
    assert not found.is_met and found.faults["x1"].code == "note.malformed"
