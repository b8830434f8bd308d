"""Keys over the years: rotation, revocation, several roots."""

from __future__ import annotations

from pathlib import Path

from .conftest import ATTACH_EVAL, ATTACH_POLICY, Cli


def public(place: Path, name: str) -> str:
    """File of the public half of a key of this machine."""
    return str(place.parent / "config" / "keys" / f"{name}.pub")


def test_rotation_keeps_the_person_and_the_past(place: Path, cli: Cli) -> None:
    """After a rotation the new key has the old one's rights, and the old approvals stand."""
    before = cli("coverage", "--json").json["data"]["catalogs"]
    assert cli("key", "new", "risk-2").code == 0
    assert cli("key", "rotate", "rita@example.com", public(place, "risk-2")).code == 0
    keys = {key["held_as"]: key for key in cli("key", "list", "--json").json["data"]["keys"]}
    assert keys["risk"]["state"].startswith("replaced by #7")
    assert keys["risk-2"]["functions"] == ["risk"]
    refused = cli("approve", "#5", "--key", "risk")
    assert (refused.code, "trust.revoked-key" in refused.err) == (2, True)
    assert cli("approve", "#5", "--key", "risk-2").code == 0
    assert cli("verify").code == 0
    after = cli("coverage", "--json").json["data"]["catalogs"]
    approved = [control["approvals"] for control in after[0]["controls"] if control["approvals"]]
    assert [item["approvals"] for item in before[0]["controls"] if item["approvals"]] != approved


def test_a_compromised_key_loses_its_later_approvals(place: Path, cli: Cli) -> None:
    """Coverage stops counting what the key signed since, says so, and the ledger stays sound."""
    revoke = ("key", "revoke", "risk", "--reason", "Laptop stolen")
    assert cli(*revoke, "--compromised-since", "#4").code == 0
    said = cli("verify")
    assert said.code == 0
    assert "record.distrusted" in said.out
    left_out = cli("coverage", "--json").json["data"]["left_out"]
    assert [item["records"][0]["index"] for item in left_out if "distrusted" in item["code"]] == [4]
    assert "Laptop stolen" in cli("key", "list").out


def test_a_plain_revocation_leaves_the_past_alone(place: Path, cli: Cli) -> None:
    """Somebody who left the organisation signed in good faith until then."""
    assert cli("key", "revoke", "rita@example.com", "--reason", "Left the bank").code == 0
    assert "distrusted" not in cli("verify").out
    refused = cli("approve", "#5", "--key", "risk")
    assert (refused.code, "trust.revoked-key" in refused.err) == (2, True)


def test_two_roots(place: Path, cli: Cli) -> None:
    """With a threshold of two, one root's word waits for the other's, and both are listed."""
    cli("key", "new", "second")
    enrol = ("key", "add", public(place, "second"), "--name", "Second Root")
    assert cli(*enrol, "--email", "second@example.com", "--role", "root").code == 0
    assert cli("key", "threshold", "3").code == 2, "there are two"
    assert cli("key", "threshold", "2", "--json").json["data"]["in_force"]
    cli("key", "new", "third")
    who = ("--name", "Third Root", "--email", "third@example.com", "--role", "root")
    third = ("key", "add", public(place, "third"), *who)
    first = cli(*third)
    assert (first.code, "waits for 1 more" in first.err) == (0, True)
    assert "third@example.com" not in cli("key", "list", "--json").out.partition("pending")[0]
    assert "waits for more roots: enrol" in cli("key", "list").out
    assert cli(*third, "--key", "second", "--json").json["data"]["in_force"]
    assert "Third Root" in cli("key", "list").out
    assert cli("verify").code == 0


def test_unknown_keys(place: Path, cli: Cli) -> None:
    """A key that is not enrolled can be neither rotated nor revoked."""
    for name in ("SHA256:" + "A" * 43, "nobody@example.com", "nobody"):
        said = cli("key", "revoke", name, "--reason", "x")
        assert (said.code, "key." in said.err) == (2, True)
    said = cli("key", "revoke", "risk", "--reason", "x", "--compromised-since", "lately")
    assert (said.code, "time.malformed" in said.err) == (2, True)


def test_supersede_takes_over_kind_and_claims(place: Path, cli: Cli) -> None:
    """The new record is of the old one's kind and claims its controls; the reason is signed."""
    said = cli(
        *("supersede", "#3", "report.txt", "--body", "eval.yaml", "--reason", "Run again"),
        *("--digest", "model.sha256=model.bin", "--digest", "dataset.sha256=data/heldout.csv"),
        *("--set", "suite=second", "--json"),
    )
    record = said.json["data"]["record"]
    assert (record["index"], record["kind"]) == (7, "eval-result")
    shown = cli("record", "show", "#7", "--json").json["data"]["statement"]["predicate"]
    assert shown["controls"] == ["nist-ai-rmf-1.0:MEASURE 2.3"]
    assert shown["supersedes"]["reason"] == "Run again"


def test_retraction(place: Path, cli: Cli) -> None:
    """What is taken back stays in sight and counts for nothing; only author or approver may."""
    cli("key", "new", "dev")
    enrol = ("key", "add", public(place, "dev"), "--name", "Dev", "--email", "dev@example.com")
    assert cli(*enrol).code == 0
    refused = cli("retract", "#3", "--reason", "x", "--key", "dev")
    assert (refused.code, "withdrawal.not-yours" in refused.err) == (2, True)
    said = ("--set", "title=Others", "--reason", "x", "--key", "dev")
    refused = cli("supersede", "#3", *said)
    assert (refused.code, "withdrawal.not-yours" in refused.err) == (2, True)
    assert cli("retract", "#3", "--reason", "The wrong file", "--key", "risk").code == 0
    assert "eval-result" in cli("record", "list").out
    data = cli("coverage", "--json").json["data"]
    codes = {item["code"]: item["text"] for item in data["left_out"]}
    assert codes["record.retracted"] == "#3 was retracted by #8: The wrong file"
    again = cli(*ATTACH_EVAL, "--json").json["data"]
    assert (again["is_new"], again["record"]["index"]) == (True, 9)


def test_erasure(place: Path, cli: Cli) -> None:
    """Bytes and files go, place and proof stay; what went is named, and nothing is missing."""
    text = (place / "policy.md").read_bytes()
    store = place / ".muniment" / "artifacts"
    order = ("erase", "#5", "--basis", "GDPR Art. 17(1)(b)", "--reason", "Consent withdrawn")
    assert (said := cli(*order)).code == 2
    assert "erase.unconfirmed" in said.err
    refused = cli(*order, "--yes", "--key", "default")
    assert refused.code == 0, "the workspace's first user is an approver as well"
    assert text not in [item.read_bytes() for item in store.rglob("*") if item.is_file()]
    ledger = b"".join(item.read_bytes() for item in (place / ".muniment").glob("ledger.db*"))
    assert b"policy.md" not in ledger
    verified = cli("verify")
    assert verified.code == 0
    assert "record.erased" in verified.out
    assert (cli("record", "show", "#5").code, cli("record", "show", "#7").code) == (2, 0)
    left_out = cli("coverage", "--json").json["data"]["left_out"]
    assert "record.erased" in {item["code"] for item in left_out}
    assert cli(*order, "--yes").code == 2, "it is gone already"
    assert cli("erase", "#0", *order[2:], "--yes").code == 2, "no key record"
    assert cli(*ATTACH_POLICY, "--json").json["data"]["is_new"]
    assert cli("verify").code == 0


def states(cli: Cli) -> dict[int, str]:
    """State of each record that is listed, by its place."""
    records = cli("record", "list", "--json").json["data"]["records"]
    return {record["index"]: record["state"] for record in records}


def test_the_state_of_records(place: Path, cli: Cli) -> None:
    """Nothing that counts for nothing is presented as good, and what was erased is listed too."""
    assert set(states(cli).values()) == {"counts"}
    again = ("supersede", "#3", "report.txt", "--body", "eval.yaml", "--reason", "Run again")
    digests = ("--digest", "model.sha256=model.bin", "--digest", "dataset.sha256=data/heldout.csv")
    assert cli(*again, *digests).code == 0  # 7
    assert cli("retract", "#6", "--reason", "Not hers").code == 0  # 8
    order = ("erase", "#5", "--basis", "GDPR Art. 17(1)(b)", "--reason", "Consent withdrawn")
    assert cli(*order, "--yes").code == 0  # 9
    stolen = ("--reason", "Stolen", "--compromised-since", "#4")
    assert cli("key", "revoke", "risk", *stolen).code == 0  # 10
    found = states(cli)
    assert found.pop(4).startswith("distrusted: the key SHA256:")
    assert {place: state for place, state in found.items() if state != "counts"} == {
        3: "superseded by #7",
        6: "retracted by #8",
        5: "erased by #9",
    }
    assert sorted(found) == [place for place in range(11) if place != 4]
    text = cli("record", "list").out
    assert [word in text for word in ("state", "retracted", "distrusted")] == [True] * 3
    erased = cli("record", "list", "--kind", "policy", "--json").json["data"]["records"]
    assert [(item["index"], item["kind"], item["signer"]) for item in erased] == [
        (5, "policy", None)
    ]
    assert "#5" not in cli("record", "list", "--signer", "ana").out
    shown = cli("record", "show", "#6", "--json").json["data"]
    assert (shown["state"], [item["index"] for item in shown["retracted_by"]]) == (
        "retracted by #8",
        [8],
    )
    assert "Ana Owner: Not hers" in cli("record", "show", "#6").out
    listed = cli("system", "show", "--json").json["data"]["records"]
    assert {item["index"]: item["state"] for item in listed}[6] == "retracted by #8"


def test_a_second_retraction(place: Path, cli: Cli) -> None:
    """The same words again add nothing; other words about what is taken back are refused."""
    assert cli("retract", "#3", "--reason", "The wrong file").code == 0
    assert "nothing was added" in cli("retract", "#3", "--reason", "The wrong file").out
    again = cli("retract", "#3", "--reason", "Still wrong", "--key", "risk")
    assert (again.code, "record.retracted" in again.err) == (2, True)
    stolen = ("--reason", "Stolen", "--compromised-since", "#7")
    cli("key", "revoke", "risk", *stolen)
    assert cli("retract", "#5", "--reason", "Void").code == 0


def test_a_retraction_by_a_stolen_key_is_said_again(place: Path, cli: Cli) -> None:
    """A retraction that lost its trust does not stand in the way of a good one."""
    assert cli("retract", "#3", "--reason", "Stolen word", "--key", "risk").code == 0  # 7
    cli("key", "revoke", "risk", "--reason", "Stolen", "--compromised-since", "#7")
    assert states(cli)[3] == "counts"
    assert cli("retract", "#3", "--reason", "Truly wrong").code == 0
    assert states(cli)[3] == "retracted by #9"


def test_a_key_is_shown_as_it_is_listed(place: Path, cli: Cli) -> None:
    """State, expiry and replacement of a key, the same in list and show, by whatever name."""
    cli("key", "new", "risk-2")
    until = ("--expires", "2030-05-31")
    assert cli("key", "rotate", "risk", public(place, "risk-2"), *until).code == 0
    keys = cli("key", "list", "--json").json["data"]["keys"]
    old, new = (next(key for key in keys if key["held_as"] == name) for name in ("risk", "risk-2"))
    assert (old["state"], old["replaced_by"]) == ("replaced by #7", new["fingerprint"])
    assert (new["state"], new["expires"]) == ("in force until 2030-05-31", "2030-05-31T23:59:59Z")
    for name, key in [("risk", old), ("rita@example.com", new), (new["fingerprint"], new)]:
        shown = cli("key", "show", name, "--json").json["data"]
        assert {field: shown[field] for field in key} == key
        assert shown["pem"].startswith("-----BEGIN PUBLIC KEY")
    text = cli("key", "show", "risk").out
    assert ("replaced by #7" in text, new["fingerprint"] in text) == (True, True)
    stolen = ("--reason", "Stolen", "--compromised-since", "#4")
    assert cli("key", "revoke", "risk", *stolen).code == 0
    state = cli("key", "show", "risk", "--json").json["data"]["state"]
    assert state == "replaced by #7, compromised since #4: Stolen"
    assert cli("key", "show", "nobody@example.com").code == 2


def test_choosing_a_key_that_signs_nothing(place: Path, cli: Cli) -> None:
    """A key that is replaced, or not enrolled, is chosen with a warning."""
    assert "nothing that it signs" not in cli("key", "use", "risk").err
    cli("key", "use", "default")
    cli("key", "new", "risk-2")
    assert "not enrolled" in cli("key", "use", "risk-2").err
    cli("key", "use", "default")
    cli("key", "rotate", "risk", public(place, "risk-2"))
    said = cli("key", "use", "risk")
    assert (said.code, "replaced by #7" in said.err) == (0, True)


def test_compromised_since_what_is_not_there(place: Path, cli: Cli) -> None:
    """A place beyond the ledger's end, and a day to come, are refused."""
    for since in ("#200", "#7", "2099-01-01"):
        said = cli("key", "revoke", "risk", "--reason", "x", "--compromised-since", since)
        assert (said.code, "trust.key-record" in said.err) == (2, True), since


def test_a_change_that_waits_is_shown_in_full(place: Path, cli: Cli) -> None:
    """Another root sees all that they sign, and nothing that cannot take effect any more."""
    for name, holder in (("second", "Second Root"), ("third", "Third Root")):
        cli("key", "new", name)
        email = ("--email", f"{name}@example.com", "--role", "root")
        assert cli("key", "add", public(place, name), "--name", holder, *email).code == 0
    assert cli("key", "threshold", "2").code == 0
    revoke = ("key", "revoke", "second", "--reason", "Stolen")
    assert cli(*revoke, "--compromised-since", "#8").code == 0
    assert cli(*revoke, "--compromised-since", "#7").code == 0
    cli("key", "new", "second-2")
    rotate = ("key", "rotate", "second", public(place, "second-2"))
    assert cli(*rotate).code == 0
    listed = cli("key", "list")
    lines = [line.strip() for line in listed.out.splitlines()]
    for words in ("compromised since  #8", "compromised since  #7", "reason             Stolen"):
        assert words in lines
    assert sum(line.startswith("in place of") for line in lines) == 1
    held = {key["held_as"]: key for key in cli("key", "list", "--json").json["data"]["keys"]}
    assert "second-2" not in held
    waiting = cli("key", "show", "second-2", "--json").json["data"]
    assert (waiting["state"], waiting["record"]) == ("waits for more roots", None)
    assert cli(*rotate, "--key", "third").code == 0
    pending = cli("key", "list", "--json").json["data"]["pending"]
    assert {item["body"]["compromisedSince"] for item in pending} == {7, 8}
    assert cli(*revoke, "--compromised-since", "#8", "--key", "third").code == 0
    assert cli("key", "list", "--json").json["data"]["pending"] == []
    assert cli("verify").code == 0


def test_adding_a_revoked_key_again(place: Path, cli: Cli) -> None:
    """No success is reported for an enrolment that is not in force."""
    from .conftest import ADD_KEY

    assert "attached already" in cli(*ADD_KEY).out
    cli("key", "revoke", "risk", "--reason", "Left")
    again = cli(*ADD_KEY)
    assert (again.code, "revoked by #7" in again.err) == (2, True)


def test_an_expired_key_is_rotated(place: Path, cli: Cli) -> None:
    """The new key of a rotation expires when the old one does, or when it is said."""
    cli("key", "new", "ci")
    who = ("--name", "CI", "--email", "ci@example.com", "--machine")
    assert cli("key", "add", public(place, "ci"), *who, "--expires", "2030-01-31").code == 0
    cli("key", "new", "ci-2")
    assert cli("key", "rotate", "ci", public(place, "ci-2")).code == 0
    cli("key", "new", "ci-3")
    later = ("--expires", "2031-01-31")
    assert cli("key", "rotate", "ci-2", public(place, "ci-3"), *later).code == 0
    held = {key["held_as"]: key for key in cli("key", "list", "--json").json["data"]["keys"]}
    assert [held[name]["expires"][:10] for name in ("ci-2", "ci-3")] == ["2030-01-31", "2031-01-31"]
    past = ("--expires", "2020-01-31")
    cli("key", "new", "ci-4")
    refused = cli("key", "rotate", "ci-3", public(place, "ci-4"), *past)
    assert (refused.code, "--expires" in refused.err) == (2, True)


def test_evidence_that_has_lapsed_is_attached_with_a_warning(place: Path, cli: Cli) -> None:
    """What is valid until a day in the past is said to be so at once."""
    said = cli(*ATTACH_POLICY, "--valid-until", "2001-01-01")
    assert (said.code, "valid until 2001-01-01T23:59:59Z" in said.err) == (0, True)
    assert "valid until" not in cli(*ATTACH_POLICY, "--valid-until", "2090-01-01").err


def test_what_an_erasure_removed(place: Path, cli: Cli) -> None:
    """The answer names what went, and the file that stays because another record speaks of it."""
    assert cli(*ATTACH_POLICY, "--set", 'version="5"').code == 0  # 7
    order = ("--basis", "GDPR Art. 17(1)(b)", "--reason", "Consent withdrawn", "--yes")
    said = cli("erase", "#5", *order)
    assert "erased #5, and stored files: 0" in said.out
    assert "policy.md stays in the store" in said.err
    data = cli("erase", "#7", *order, "--json").json["data"]
    assert (data["erased"], len(data["artifacts"]), data["warnings"]) == ([7], 1, [])
    refused = cli("erase", "#1", *order)
    assert (refused.code, "erasure.kind" in refused.err) == (2, True)
