"""``python -m benchmarks [SUBJECT…]``: progress on stderr, a table or ``--json`` on stdout."""

import argparse
import importlib
import json
import os
import platform
import tempfile
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from types import ModuleType

from muniment.evidence.keyfiles import CONFIG_VARIABLE

from .measure import Measured, measure

SUBJECTS = ("startup", "verify", "packet", "append", "receipt", "growth", "coverage")
LIBRARIES = ("muniment", "cryptography", "sqlmodel", "typer", "weasyprint")


def main() -> None:
    """Measure what is asked for."""
    parser = argparse.ArgumentParser("python -m benchmarks", description=__doc__)
    parser.add_argument("subjects", nargs="*", metavar="SUBJECT", help=", ".join(SUBJECTS))
    parser.add_argument("--list", action="store_true", help="say what each subject measures")
    parser.add_argument("--size", type=int, help="number of records instead of the usual")
    parser.add_argument("--rounds", type=int, help="number of rounds instead of the usual")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    asked = parser.parse_args()
    if unknown := set(asked.subjects) - set(SUBJECTS):
        parser.error(f"unknown: {', '.join(unknown)}; choose from {', '.join(SUBJECTS)}")
    names = asked.subjects or SUBJECTS
    modules = {name: importlib.import_module(f".{name}", __package__) for name in names}
    if asked.list:
        print("\n".join(f"{name:8}  {module.__doc__}" for name, module in modules.items()))
        return
    results = {name: _run(name, modules[name], asked.size, asked.rounds) for name in names}
    if asked.json:
        document = {
            "schema_version": 1,
            "machine": {"processors": os.cpu_count(), "python": platform.python_version()},
            "versions": {name: version(name) for name in LIBRARIES},
            "results": {name: list(map(asdict, found)) for name, found in results.items()},
        }
        print(json.dumps(document, indent=2))
    else:
        for name, found in results.items():
            _print_table(name, found)


def _run(name: str, module: ModuleType, size: int | None, rounds: int | None) -> list[Measured]:
    with tempfile.TemporaryDirectory(prefix="muniment-benchmark-") as folder:
        os.environ[CONFIG_VARIABLE] = str(Path(folder, "keys"))
        cases = module.cases(size or module.SIZE, Path(folder, "workspace"))
        return measure(name, cases, rounds or module.ROUNDS)


def _print_table(name: str, found: list[Measured]) -> None:
    print(f"\n{name:42}{'ms':>12}{'per second':>14}")
    for item in found:
        print(f"  {item.case:40}{item.seconds * 1000:12,.1f}{item.per_second:14,.1f}")
        for number, (floor, ratio) in enumerate(item.ratios.items()):
            aim = f", aim {item.aim}" if item.aim and number == 0 else ""
            print(f"      {ratio:.2f} × {floor}{aim}")
        if item.growth is not None:
            print(f"      grows with exponent {item.growth}")


main()
