"""A workspace: making one, attaching, approving, and what can be wrong with the input."""

from __future__ import annotations

import hashlib
import math
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from muniment.evidence.keys import new_p256
from muniment.evidence.workspace import Evidence, Holder, Workspace
from muniment.schemas import times, yamldoc
from muniment.schemas.errors import InputError, MunimentError, SchemaError, StoreError
from muniment.schemas.record import Role
from muniment.schemas.statement import SystemRef

SYSTEM = SystemRef("credit-risk", "1.0.0")
POLICY: dict[str, Any] = {
    "title": "Rules for models",
    "version": "1",
    "inForceFrom": "2026-01-01",
    "owner": {"name": "Ada Example", "email": "ada@example.com"},
    "reviewBy": "2027-01-01",
}
EVAL: dict[str, Any] = {
    "model": {"name": "model.onnx", "sha256": "ab" * 32},
    "dataset": {"name": "loans", "split": "held-out", "sha256": "cd" * 32},
}
JUNIT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites name="pytest tests"><testsuite name="pytest" errors="0" failures="0" skipped="0"
tests="2" time="0.1" timestamp="2026-02-01T10:00:00+00:00" hostname="ci">
<testcase classname="test_model" name="test_one" time="0.01"/>
<testcase classname="test_model" name="test_two" time="0.01"/></testsuite></testsuites>
"""
Make = Callable[..., Workspace]


@pytest.fixture
def ready(workspace: Workspace, system_body: dict[str, Any]) -> Workspace:
    """A workspace with one system."""
    workspace.add(Evidence("system", SYSTEM, body=system_body))
    return workspace


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(MunimentError) as caught:
        action()
    return caught.value.code


def size(workspace: Workspace) -> int:
    """Number of entries; the ledger must verify."""
    verified = workspace.verified()
    assert (verified.report.ok, list(verified.report.findings)) == (True, [])
    return len(verified.records)


def files_under(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix not in (".db-wal", ".db-shm")
    }


# Making one


def test_init(workspace: Workspace) -> None:
    """A new workspace pins its root, keeps its keys out of the folder, and verifies."""
    verified = workspace.verified()
    (genesis,) = verified.records
    assert genesis.signer.roles == frozenset(Role)
    assert workspace.config.root == workspace.signing_key.public.fingerprint
    assert (workspace.root / ".muniment" / ".gitignore").read_text() == "*\n"
    assert verified.require().size == 1
    secret = [name for name, data in files_under(workspace.root).items() if b"PRIVATE" in data]
    assert secret == []
    assert len(list((workspace.root.parent / "config").rglob("*.pem"))) == 2


def test_init_twice_changes_nothing(workspace: Workspace, make_workspace: Make) -> None:
    """Making a workspace where one is changes no file, and says so."""
    workspace.storage.close()
    before = files_under(workspace.root.parent)
    assert code_of(make_workspace) == "workspace.exists"
    assert files_under(workspace.root.parent) == before


def test_init_in_a_folder_with_files(make_workspace: Make, tmp_path: Path) -> None:
    """A folder that holds files already, in git or not, keeps them."""
    folder = tmp_path / "project"
    (folder / "kinds").mkdir(parents=True)
    (folder / "model.py").write_text("x = 1\n")
    subprocess.run(["git", "init", "-q", folder], check=True)
    made = make_workspace("project")
    assert (folder / "model.py").read_text() == "x = 1\n"
    listed = subprocess.check_output(
        ["git", "-C", folder, "status", "--porcelain", "-uall"], text=True
    )
    assert sorted(line[3:] for line in listed.splitlines()) == ["model.py", "muniment.yaml"]
    assert size(made) == 1


def test_init_takes_the_key_that_is_there(make_workspace: Make) -> None:
    """A second workspace of one user has the same root key and another ledger key."""
    one, two = make_workspace("one"), make_workspace("two")
    assert one.config.root == two.config.root
    assert one.ledger.vkey != two.ledger.vkey


def test_init_over_a_ledger_without_its_settings(
    workspace: Workspace, make_workspace: Make
) -> None:
    """Where ``muniment.yaml`` was lost the ledger is not started over."""
    workspace.storage.close()
    (workspace.root / "muniment.yaml").unlink()
    before = files_under(workspace.root)
    assert code_of(make_workspace) == "store.exists"
    assert files_under(workspace.root) == before


@pytest.mark.parametrize(
    "options, code",
    [
        ({"origin": "no name"}, "origin.malformed"),
        ({"origin": ""}, "origin.malformed"),
        ({"origin": "Upper.example.com"}, "origin.malformed"),
        ({"origin": "a.example/../b"}, "origin.malformed"),
        ({"holder": Holder("Ada", "no address")}, "body.malformed"),
        ({"holder": Holder("", "ada@example.com")}, "body.malformed"),
        ({"functions": ["Not A Function!"]}, "body.malformed"),
        ({"ledger": "mysql://x/y"}, "ledger.url"),
        ({"key": "../x"}, "key.name"),
    ],
)
def test_init_with_bad_arguments(
    make_workspace: Make, tmp_path: Path, options: dict[str, Any], code: str
) -> None:
    """What is refused leaves no workspace and no ledger, and can be tried again."""
    assert code_of(lambda: make_workspace(**options)) == code
    left = files_under(tmp_path)
    assert not any("ledger" in name or "muniment.yaml" in name for name in left)
    assert size(make_workspace()) == 1


def test_init_where_a_file_is(make_workspace: Make, tmp_path: Path) -> None:
    """A file in the place of the folder is an error of ours."""
    (tmp_path / "workspace").write_text("in the way")
    assert code_of(make_workspace).startswith("store.")


def test_find(workspace: Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A workspace is found upward from the current folder, or where the variable says."""
    inside = workspace.root / "a" / "b"
    inside.mkdir(parents=True)
    monkeypatch.chdir(inside)
    assert Workspace.find().root == workspace.root
    monkeypatch.chdir(tmp_path)
    assert code_of(Workspace.find) == "workspace.missing"
    monkeypatch.setenv("MUNIMENT_WORKSPACE", str(workspace.root))
    assert Workspace.find().root == workspace.root
    monkeypatch.setenv("MUNIMENT_WORKSPACE", str(inside))
    assert code_of(Workspace.find) == "workspace.missing"


def test_both_databases(make_workspace: Make, ledger_url: str, system_body: dict[str, Any]) -> None:
    """The same steps work on SQLite and on PostgreSQL."""
    made = make_workspace(ledger=ledger_url)
    made.add(Evidence("system", SYSTEM, body=system_body))
    attached = made.add(Evidence("policy", body=POLICY))
    assert made.resolve("#2") == attached.record.ref
    assert made.resolve(attached.record.sha256[:12]) == attached.record.ref
    assert made.systems() == [SYSTEM]
    assert code_of(lambda: made.resolve("#999999999999999")) == "record.unknown"
    assert size(made) == 3


# Attaching


def test_attach_a_file(ready: Workspace, tmp_path: Path) -> None:
    """A file becomes a subject by its digest and is kept in the store."""
    file = tmp_path / "rules.txt"
    file.write_text("Nobody deploys alone.")
    attached = ready.add(
        Evidence("policy", files=[file], body=POLICY, controls=["a:b", "a:c", "a:b"])
    )
    (subject,) = attached.record.statement.subjects
    assert subject.sha256 == hashlib.sha256(b"Nobody deploys alone.").hexdigest()
    with ready.store.open(subject.sha256) as stored:
        assert stored.read() == b"Nobody deploys alone."
    assert attached.record.statement.controls == ("a:b", "a:c")
    assert any("outside any repository" in warning for warning in attached.warnings)
    assert ready.verify().ok


def test_attach_the_same_twice(ready: Workspace, tmp_path: Path, clock: Any) -> None:
    """The same evidence again is recognised; a changed file is another record."""
    file = tmp_path / "rules.txt"
    file.write_text("One")
    evidence = Evidence("policy", files=[file], body=POLICY)
    first = ready.add(evidence)
    clock.move(days=3)
    second = ready.add(evidence)
    assert (first.is_new, second.is_new) == (True, False)
    assert second.record == first.record
    file.write_text("Two")
    assert ready.add(evidence).is_new
    assert size(ready) == 4


def test_settings_and_digests_win(ready: Workspace, tmp_path: Path) -> None:
    """Single settings and digests of files are laid over the body."""
    model = tmp_path / "model.onnx"
    model.write_bytes(b"weights")
    body = {**EVAL, "evaluated": 0, "metrics": [], "checks": []}
    attached = ready.add(
        Evidence(
            "eval-result",
            body=body,
            settings=[("evaluated", 7), ("dataset.rows", 9)],
            digests=[("model.sha256", model)],
        )
    )
    made = attached.record.statement.body
    assert made["model"]["sha256"] == hashlib.sha256(b"weights").hexdigest()
    assert (made["evaluated"], made["dataset"]["rows"]) == (7, 9)
    assert body["evaluated"] == 0
    assert EVAL["model"]["sha256"] == "ab" * 32


@pytest.fixture
def junit(tmp_path: Path) -> Path:
    """A tool's file."""
    file = tmp_path / "junit.xml"
    file.write_text(JUNIT)
    return file


@pytest.mark.parametrize("link_only", [False, True])
def test_a_tools_file_fills_the_record(ready: Workspace, junit: Path, link_only: bool) -> None:
    """What a tool wrote is read, named as the source, and may be added to."""
    attached = ready.add(Evidence("eval-result", files=[junit], body=EVAL, link_only=link_only))
    statement = attached.record.statement
    assert statement.body["evaluated"] == 2
    assert statement.source is not None
    assert statement.source["sha256"] == hashlib.sha256(junit.read_bytes()).hexdigest()
    assert ready.store.has(statement.subjects[0].sha256) is not link_only
    assert ready.verify().ok


@pytest.mark.parametrize(
    "settings",
    [
        [("evaluated", 3)],
        [("evaluated", 2.5)],
        [("evaluated", True)],
        [("evaluated", None)],
        [("checks[0].outcome", "fail")],
        [("checks", [])],
        [("checks", "none")],
        [("checks[2]", {"name": "by hand", "outcome": "pass"})],
    ],
)
def test_a_tools_file_is_not_contradicted(
    ready: Workspace, junit: Path, settings: list[tuple[str, Any]]
) -> None:
    """A record that says other than the file it was read from is refused."""
    evidence = Evidence("eval-result", files=[junit], body=EVAL, settings=settings)
    with pytest.raises(InputError) as caught:
        ready.add(evidence)
    assert caught.value.code == "attach.contradicts-source"
    assert settings[0][0].partition("[")[0] in caught.value.message
    assert size(ready) == 2


def test_a_tools_file_may_be_repeated_and_added_to(ready: Workspace, junit: Path) -> None:
    """Saying the same as the file, and more, is fine."""
    evidence = Evidence(
        "eval-result",
        files=[junit],
        body={**EVAL, "evaluated": 2},
        settings=[("runId", "7"), ("dataset.rows", 9)],
    )
    body = ready.add(evidence).record.statement.body
    assert (body["evaluated"], body["runId"], body["dataset"]["rows"]) == (2, "7", 9)


def test_two_tools_files_for_one_record(ready: Workspace, junit: Path, tmp_path: Path) -> None:
    """Two files that would both fill the record are refused; one for another kind is only noted."""
    other = tmp_path / "other.xml"
    other.write_text(JUNIT.replace("test_two", "test_three"))
    evidence = Evidence("eval-result", files=[junit, other], body=EVAL)
    assert code_of(lambda: ready.add(evidence)) == "attach.two-sources"
    attached = ready.add(Evidence("policy", files=[junit], body=POLICY))
    assert attached.record.statement.source is None
    assert "nothing was taken from it" in attached.warnings[0]


def test_a_tools_file_that_vanishes_or_changes(
    ready: Workspace, junit: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file that is gone or other after it was read is refused, and nothing is appended."""
    take = Workspace._take
    for change, code in [
        (lambda: junit.write_text(JUNIT.replace("one", "six")), "file.changed"),
        (junit.unlink, "file.missing"),
    ]:

        def taken(*arguments: Any, change: Any = change) -> Any:
            change()
            return take(*arguments)

        monkeypatch.setattr(Workspace, "_take", taken)
        evidence = Evidence("eval-result", files=[junit], body=EVAL, link_only=True)
        assert code_of(lambda item=evidence: ready.add(item)) == code  # type: ignore[misc]
    assert size(ready) == 2


BAD_EVIDENCE: dict[str, tuple[Evidence, str]] = {
    "unknown kind": (Evidence("polcy", body=POLICY), "kind.unknown"),
    "unknown system": (Evidence("policy", SystemRef("x", "1"), body=POLICY), "system.unknown"),
    "missing file": (Evidence("policy", files=[Path("no.txt")], body=POLICY), "file.missing"),
    "a folder": (Evidence("policy", files=[Path("/")], body=POLICY), "file.not-a-file"),
    "missing digest file": (
        Evidence("policy", body=POLICY, digests=[("x", Path("no.bin"))]),
        "file.missing",
    ),
    "empty body": (Evidence("policy"), "body.malformed"),
    "unknown field": (Evidence("policy", body={**POLICY, "colour": "red"}), "body.malformed"),
    "date object": (
        Evidence("policy", body={**POLICY, "reviewBy": times.now().date()}),
        "body.malformed",
    ),
    "bad path": (Evidence("policy", body=POLICY, settings=[("a..b", 1)]), "path.malformed"),
    "bad control": (Evidence("policy", body=POLICY, controls=["no-colon"]), "statement.malformed"),
    "supersedes nothing": (Evidence("policy", body=POLICY, supersedes="#99"), "record.unknown"),
    "half a character": (
        Evidence("policy", body={**POLICY, "title": "\ud800"}),
        "body.malformed",
    ),
}


@pytest.mark.parametrize("name", BAD_EVIDENCE)
def test_bad_evidence(ready: Workspace, name: str) -> None:
    """Each fault has its code, and nothing is appended."""
    evidence, code = BAD_EVIDENCE[name]
    assert code_of(lambda: ready.add(evidence)) == code
    assert size(ready) == 2


def test_all_missing_fields_are_told_at_once(ready: Workspace) -> None:
    """A body without its required fields lists every one, with what it is for."""
    with pytest.raises(SchemaError) as caught:
        ready.add(Evidence("policy"))
    said = [f"{problem.path} {problem.message}" for problem in caught.value.problems]
    for field in ("title", "version", "inForceFrom", "owner", "reviewBy"):
        assert any(field in line for line in said)
    assert all(problem.description for problem in caught.value.problems)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none(ready: Workspace, value: float) -> None:
    """NaN and Infinity never reach a signature, however deep they are."""
    metric = {"name": "accuracy", "value": value}
    body = {**EVAL, "evaluated": 1, "metrics": [metric], "checks": []}
    assert code_of(lambda: ready.add(Evidence("eval-result", body=body))) in (
        "body.malformed",
        "json.number",
    )
    statement = ready.verified().records[1].statement
    assert code_of(replace(statement, body={"x": [{"y": value}]}).to_payload) == "json.number"
    assert size(ready) == 2


def test_numbers_that_are_none_from_yaml(ready: Workspace) -> None:
    """A ``.nan`` written in YAML is refused as well."""
    text = "metrics: [{name: accuracy, value: .nan}]\nevaluated: 1\nchecks: []"
    body = {**EVAL, **yamldoc.load(text, what="body.yaml")}
    assert code_of(lambda: ready.add(Evidence("eval-result", body=body))) in (
        "body.malformed",
        "json.number",
    )
    assert size(ready) == 2


def test_a_body_over_a_mebibyte(ready: Workspace) -> None:
    """A statement over 1 MiB is refused with the way out; the ledger stays as it is."""
    checks = [{"name": f"check {n} " + "x" * 80, "outcome": "pass"} for n in range(12_000)]
    body = {**EVAL, "evaluated": 1, "metrics": [], "checks": checks}
    with pytest.raises(InputError) as caught:
        ready.add(Evidence("eval-result", body=body))
    assert caught.value.code == "statement.too-large"
    assert "attach" in str(caught.value.hint)
    assert size(ready) == 2


ATTACH_LARGE = """
import resource, sys
from pathlib import Path
from muniment.evidence.workspace import Evidence, Workspace
workspace = Workspace(Path(sys.argv[1]))
body = {"title": "Rules", "version": "1", "inForceFrom": "2026-01-01", "reviewBy": "2027-01-01",
        "owner": {"name": "Ada Example", "email": "ada@example.com"}}
small = workspace.add(Evidence("policy", files=[Path(sys.argv[2])], body=body, link_only=True))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
large = workspace.add(Evidence("policy", files=[Path(sys.argv[3])], body=body, link_only=True))
after = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(large.record.statement.subjects[0].annotations["size"], after - before)
"""


def test_a_large_file_is_streamed(
    make_workspace: Make, tmp_path: Path, system_body: dict[str, Any]
) -> None:
    """Memory stays flat while a file of 300 MB is hashed."""
    made = make_workspace(clock=times.now)
    made.add(Evidence("system", SYSTEM, body=system_body))
    small, large = tmp_path / "small.bin", tmp_path / "large.bin"
    small.write_bytes(b"x")
    large.touch()
    os.truncate(large, 300 * 2**20)
    printed = subprocess.check_output(
        [sys.executable, "-c", ATTACH_LARGE, made.root, small, large], text=True
    )
    count, kibibytes = map(int, printed.split())
    assert count == 300 * 2**20
    assert kibibytes < 20 * 1024


def test_a_committed_file(ready: Workspace) -> None:
    """A committed file is named by its path in the repository, and the body is merged by group."""
    git = ["git", "-C", str(ready.root), "-c", "user.name=Ada", "-c", "user.email=ada@example.com"]
    file = ready.root / "docs" / "rules.txt"
    file.parent.mkdir()
    file.write_text("Rules")
    for command in (["init", "-q"], ["add", "docs"], ["commit", "-q", "-m", "Add rules"]):
        subprocess.run([*git, *command], check=True)
    attached = ready.add(Evidence("policy", files=[file], body=POLICY))
    (subject,) = attached.record.statement.subjects
    assert subject.name == "docs/rules.txt"
    assert subject.git is not None
    assert subject.git["state"] == "committed"
    assert not any("not under version control" in warning for warning in attached.warnings)
    report = ready.verify()
    assert report.ok
    assert [check.checked for check in report.checks if check.name == "git"] == [1]


# Referring


def test_systems(workspace: Workspace, system_body: dict[str, Any]) -> None:
    """Without a name the only system is meant; none, several and an unknown one are told apart."""
    assert code_of(lambda: workspace.system(None)) == "system.none"
    assert code_of(lambda: workspace.add(Evidence("policy", body=POLICY))) == "system.none"
    assert code_of(lambda: workspace.add(Evidence("system", body=system_body))) == "system.none"
    workspace.add(Evidence("system", SYSTEM, body=system_body))
    assert workspace.system(None) == workspace.system("credit-risk@1.0.0") == SYSTEM
    assert code_of(lambda: workspace.system("credit-risk@2")) == "system.unknown"
    assert code_of(lambda: workspace.system("credit-risk")) == "system.malformed"
    workspace.add(Evidence("system", SystemRef("credit-risk", "2.0.0"), body=system_body))
    with pytest.raises(InputError) as caught:
        workspace.add(Evidence("policy", body=POLICY))
    assert caught.value.code == "system.ambiguous"
    assert "credit-risk@2.0.0" in str(caught.value.expected)


def test_resolve(ready: Workspace) -> None:
    """A record is named by number or by six digits of its digest, and by nothing vaguer."""
    record = ready.verified().records[1]
    for text in ("#1", "1", record.sha256, record.sha256[:6], record.sha256[:10].upper()):
        assert ready.resolve(text) == record.ref
    for text, code in [
        ("#2", "record.unknown"),
        ("#99999999999999999999", "record.unknown"),
        ("f" * 64, "record.unknown"),
        ("", "record.malformed"),
        ("#", "record.malformed"),
        ("#-1", "record.malformed"),
        ("-1", "record.malformed"),
        ("abc", "record.malformed"),
        ("zzzzzz", "record.malformed"),
        ("a" * 65, "record.malformed"),
        ("1 OR 1=1", "record.malformed"),
        ("%", "record.malformed"),
    ]:
        assert code_of(lambda text=text: ready.resolve(text)) == code  # type: ignore[misc]


def test_supersedes(ready: Workspace) -> None:
    """A record may take the place of another, which is named by place and digest."""
    old = ready.add(Evidence("policy", body=POLICY)).record
    new = ready.add(Evidence("policy", body={**POLICY, "version": "2"}, supersedes="#2")).record
    assert new.statement.supersedes == old.ref


# Approving


@pytest.fixture
def carl(ready: Workspace, clock: Any) -> Workspace:
    """The same workspace as an approver has it."""
    key = new_p256()
    ready.keys.save(ready.keys.path("carl"), key, None)
    holder = Holder("Carl Example", "carl@example.com")
    ready.people.enrol(key.public, holder, roles=[Role.APPROVER], functions=["legal"])
    return Workspace(ready.root, key="carl", clock=clock)


def test_approve(ready: Workspace, carl: Workspace, tmp_path: Path) -> None:
    """An approval names records and files by digest, in the approver's own function."""
    file = tmp_path / "rules.txt"
    file.write_text("Rules")
    record = ready.add(Evidence("policy", files=[file], body=POLICY)).record
    approval = carl.approve([f"#{record.index}"], conditions=["Look again in May."]).record
    body = approval.statement.body
    assert body["records"] == [record.ref.to_json()]
    assert body["artifacts"] == [
        {"name": "rules.txt", "sha256": hashlib.sha256(b"Rules").hexdigest()}
    ]
    assert (body["role"], approval.signer.name) == ("legal", "Carl Example")
    assert approval.statement.system == SYSTEM
    assert size(carl) == 5
    carl.storage.close()


def test_nobody_approves_their_own(ready: Workspace, carl: Workspace) -> None:
    """Whoever signed a record cannot approve it, not even among others'."""
    ready.add(Evidence("policy", body=POLICY))
    for targets in (["#1"], ["#3"], ["#1", "#3"]):
        with pytest.raises(InputError) as caught:
            ready.approve(targets)
        assert caught.value.code == "approval.own"
    approval = carl.approve(["#3"]).record
    assert code_of(lambda: carl.approve([f"#{approval.index}"])) == "approval.own"
    assert size(ready) == 5
    carl.storage.close()


def test_an_approver_of_several_functions_says_which(ready: Workspace, clock: Any) -> None:
    """A key with two functions must name one; an eval's model is among what is approved."""
    key = new_p256()
    ready.keys.save(ready.keys.path("dora"), key, None)
    ready.people.enrol(
        key.public,
        Holder("Dora Example", "dora@example.com"),
        roles=[Role.APPROVER],
        functions=["risk", "legal"],
        kinds=["approval"],
        expires=clock() + timedelta(days=30),
    )
    body = {**EVAL, "evaluated": 1, "metrics": [], "checks": []}
    record = ready.add(Evidence("eval-result", body=body)).record
    dora = Workspace(ready.root, key="dora", clock=clock)
    with pytest.raises(InputError) as caught:
        dora.approve([f"#{record.index}"])
    assert (caught.value.code, caught.value.expected) == ("approval.role", "legal, risk")
    approval = dora.approve([f"#{record.index}"], role="risk").record
    assert approval.statement.body["artifacts"] == [EVAL["model"]]
    clock.move(days=31)
    assert code_of(lambda: dora.approve(["#1"], role="risk")) == "trust.expired-key"
    dora.storage.close()


def test_enrolling_for_a_kind_nobody_knows(ready: Workspace) -> None:
    """A key cannot be limited to a kind that does not exist."""
    holder = Holder("Dora Example", "dora@example.com")
    public = new_p256().public
    enrol, roles = ready.people.enrol, [Role.CONTRIBUTOR]
    assert code_of(lambda: enrol(public, holder, roles=roles, kinds=["polcy"])) == "kind.unknown"


def test_approvals_that_cannot_be(
    ready: Workspace, carl: Workspace, system_body: dict[str, Any]
) -> None:
    """Records of two systems, of none, unknown ones and another's function are refused."""
    ready.add(Evidence("system", SystemRef("other", "1"), body=system_body))
    for targets, options, code in [
        (["#1", "#3"], {}, "approval.mixed"),
        (["#0"], {}, "approval.no-system"),
        ([], {}, "approval.mixed"),
        (["#77"], {}, "record.unknown"),
        (["#1"], {"role": "risk"}, "trust.wrong-function"),
        (["#1"], {"decision": "perhaps"}, "body.malformed"),
    ]:
        assert code_of(lambda t=targets, o=options: carl.approve(t, **o)) == code  # type: ignore[misc]
    assert size(ready) == 4
    carl.storage.close()


# Keys


def test_encrypted_keys(
    make_workspace: Make, system_body: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With encrypted keys attaching needs the passphrase; reading and verifying do not."""
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "correct horse")
    made = make_workspace(passphrase="correct horse")
    evidence = Evidence("system", SYSTEM, body=system_body)
    for passphrase in ("wrong", None):
        if passphrase:
            monkeypatch.setenv("MUNIMENT_PASSPHRASE", passphrase)
        else:
            monkeypatch.delenv("MUNIMENT_PASSPHRASE")
        assert code_of(lambda: made.add(evidence)) == "key.passphrase"
        assert size(made) == 1
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "correct horse")
    made.add(evidence)
    assert size(made) == 2


def test_choice_of_key(ready: Workspace, carl: Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key is chosen by argument, by variable, or for the checkout; it must be there."""
    assert carl.key_name == "carl"
    monkeypatch.setenv("MUNIMENT_KEY", "carl")
    assert Workspace(ready.root).key_name == "carl"
    monkeypatch.delenv("MUNIMENT_KEY")
    assert Workspace(ready.root).key_name == "default"
    ready.use_key("carl")
    assert Workspace(ready.root).key_name == "carl"
    assert code_of(lambda: ready.use_key("nobody")) == "key.missing"
    (ready.root / ".muniment" / "key").unlink()
    assert Workspace(ready.root).key_name == "default"
    ready.keys.path("default").unlink()
    assert code_of(lambda: Workspace(ready.root).key_name) == "key.none"
    assert code_of(lambda: Workspace(ready.root, key="../x").signing_key) == "key.name"


def test_a_lost_ledger_key(ready: Workspace) -> None:
    """Without the ledger's own key nothing can be attached, and the error says where it was."""
    path = ready.keys.ledger_path(ready.ledger.vkey)
    path.unlink()
    with pytest.raises(InputError) as caught:
        ready.add(Evidence("policy", body=POLICY))
    assert caught.value.code == "key.missing"
    assert str(path) in caught.value.message
    assert size(ready) == 2


def test_a_lost_ledger(ready: Workspace) -> None:
    """A workspace without its ledger says so, and no empty one is made in its place."""
    ready.storage.close()
    path = ready.storage.path
    assert path is not None
    path.unlink()
    again = Workspace(ready.root)
    for action in (again.verify, again.systems, lambda: again.add(Evidence("policy", SYSTEM))):
        with pytest.raises(StoreError) as caught:
            action()
        assert caught.value.code == "store.missing"
    assert not path.exists()
