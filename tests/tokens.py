"""A PKCS#11 token in software: SoftHSM, with one P-256 key."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

PIN = "4321"
URI = "hsm:1?label=evidence"
_LIBRARIES = (
    Path("/usr/lib/softhsm/libsofthsm2.so"),
    Path("/usr/lib64/pkcs11/libsofthsm2.so"),
    Path("/usr/local/lib/softhsm/libsofthsm2.so"),
)
_MAKE_KEY = f"""
import os, pkcs11
from pkcs11.util.ec import encode_named_curve_parameters
token = pkcs11.lib(os.environ["PYKCS11LIB"]).get_token(token_label="evidence")
with token.open(user_pin="{PIN}", rw=True) as session:
    curve = {{pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}}
    parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
    parameters.generate_keypair(store=True, id=bytes([1]), label="signing")
"""


def make_token(folder: Path) -> dict[str, str]:
    """Make a token with a key; returns the environment in which it is found.

    Skips the test where SoftHSM is not installed.
    """
    library = next((path for path in _LIBRARIES if path.exists()), None)
    tool = shutil.which("softhsm2-util")
    if library is None or tool is None:
        pytest.skip("SoftHSM is not installed (Debian: softhsm2)")
    (folder / "tokens").mkdir(parents=True)
    (folder / "softhsm2.conf").write_text(f"directories.tokendir = {folder}/tokens\n")
    found = {"SOFTHSM2_CONF": str(folder / "softhsm2.conf"), "PYKCS11LIB": str(library)}
    environment = os.environ | found
    init = ["--init-token", "--free", "--label", "evidence", "--so-pin", "1234", "--pin", PIN]
    subprocess.run([tool, *init], env=environment, check=True, capture_output=True)
    subprocess.run([sys.executable, "-c", _MAKE_KEY], env=environment, check=True)
    return found
