"""``muniment witness``: cosign other teams' ledgers."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer import Answer, command
from .options import AsJson, ask_passphrase

if TYPE_CHECKING:
    from muniment.evidence.note import VerifierKey

app = typer.Typer(help="Cosign other teams' ledgers.", no_args_is_help=True)


@app.callback()
def _witness() -> None:
    """Cosign other teams' ledgers."""


@app.command("serve")
@command
def serve(
    name: Annotated[
        str,
        typer.Option("--name", metavar="NAME", help="Name in cosignatures, host-like; for good."),
    ],
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Address to listen on.")
    ] = "127.0.0.1:7380",
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Cosign for the ledgers this file names."),
    ] = None,
    log: Annotated[
        list[str] | None,
        typer.Option("--log", metavar="VKEY", help="Cosign for this ledger; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> Answer:
    """Run a witness until it is interrupted.

    It cosigns a checkpoint only if that extends the last one it cosigned. Its key and its memory
    are in your configuration folder; MUNIMENT_PASSPHRASE encrypts a new key. Put it behind a
    server that speaks TLS.

    Example: muniment witness serve --name witness.example.com/one --policy logs.policy
    """
    import signal

    from muniment.evidence.keyfiles import KeyFiles, config_folder
    from muniment.evidence.policy import Policy
    from muniment.evidence.witness_server import WitnessServer, open_witness
    from muniment.schemas.files import read_small

    from . import show

    host, port = _address(listen)
    logs = [_verifier_key(text) for text in log or ()]
    if policy is not None:
        logs.extend(item.vkey for item in Policy.parse(read_small(policy, 1 << 20)).logs)
    opened, lock = open_witness(
        config_folder(),
        name,
        logs,
        KeyFiles(config_folder(), ask_passphrase),
        os.environ.get("MUNIMENT_PASSPHRASE"),
    )
    with lock, WitnessServer(opened, host, port, show.note) as server:
        data = {"name": opened.name, "vkey": str(opened.vkey), "url": server.url}
        show.note(f"witness {opened.name} {opened.vkey} {server.url}")
        show.note(f"cosigning for {', '.join(sorted({item.name for item in logs}))}")
        signal.signal(signal.SIGTERM, signal.default_int_handler)
        with suppress(KeyboardInterrupt):
            server.serve_forever()
    return Answer(data, lambda: show.line(f"witness {opened.name} stopped"))


def _verifier_key(text: str) -> "VerifierKey":
    from muniment.evidence.note import VerifierKey
    from muniment.schemas.errors import InputError, MunimentError

    try:
        return VerifierKey.parse(text)
    except (MunimentError, UnicodeError) as error:
        raise InputError(
            "witness.log",
            f"--log names no ledger: {error}",
            expected="the verifier key of a ledger, NAME+ID+KEY",
            found=text,
        ) from error


def _address(text: str) -> tuple[str, int]:
    from muniment.schemas.errors import InputError

    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise InputError(
            "witness.listen", f"{text!r} is no address", expected="HOST:PORT", found=text
        )
    return host.removeprefix("[").removesuffix("]"), int(port)
