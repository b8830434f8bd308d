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
