"""Private keys on disk."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, x25519
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from muniment.evidence.keyfiles import KeyFiles, config_folder
from muniment.evidence.keys import SigningKey, new_ed25519, new_p256
from muniment.evidence.note import ED25519, VerifierKey
from muniment.schemas.errors import InputError


@pytest.fixture(autouse=True)
def no_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MUNIMENT_PASSPHRASE", raising=False)


@pytest.fixture
def files(tmp_path: Path) -> KeyFiles:
    """Key files of a user whom nobody asks."""
    return KeyFiles(tmp_path / "config", lambda name: None)


def code_of(action: Callable[[], object]) -> str:
    with pytest.raises(InputError) as caught:
        action()
    return caught.value.code


def save(files: KeyFiles, name: str = "ada", passphrase: str | None = None) -> SigningKey:
    key = new_p256()
    files.save(files.path(name), key, passphrase)
    return key


def test_a_key_file_is_for_its_owner_only(files: KeyFiles) -> None:
    """The private file has mode 0600 in a folder of mode 0700; the public half lies beside it."""
    key = save(files)
    path = files.path("ada")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.parent.stat().st_mode) & 0o077 == 0
    assert files.load(path).public == files.public("ada") == key.public
    assert files.names() == ["ada"]
    assert files.exists("ada") and not files.exists("bea")
    assert "PRIVATE" not in path.with_suffix(".pub").read_text()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644, 0o777])
def test_a_key_others_can_read_is_refused(files: KeyFiles, mode: int) -> None:
    """A private key that others can reach is not used."""
    save(files)
    files.path("ada").chmod(mode)
    assert code_of(lambda: files.load(files.path("ada"))) == "key.permissions"


def test_a_key_is_never_overwritten(files: KeyFiles) -> None:
    """Saving under a name that is taken leaves the old key as it is."""
    key = save(files)
    assert code_of(lambda: save(files)) == "key.exists"
    assert files.load(files.path("ada")).public == key.public == files.public("ada")


def test_encrypted_keys(tmp_path: Path, files: KeyFiles, monkeypatch: pytest.MonkeyPatch) -> None:
    """A passphrase opens the key, from the environment or asked for; a wrong one, or none, not."""
    key = save(files, passphrase="correct horse")
    path = files.path("ada")
    assert b"ENCRYPTED" in path.read_bytes()
    assert code_of(lambda: files.load(path)) == "key.passphrase"
    asked: list[str] = []

    def ask(name: str) -> str:
        asked.append(name)
        return "correct horse"

    assert KeyFiles(tmp_path / "config", ask).load(path).public == key.public
    assert asked == ["ada"]
    for wrong in ("wrong", "\udcff", "x" * 5000):
        asking = KeyFiles(tmp_path / "config", lambda name, wrong=wrong: wrong)  # type: ignore[misc]
        assert code_of(lambda asking=asking: asking.load(path)) == "key.passphrase"  # type: ignore[misc]
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "correct horse")
    assert files.load(path).public == key.public
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "wrong")
    assert code_of(lambda: files.load(path)) == "key.passphrase"
    assert files.public("ada") == key.public


def test_a_passphrase_that_cannot_be_used(files: KeyFiles) -> None:
    """A passphrase the key format does not take is refused before a file is made."""
    for passphrase in ("x" * 5000, "\udcff"):
        assert code_of(lambda: save(files, passphrase=passphrase)) == "key.passphrase"  # noqa: B023
    assert files.names() == []


def test_a_passphrase_in_the_environment_does_no_harm(
    files: KeyFiles, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key without passphrase opens though one is set."""
    key = save(files)
    monkeypatch.setenv("MUNIMENT_PASSPHRASE", "anything")
    assert files.load(files.path("ada")).public == key.public


def test_openssh_private_keys(files: KeyFiles) -> None:
    """A private key in OpenSSH's own format works as it is."""
    key = new_ed25519()
    path = files.path("ada")
    path.parent.mkdir(parents=True)
    pem = key.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, NoEncryption())
    path.write_bytes(pem)
    path.chmod(0o600)
    assert files.load(path).public == key.public


def test_encrypted_openssh_private_keys(files: KeyFiles, tmp_path: Path) -> None:
    """One that ssh-keygen encrypted asks for its passphrase, and a wrong one does not open it."""
    if keygen := shutil.which("ssh-keygen"):
        path = files.path("ada")
        path.parent.mkdir(parents=True)
        subprocess.run([keygen, "-q", "-t", "ed25519", "-N", "correct", "-f", path], check=True)
        public = path.with_name("ada.pem.pub").read_text().rpartition(" ")[0]
        path.with_suffix(".pub").write_text(public)
        assert code_of(lambda: files.load(path)) == "key.passphrase"
        wrong, right = (
            KeyFiles(tmp_path / "config", lambda name, said=said: said)  # type: ignore[misc]
            for said in ("wrong", "correct")
        )
        assert code_of(lambda: wrong.load(path)) == "key.passphrase"
        assert right.load(path).public == files.public("ada")


def private_pem(key: ec.EllipticCurvePrivateKey | x25519.X25519PrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


BAD_FILES = {
    "empty": (b"", "key.malformed"),
    "text": (b"hello", "key.malformed"),
    "public": (new_p256().public.pem().encode(), "key.malformed"),
    "cut": (private_pem(ec.generate_private_key(ec.SECP256R1()))[:80], "key.malformed"),
    "cut OpenSSH": (b"-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n", "key.malformed"),
    "P-384": (private_pem(ec.generate_private_key(ec.SECP384R1())), "key.wrong-type"),
    "X25519": (private_pem(x25519.X25519PrivateKey.generate()), "key.wrong-type"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_files_that_hold_no_key_of_ours(files: KeyFiles, name: str) -> None:
    """Anything but a private P-256 or Ed25519 key is refused with its code."""
    data, code = BAD_FILES[name]
    save(files, "other")
    path = files.path("ada")
    path.write_bytes(data)
    path.chmod(0o600)
    assert code_of(lambda: files.load(path)) == code


def test_missing_keys(files: KeyFiles) -> None:
    """A key that is not there is named, for its private and its public half."""
    assert code_of(lambda: files.load(files.path("ada"))) == "key.missing"
    assert code_of(lambda: files.public("ada")) == "key.missing"
    assert files.names() == []


@pytest.mark.parametrize(
    "name", ["", ".", "..", "../ada", "a/b", "a\\b", "a b", "a\nb", "-a", "x" * 65, "é", "a\0"]
)
def test_names_that_lead_elsewhere(files: KeyFiles, name: str) -> None:
    """A name is no path: it cannot leave the folder of keys."""
    assert code_of(lambda: files.path(name)) == "key.name"


def test_ledger_keys_have_names_of_their_own(files: KeyFiles) -> None:
    """Two ledgers of one name have different files, and a slash in a name makes no folder."""
    keys = [VerifierKey("a.example/b", ED25519, new_ed25519().public) for _ in range(2)]
    paths = [files.ledger_path(key) for key in keys]
    assert paths[0] != paths[1]
    assert paths[0].parent == paths[1].parent == files.path("x").parent.parent / "ledgers"


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    """Where the folder of keys cannot be made, saving says so."""
    (tmp_path / "config").write_text("in the way")
    files = KeyFiles(tmp_path / "config", lambda name: None)
    assert code_of(lambda: save(files)) == "key.unwritable"


def test_the_folder_can_be_chosen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """``MUNIMENT_CONFIG`` names the folder; else it is the platform's, in the user's home."""
    monkeypatch.setenv("MUNIMENT_CONFIG", str(tmp_path))
    assert config_folder() == tmp_path
    monkeypatch.delenv("MUNIMENT_CONFIG")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    if os.name == "posix":
        assert tmp_path in config_folder().parents


# Keys that lie elsewhere


def elsewhere(tmp_path: Path, key: SigningKey, passphrase: bytes | None = None) -> Path:
    """An OpenSSH private key file outside the configuration folder."""
    encryption = BestAvailableEncryption(passphrase) if passphrase else NoEncryption()
    path = tmp_path / "my keys" / "id_é"
    path.parent.mkdir()
    path.write_bytes(key.private.private_bytes(Encoding.PEM, PrivateFormat.OpenSSH, encryption))
    path.chmod(0o600)
    return path


@pytest.mark.parametrize("make", [new_ed25519, new_p256])
def test_a_key_file_elsewhere_is_referred_to(
    files: KeyFiles, tmp_path: Path, make: Callable[[], SigningKey]
) -> None:
    """A name can stand for an OpenSSH key elsewhere; nothing of the private half is copied."""
    key = make()
    path = elsewhere(tmp_path, key)
    assert files.refer("ada", path.as_uri()) == key.public
    opened = files.open("ada")
    assert opened.public == files.public("ada") == key.public
    key.public.verify(opened.sign(b"message"), b"message")
    assert (files.exists("ada"), files.names()) == (True, ["ada"])
    kept = b"".join(file.read_bytes() for file in (tmp_path / "config").rglob("*.*"))
    assert b"PRIVATE" not in kept
    assert stat.S_IMODE(files.path("ada").with_suffix(".uri").stat().st_mode) == 0o600


def test_a_passphrase_is_asked_for_each_time(tmp_path: Path) -> None:
    """An encrypted OpenSSH key is opened when it is taken in and when it signs."""
    key, asked = new_ed25519(), []

    def ask(name: str) -> str:
        asked.append(name)
        return "correct horse"

    files = KeyFiles(tmp_path / "config", ask)
    files.refer("ada", elsewhere(tmp_path, key, b"correct horse").as_uri())
    assert files.open("ada").public == key.public
    assert asked == ["id_é", "id_é"]


def test_a_key_elsewhere_that_changed_is_refused(files: KeyFiles, tmp_path: Path) -> None:
    """A file that holds another key by now, or is gone, or open to others, does not sign."""
    path = elsewhere(tmp_path, new_ed25519())
    files.refer("ada", path.as_uri())
    path.chmod(0o644)
    assert code_of(lambda: files.open("ada")) == "key.permissions"
    path.write_bytes(private_pem(ec.generate_private_key(ec.SECP256R1())))
    path.chmod(0o600)
    assert code_of(lambda: files.open("ada")) == "key.differs"
    path.unlink()
    assert code_of(lambda: files.open("ada")) == "key.missing"


def test_a_name_stands_for_one_key(files: KeyFiles, tmp_path: Path) -> None:
    """Neither a reference nor a new key takes a name that is in use."""
    path = elsewhere(tmp_path, new_ed25519())
    save(files)
    assert code_of(lambda: files.refer("ada", path.as_uri())) == "key.exists"
    files.refer("bea", path.as_uri())
    assert code_of(lambda: files.refer("bea", path.as_uri())) == "key.exists"
    assert code_of(lambda: save(files, "bea")) == "key.exists"
    assert files.names() == ["ada", "bea"]


@pytest.mark.parametrize("uri", ["file:///nowhere", "hsm:1\n", "hsm:\udcff", "é:1", "x" * 5000])
def test_references_that_lead_nowhere(files: KeyFiles, uri: str) -> None:
    """What names no key is refused, and no file is made."""
    assert code_of(lambda: files.refer("ada", uri)) in ("key.uri", "key.missing")
    assert files.names() == []
