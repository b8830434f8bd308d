"""Feeds a witness with the client of ``aics-witness``; runs in a virtual environment of its own.

Standard input is one JSON object; standard output the lines and refusals, one for each step.
"""

import json
import sys
from typing import Any

from aics_witness.feeder import (  # type: ignore[import-not-found]
    FeederError,
    WitnessClient,
    WitnessRejected,
)


def main() -> None:
    question: dict[str, Any] = json.load(sys.stdin)
    client = WitnessClient(question["url"], question["vkey"], max_attempts=1)
    answers: list[str] = []
    for step in question["steps"]:
        proofs = {
            tuple(map(int, sizes.split())): [bytes.fromhex(item) for item in hashes]
            for sizes, hashes in step["proofs"].items()
        }
        try:
            answers.append(
                client.submit(
                    step["checkpoint"],
                    lambda old, new, known=proofs: known.get((old, new), []),
                    old_size=step["old"],
                )
            )
        except WitnessRejected as error:
            answers.append(f"refused {error.status}")
        except FeederError as error:
            answers.append(type(error).__name__)
    json.dump(answers, sys.stdout)


if __name__ == "__main__":
    main()
