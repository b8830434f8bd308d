"""The README's walk through a workspace, typed into a shell as it stands."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from .conftest import isolated
from .test_documents import ROOT, shown

EVAL = ROOT / "tests/evidence/collectors/data/inspect_ai/policy-qa.json"
RISK = """\
method: Workshop
scope: Consumer loans
assessors: [Rita Risk]
risks:
  - name: Young applicants declined too often
    likelihood: medium
    impact: high
    treatment: reduce
    measures: [{description: Ask for more, owner: Product Owner}]
    owner: Product Owner
    residual: low
    accepted: true
    acceptedBy: Head of credit
    acceptedOn: 2026-01-15
conclusion: accepted
reviewBy: 2030-01-01
"""
EDITOR = f"""\
#!{sys.executable}
import pathlib, sys
file = pathlib.Path(sys.argv[1])
text = file.read_text()
is_filled = text.startswith("method:")
file.write_text(text.replace("Ask for more", "Ask for much more") if is_filled else {RISK!r})
"""


def walk() -> list[str]:
    """The command lines under "Use it"."""
    text = (ROOT / "README.md").read_text("utf-8")
    part = text.partition("\n## Use it\n")[2].partition("\n## ")[0]
    return [line for line, _ in shown(part)]


def prepare(home: Path) -> dict[str, str]:
    """A repository with a remote and the files that the README names; gives the environment."""
    bin_, work = home / "bin", home / "work"
    for folder in (bin_, work / "logs", work / "data"):
        folder.mkdir(parents=True)
    program = bin_ / "muniment"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m muniment "$@"\n')
    editor = bin_ / "editor"
    editor.write_text(EDITOR)
    for file in (program, editor):
        file.chmod(0o755)
    shutil.copy(EVAL, work / "logs/eval.json")
    (work / "model.onnx").write_text("weights")
    (work / "data/heldout.csv").write_text("a,b\n1,2\n")
    environment = {
        **isolated(home),
        "PATH": f"{bin_}{os.pathsep}{os.environ['PATH']}",
        "EDITOR": str(editor),
    }
    del environment["MUNIMENT_CONFIG"]
    environment.pop("XDG_CONFIG_HOME", None)
    git = "git init -q && git config user.name Root && git config user.email root@example.com"
    remote = "git init -q --bare ../remote && git remote add origin ../remote"
    first = "git add -A && git commit -qm Files"
    subprocess.run(
        ["sh", "-ec", f"{git} && {remote} && {first}"], cwd=work, env=environment, check=True
    )
    return environment


def test_the_walk_through_a_workspace(tmp_path: Path) -> None:
    """Every command under "Use it" does what it should, typed in the order it stands in; the gate
    alone says no, for much is missing."""
    environment = prepare(tmp_path)
    lines = walk()
    assert len(lines) > 25
    for line in lines:
        done = subprocess.run(
            ["sh", "-c", line],
            cwd=tmp_path / "work",
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        expected = 1 if line.startswith("muniment gate") else 0
        assert done.returncode == expected, f"{line}\n{done.stdout}\n{done.stderr}"
