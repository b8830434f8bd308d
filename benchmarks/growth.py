"""How cost and memory grow with a ledger: from a thousand records tenfold up to a million."""

import itertools
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from .ledgers import BATCH, append, new_workspace, sign
from .measure import Case

ROUNDS = 1
SIZE = 1_000_000
_FIRST = 1000
_STEP = 10
_RECEIPTS = 50
_PEAK = """
import resource, sys
from pathlib import Path
from muniment import Workspace
assert Workspace(Path(sys.argv[1])).verify().ok
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


def cases(size: int, folder: Path) -> list[Case]:
    """Every size is compared with a tenth of it; a piece is one record, or one receipt."""
    found: list[Case] = []
    number = _FIRST
    while number == _FIRST or number <= size:
        for name, run in _work(number, folder / str(number)).items():
            smaller = f"{name}, {number // _STEP:,}"
            floors = (smaller,) if any(case.name == smaller for case in found) else ()
            found.append(Case(f"{name}, {number:,}", run, floors, size=number))
        number *= _STEP
    return found


def _work(size: int, folder: Path) -> dict[str, Callable[[], int]]:
    workspace = new_workspace(folder, size)
    numbers, places = itertools.count(size), itertools.cycle(range(1, size, 37))

    def append_more() -> int:
        append(workspace, sign(workspace, itertools.islice(numbers, BATCH)))
        return BATCH

    def verify() -> int:
        assert workspace.verify().ok
        return size

    def incremental() -> int:
        assert workspace.verify(incremental=True).extent == "incremental"
        return size

    def receipts() -> int:
        for _ in range(_RECEIPTS):
            list(workspace.ledger.receipts([next(places)], workspace.ledger.checkpoint()))
        return _RECEIPTS

    def peak() -> int:
        command = [sys.executable, "-c", _PEAK, str(folder)]
        megabytes = subprocess.run(command, check=True, capture_output=True, text=True).stdout
        print(f"verify, {size:,}: {int(megabytes)} MB at most", file=sys.stderr)
        return size

    workspace.verify(incremental=True)
    return {
        "append a thousand": append_more,
        "verify": verify,
        "verify incrementally": incremental,
        "receipt": receipts,
        "verify from the shell": peak,
    }
