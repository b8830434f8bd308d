"""The ``muniment`` command."""

from __future__ import annotations

import gc
import os
import sys
from io import TextIOWrapper
from typing import NoReturn

import typer
from typer.exceptions import Abort, TyperException

from muniment.schemas.errors import InputError, MunimentError, StoreError

from . import (
    anchor,
    attach,
    controls,
    coverage,
    demo,
    exceptions,
    exchange,
    gate,
    keys,
    kinds,
    maintain,
    profiles,
    records,
    review,
    setup,
    systems,
    timestamp,
    withdraw,
    witness,
)
from .answer import DEBUG_VARIABLE, StdoutError, fail, report, types_json

_INTERRUPTED = 130
app = typer.Typer(
    name="muniment",
    help="Signed, checkable evidence that an AI system was fit to launch.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _version(asked: bool) -> None:
    if asked:
        from muniment import __version__

        print(f"muniment {__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Signed, checkable evidence that an AI system was fit to launch."""


app.command("init")(setup.init)
app.command("demo")(demo.demo)
app.add_typer(systems.app, name="system")
app.add_typer(keys.app, name="key")
app.add_typer(kinds.app, name="kind")
app.add_typer(controls.app, name="controls")
app.add_typer(profiles.app, name="profile")
app.command("attach")(attach.attach)
app.command("approve")(attach.approve)
app.command("assign")(attach.assign)
app.command("supersede")(withdraw.supersede)
app.command("retract")(withdraw.retract)
app.command("erase")(withdraw.erase)
app.add_typer(records.app, name="record")
app.command("coverage")(coverage.coverage)
app.add_typer(gate.app, name="gate")
app.command("packet")(review.packet)
app.command("verify")(review.verify)
app.command("timestamp")(timestamp.timestamp)
app.add_typer(anchor.app, name="anchor")
app.add_typer(witness.app, name="witness")
app.command("migrate")(maintain.migrate)
app.command("fsck")(maintain.fsck)
app.command("backup")(maintain.backup)
app.add_typer(exchange.app, name="export")
app.command("import")(exchange.import_)
app.command("waive")(exceptions.waive)
app.command("applicability")(exceptions.applicability)
app.command("soa")(exceptions.soa)


def main() -> NoReturn:
    """Run the command line and leave with its exit code."""
    # NOTE: a command makes many objects and ends; looking for cycles as often as Python does by
    # default takes a quarter of the time of a large packet.
    gc.set_threshold(20_000, 50, 100)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # NOTE: a terminal that is not UTF-8 gets an escape code's text instead of a traceback.
            stream.reconfigure(errors="backslashreplace")
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str]) -> int:
    """Run one command line; returns the exit code."""
    try:
        code = _answered(arguments)
        sys.stdout.flush()
    except (StdoutError, OSError) as error:
        # NOTE: without this, Python would complain again when it flushes at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        cause = error.__cause__ if isinstance(error, StdoutError) else error
        if not isinstance(cause, BrokenPipeError):
            report(StoreError("output.failed", f"stdout cannot be written: {cause}"), False)
        return StoreError.exit_code
    return code


def _answered(arguments: list[str]) -> int:
    as_json = types_json(arguments)
    try:
        code = _guarded(arguments, as_json)
    except typer.Exit as leaving:
        code = leaving.exit_code
    except (Abort, KeyboardInterrupt):
        code = _INTERRUPTED
    if code == _INTERRUPTED:
        report(MunimentError("interrupted", "interrupted"), as_json)
    return code


def _guarded(arguments: list[str], as_json: bool) -> int:
    try:
        code = app(arguments, standalone_mode=False)
    except TyperException as error:
        message = error.format_message() or type(error).__name__
        if message.startswith("Usage:"):
            if not as_json:
                print(message, file=sys.stderr)
                return InputError.exit_code
            message = "a command is missing"
        hint = "muniment --help, or muniment COMMAND --help"
        message = message[0].lower() + message[1:].removesuffix(".")
        fail(InputError("usage", message, hint=hint), as_json)
    except (typer.Exit, Abort, StdoutError):
        raise
    except SystemExit:
        # NOTE: how Typer leaves when whoever reads its help has gone.
        raise StdoutError from BrokenPipeError()
    except Exception as error:
        fail(
            MunimentError(
                "internal",
                f"something unforeseen happened: {type(error).__name__}: {error}",
                hint=f"this is a fault in Muniment; {DEBUG_VARIABLE}=1 shows where",
            ),
            as_json,
        )
    return code if isinstance(code, int) else 0
