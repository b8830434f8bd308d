"""Whether the samples in a packet are those that the rule draws from the packet's own records."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from muniment.controls.index import SAMPLE_TEST
from muniment.controls.sample import By, Sample, Seed, differences, draw
from muniment.evidence.checkpoint import SignedCheckpoint
from muniment.schemas.errors import InputError
from muniment.schemas.finding import Check, Finding
from muniment.schemas.record import Record
from muniment.schemas.statement import SystemRef

from .sampleview import Drawing, drawn

CLAIM = "the auditor's samples are those that the rule draws"


def check_samples(
    printed: Mapping[str, Any] | None,
    records: Sequence[Record],
    system: SystemRef,
    roots: Mapping[int, str],
) -> Check | None:
    """Draw every sample in a packet again.

    Args:
        printed: the sample that the pages show, as it is embedded; None if they show none.
        records: those of the packet that hold.
        roots: root hash in hexadecimal by size, of the checkpoints that are proven.

    Returns:
        The check; None where there is no sample.
    """
    check = Check("sample", CLAIM)
    if printed is not None:
        if printed["system"] != system.to_json():
            text = "the sample is of another system version than the packet"
            check.findings.append(Finding("sample.other-system", text))
        _check(check, printed, records, system, roots, None)
    for record in records:
        if record.kind == SAMPLE_TEST and record.distrusted is None:
            _check(check, record.statement.body, records, system, roots, record.index)
            check.findings.extend(_own(record, records))
    return check if check.checked or check.findings or check.not_checked else None


def _own(test: Record, records: Sequence[Record]) -> Iterator[Finding]:
    """What an auditor tested of what they signed themselves."""
    signers = {record.sha256: record.signer.person for record in records}
    for item in test.statement.body["records"]:
        is_own = signers.get(item["sha256"]) == test.signer.person
        if is_own and item["outcome"] != "not-tested":
            text = f"{test} is by {test.signer.name}, who signed #{item['index']} themselves"
            yield Finding("sample.own", text, test.index)


def _check(
    check: Check,
    stated: Mapping[str, Any],
    records: Sequence[Record],
    system: SystemRef,
    roots: Mapping[int, str],
    place: int | None,
) -> None:
    size, root = stated["checkpoint"]["size"], stated["checkpoint"]["root"]
    check.checked += 1
    if roots.get(size) != root:
        text = "the checkpoint that seeds the sample is not one that this packet proves"
        known = roots.get(size, f"no checkpoint of size {size}")
        check.findings.append(Finding("sample.seed-differs", text, place, known, root))
        return
    try:
        sample = _drawn_again(stated, records, system)
    except InputError as error:
        check.findings.append(Finding.of(error, place))
        return
    found = [
        Finding("sample.differs", message, place, expected, other)
        for message, expected, other in differences(stated, sample)
    ]
    is_gone = any(stratum.name == "erased" for stratum in sample.strata)
    if found and sample.by is By.CONTROL and is_gone:
        check.checked -= 1
        check.not_checked.append(
            f"{'the sample' if place is None else f'#{place}'}: records that could be drawn were "
            "erased, and which controls they claimed is not known any more"
        )
        return
    check.findings += found


def printed_sample(
    stated: Mapping[str, Any],
    records: Sequence[Record],
    seeding: Mapping[int, SignedCheckpoint],
    size: int,
) -> Drawing:
    """The sample as the pages show it, drawn again.

    Args:
        stated: the sample as it is embedded, which ``check_samples`` found to be right.
        seeding: the checkpoints that are proven, by size.
        size: number of records under the packet's checkpoint.
    """
    signed = seeding[stated["checkpoint"]["size"]]
    system = SystemRef(stated["system"]["id"], stated["system"]["version"])
    return drawn(_drawn_again(stated, records, system), records, signed, size)


def _drawn_again(stated: Mapping[str, Any], records: Sequence[Record], system: SystemRef) -> Sample:
    """The sample that the rule draws from what was stated of it.

    Raises:
        InputError: what is stated is nothing to draw by.
    """
    checkpoint = stated["checkpoint"]
    seed = Seed(checkpoint["size"], checkpoint["root"], stated.get("salt", ""))
    return draw(records, system, seed, stated["n"], By(stated["by"]))
