"""Start-up of the command line, against Python importing what it cannot do without."""

import itertools
import json
import subprocess
import sys
from pathlib import Path

from .ledgers import BODY, new_workspace
from .measure import Case

ROUNDS = 15
SIZE = 0
IMPORTS = "import typer, cryptography"
FLOOR = f"python -c '{IMPORTS}'"


def cases(size: int, folder: Path) -> list[Case]:
    """Each run is one process, on a ledger of ``size`` evaluations; the file is committed."""
    new_workspace(folder, size)
    (folder / "model.onnx").write_bytes(bytes(4096))
    (folder / "body.yaml").write_text(json.dumps(BODY))
    git = ["git", "-c", "user.name=Ana", "-c", "user.email=ana@example.com"]
    for arguments in (["init", "-q"], ["add", "."], ["commit", "-q", "-m", "Add the model"]):
        subprocess.run([*git, *arguments], cwd=folder, check=True)
    muniment = Path(sys.executable).with_name("muniment")
    numbers = itertools.count()

    def run(*command: str | Path) -> int:
        subprocess.run(command, cwd=folder, check=True, capture_output=True)
        return 1

    def attach() -> int:
        evidence = ("eval-result", "model.onnx", "--body", "body.yaml")
        return run(muniment, "attach", *evidence, "--set", f"runId=run {next(numbers)}")

    return [
        Case(FLOOR, lambda: run(sys.executable, "-c", IMPORTS)),
        Case("muniment --version", lambda: run(muniment, "--version"), (FLOOR,)),
        Case("muniment --help", lambda: run(muniment, "--help"), (FLOOR,), aim=1.5),
        Case("muniment attach", attach, (FLOOR,)),
    ]
