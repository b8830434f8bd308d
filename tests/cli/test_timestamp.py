"""``muniment timestamp`` and what ``verify`` says of time stamps."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ..tsa import Chain, OpenSsl, send, serve
from .conftest import Cli, Said, isolated


@pytest.fixture
def chain(monkeypatch: pytest.MonkeyPatch) -> Chain:
    """An authority's certificates; no proxy stands before it."""
    monkeypatch.setenv("no_proxy", "*")
    return Chain.new()


def outcome(cli: Cli) -> tuple[str, int]:
    checks = {item["name"]: item for item in cli("verify", "--json").json["data"]["checks"]}
    return checks["timestamps"]["outcome"], checks["timestamps"]["checked"]


def fresh(place: Path, *words: str) -> Said:
    """Run the command in a process that has imported nothing yet."""
    done = subprocess.run(
        [sys.executable, "-m", "muniment", *words],
        cwd=place,
        env={**isolated(place.parent), "no_proxy": "*"},
        capture_output=True,
        text=True,
        check=False,
    )
    return Said(done.returncode, done.stdout, done.stderr)


def settle(place: Path, chain: Chain, url: str) -> None:
    """Write authority and roots into the workspace's settings."""
    chain.write_roots(place / "tsa-roots.pem")
    with (place / "muniment.yaml").open("a") as file:
        file.write(f"timestamps: {url}\ntimestamp_roots: tsa-roots.pem\n")


def test_stamping_with_the_settings_of_the_team(
    place: Path, cli: Cli, chain: Chain, tmp_path: Path
) -> None:
    """With authority and roots in ``muniment.yaml`` the command needs no option; ``verify``
    counts the stamp, and asking again gets no second one."""
    with serve(OpenSsl(tmp_path / "tsa", chain).answer) as (url, requests):
        settle(place, chain, url)
        assert outcome(cli) == ("not-checked", 0)
        made = cli("timestamp", "--json").json["data"]
        assert (made["size"], made["source"], made["new"]) == (7, url, True)
        assert outcome(cli) == ("held", 1)
        again = cli("timestamp")
        assert (again.code, len(requests)) == (0, 1)
        assert "already" in again.out and made["time"] in again.out
    assert cli("verify").code == 0


def test_stamping_with_options(place: Path, cli: Cli, chain: Chain, tmp_path: Path) -> None:
    """Options name authority and roots; without roots in the settings ``verify`` says so."""
    roots = chain.write_roots(tmp_path / "roots.pem")
    with serve(OpenSsl(tmp_path / "tsa", chain).answer) as (url, _):
        said = cli("timestamp", "--tsa", url, "--roots", str(roots))
    assert said.code == 0
    assert "first 7 records" in said.out
    assert outcome(cli) == ("not-checked", 0)
    assert "timestamp_roots" in cli("verify").out


def test_what_is_missing_is_told(place: Path, cli: Cli, chain: Chain) -> None:
    """Without authority or roots the command says what to write where, and leaves with 2."""
    said = cli("timestamp")
    assert (said.code, "timestamps: URL" in said.err) == (2, True)
    said = cli("timestamp", "--tsa", "http://tsa.example.com")
    assert (said.code, "timestamp_roots" in said.err) == (2, True)


def test_a_missing_file_of_roots(place: Path, cli: Cli, chain: Chain, tmp_path: Path) -> None:
    """Where tokens are stored, a file of roots that is gone is an error, not a silent pass."""
    with serve(OpenSsl(tmp_path / "tsa", chain).answer) as (url, _):
        settle(place, chain, url)
        assert cli("timestamp").code == 0
    (place / "tsa-roots.pem").unlink()
    assert cli("verify").code == 2


def test_exit_codes(place: Path, cli: Cli, chain: Chain, tmp_path: Path) -> None:
    """An authority that does not answer is 3, one whose token does not hold is 1."""
    with serve(lambda handler, _: send(handler, b"", 503)) as (url, _):
        settle(place, chain, url)
        said = cli("timestamp", "--json")
    assert (said.code, said.json["error"]["code"]) == (3, "timestamp.unreachable")
    with serve(OpenSsl(tmp_path / "tsa", Chain.new()).answer) as (url, _):
        said = cli("timestamp", "--tsa", url, "--json")
    assert (said.code, said.json["error"]["code"]) == (1, "timestamp.untrusted")
    assert outcome(cli) == ("not-checked", 0)


def test_in_a_process_of_its_own(place: Path, chain: Chain, tmp_path: Path) -> None:
    """What this test imported is of no help: the command alone takes a stamp, and verifies it."""
    with serve(OpenSsl(tmp_path / "tsa", chain).answer) as (url, _):
        settle(place, chain, url)
        made = fresh(place, "timestamp", "--json")
    assert (made.code, made.json["data"]["new"]) == (0, True)
    said = fresh(place, "verify", "--json")
    checks = {item["name"]: item for item in said.json["data"]["checks"]}
    assert (said.code, checks["timestamps"]["outcome"]) == (0, "held")
