"""Helper processes that check rows beside this one.

Each is a fresh interpreter fed through pipes: it holds no connection, no lock and no thread of this
process, opens no database, and reads no file but its own modules.
"""

from __future__ import annotations

import contextlib
import marshal
import subprocess
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import Any

from muniment.schemas.kinds import KindRegistry

from .pipes import receive, send, start
from .rowcheck import RowChecker, Verdict
from .soundrow import Sound, Task

_START = "from muniment.evidence.workers import serve; serve()"
_AHEAD = 2
"""Lists that wait at each helper, so that it is never without work."""
_THREADS = 2
_SOUND = len(Sound._fields)

_Answer = Future[list[Sound | Verdict] | None]
"""What a helper says; None if it is gone."""
Checked = tuple[Sequence[Task], Sequence[Sound | Verdict]]


def check_all(
    lists: Iterable[Sequence[Task]], kinds: KindRegistry, *, processes: int
) -> Generator[Checked]:
    """Check lists of rows and give each list with its verdicts, in order.

    This process does its share, and all of it where no other can be started.

    Args:
        processes: how many work at the same time, this one among them.
    """
    checker = RowChecker(kinds)
    helpers = _Helpers(kinds, processes - 1) if processes > 1 else None
    if helpers is None or not helpers.count:
        with ThreadPoolExecutor(_THREADS) as pool:
            for tasks in lists:
                yield tasks, checker.check(tasks, pool.map, _THREADS)
        return
    waiting: deque[tuple[Sequence[Task], _Answer | list[Sound | Verdict]]] = deque()
    with helpers:
        for tasks in lists:
            waiting.append((tasks, helpers.submit(tasks) or checker.check(tasks)))
            while waiting and _is_done(waiting[0][1]):
                yield _finished(*waiting.popleft(), checker)
        while waiting:
            yield _finished(*waiting.popleft(), checker)


def _is_done(answer: _Answer | list[Sound | Verdict]) -> bool:
    return isinstance(answer, list) or answer.done()


def _finished(
    tasks: Sequence[Task],
    answer: _Answer | list[Sound | Verdict],
    checker: RowChecker,
) -> Checked:
    verdicts = answer if isinstance(answer, list) else answer.result()
    # A helper that is gone has judged nothing: its rows are checked here.
    return tasks, checker.check(tasks) if verdicts is None else verdicts


class _Helpers:
    """Processes, and a thread for each that talks to it."""

    def __init__(self, kinds: KindRegistry, count: int) -> None:
        own = {kind.name: _dumped(kind.schema) for kind in kinds if not kind.built_in}
        self._all = list(_started(count))
        self._free: SimpleQueue[subprocess.Popen[bytes]] = SimpleQueue()
        self._open: set[Future[Any]] = set()
        for helper in self._all:
            self._free.put(helper)
        self._own = own
        self._pool = ThreadPoolExecutor(max(1, len(self._all)))
        self._greeted: set[int] = set()

    @property
    def count(self) -> int:
        """How many could be started."""
        return len(self._all)

    def submit(self, tasks: Sequence[Task]) -> _Answer | None:
        """Have rows checked; None if every helper has enough to do."""
        self._open = {future for future in self._open if not future.done()}
        if len(self._open) >= _AHEAD * len(self._all):
            return None
        data = marshal.dumps(list(tasks))
        future = self._pool.submit(self._ask, data)
        self._open.add(future)
        return future

    def _ask(self, data: bytes) -> list[Sound | Verdict] | None:
        helper = self._free.get()
        try:
            assert helper.stdin is not None and helper.stdout is not None
            if helper.pid not in self._greeted:
                self._greeted.add(helper.pid)
                send(helper.stdin, marshal.dumps(self._own))
            send(helper.stdin, data)
            answer = marshal.loads(receive(helper.stdout))
            return [(Sound if len(item) == _SOUND else Verdict)._make(item) for item in answer]
        except (OSError, ValueError, EOFError, TypeError):
            return None
        finally:
            self._free.put(helper)

    def __enter__(self) -> _Helpers:
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._all:
            helper.kill()
        self._pool.shutdown(cancel_futures=True)
        for helper in self._all:
            with contextlib.suppress(OSError):
                helper.communicate()


def _started(count: int) -> Iterator[subprocess.Popen[bytes]]:
    if not sys.executable or getattr(sys, "frozen", False):
        return
    for _ in range(count):
        try:
            yield start(_START)
        except OSError:
            return


def serve() -> None:
    """Answer lists of rows on standard input with their verdicts on standard output, to the end."""
    import gc

    stdin, stdout = sys.stdin.buffer, sys.stdout.buffer
    try:
        checker = RowChecker(KindRegistry(marshal.loads(receive(stdin))))
        gc.freeze()
        while True:
            tasks = marshal.loads(receive(stdin))
            send(stdout, marshal.dumps([tuple(verdict) for verdict in checker.check(tasks)]))
    except (EOFError, OSError, KeyboardInterrupt):
        return


def _dumped(schema: Any) -> bytes:
    import orjson

    return orjson.dumps(schema)
