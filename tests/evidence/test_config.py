"""``muniment.yaml``."""

from __future__ import annotations

from pathlib import Path

import pytest

from muniment.evidence.config import Config
from muniment.schemas.errors import InputError

ROOT = "SHA256:" + "a" * 43
CONFIG = Config("Example – Ltd", "evidence.example.com", ROOT, ("nist-ai-rmf-1.0", "iso-42001"))
TEXT = CONFIG.to_yaml()


def load(tmp_path: Path, text: str) -> Config:
    path = tmp_path / "muniment.yaml"
    path.write_text(text, encoding="utf-8")
    return Config.load(path)


def test_what_is_written_reads(tmp_path: Path) -> None:
    """A written file reads to the same settings, its first lines saying why to keep it in git."""
    assert load(tmp_path, TEXT) == CONFIG
    assert TEXT.startswith("#") and "git" in TEXT.splitlines()[0]


def test_defaults(tmp_path: Path) -> None:
    """Where ledger, artifacts and kinds are is a default that may be left out."""
    short = "\n".join(
        line for line in TEXT.splitlines() if not line.startswith(("ledger", "artifacts", "kinds"))
    )
    assert load(tmp_path, short) == CONFIG


BAD: dict[str, tuple[str, str, str]] = {
    "empty": (TEXT, "", "config.malformed"),
    "no version": ("version: 1\n", "", "config.malformed"),
    "other version": ("version: 1", "version: 2", "config.malformed"),
    "no root": (f"root: {ROOT}\n", "", "config.malformed"),
    "root no fingerprint": (ROOT, "SHA256:abc", "config.malformed"),
    "root a number": (ROOT, "5", "config.malformed"),
    "no origin": ("origin: evidence.example.com\n", "", "config.malformed"),
    "origin no name": ("evidence.example.com", "http://x y", "origin.malformed"),
    "origin a list": ("evidence.example.com", "[a]", "config.malformed"),
    "no organisation": ("organisation: Example – Ltd\n", "", "config.malformed"),
    "unknown setting": ("kinds:", "colour: red\nkinds:", "config.malformed"),
    "ledger a list": (
        "ledger: sqlite:///.muniment/ledger.db",
        "ledger: [a]",
        "config.malformed",
    ),
    "frameworks empty": ("- nist-ai-rmf-1.0\n- iso-42001", "  []", "config.malformed"),
    "frameworks numbers": ("- nist-ai-rmf-1.0", "- 5", "config.malformed"),
    "twice": ("version: 1", "version: 1\nversion: 1", "yaml.malformed"),
    "tag": ("version: 1", "version: !!python/name:os.system", "yaml.malformed"),
    "a list": (TEXT, "- a", "yaml.malformed"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_settings(tmp_path: Path, name: str) -> None:
    """Each fault is refused and names the setting."""
    old, new, code = BAD[name]
    assert old in TEXT
    with pytest.raises(InputError) as caught:
        load(tmp_path, TEXT.replace(old, new))
    assert caught.value.code == code
