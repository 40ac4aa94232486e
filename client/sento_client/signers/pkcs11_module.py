"""One PKCS#11 module (a shared library) in this process, spoken to by one thread, with a time limit on every question.

A module is loaded once a process and its state is the process's: who is logged in, which tokens are plugged in. So there is one `Pkcs11Module` a path, and
one
daemon thread that makes all its calls, one after the other: the module may then rely on what C_Initialize without locks promises it, and nobody finalizes
it while
another is inside. Whoever asks waits at most `limit_s`. A call that does not come back cannot be stopped; until it does, every further question fails at
once.

Source: PKCS#11 v2.40, sections 5.4 (C_Initialize) and 6.6 (sessions and threads).
"""

from __future__ import annotations

import functools
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeout
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from sento_client.setup_errors import Setup, SetupError

if TYPE_CHECKING:
    from pkcs11._pkcs11 import lib as Library  # noqa: N812  the binding's class has a small name

T = TypeVar("T")
ANSWER_LIMIT_S = 20.0
"""A smart card signs in about a second; one that asks its holder to touch it waits some fifteen."""
_EXTRA = "python-pkcs11 is not installed here; install the extra: pip install 'sento[token]'"


class OneThread:
    """Runs what it is given on a single daemon thread, in order, and waits for each answer up to a limit."""

    def __init__(self, name: str, limit_s: float = ANSWER_LIMIT_S) -> None:
        self._name = name
        self._limit_s = limit_s
        self._steps: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._is_stuck: Callable[[], bool] = lambda: False
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    def run(self, work: Callable[[], T]) -> T:
        """What `work` returns or raises. Raises SetupError TOKEN_SILENT when that takes too long, and at once while an earlier call is still out."""
        answer: Future[T] = Future()
        with self._lock:
            if self._is_stuck():
                raise SetupError(Setup.TOKEN_SILENT, f"{self._name}: an earlier call has not come back")
            if self._thread is None:
                self._thread = threading.Thread(target=self._loop, name="sento-pkcs11", daemon=True)
                self._thread.start()
            self._steps.put(lambda: _answer(answer, work))
        try:
            return answer.result(self._limit_s)
        except FutureTimeout:
            if answer.done():
                return answer.result()
        if not answer.cancel():
            with self._lock:
                self._is_stuck = lambda: not answer.done()
        raise SetupError(Setup.TOKEN_SILENT, f"{self._name}: no answer in {self._limit_s:g} s")

    def _loop(self) -> None:
        while True:
            self._steps.get()()


def _answer(answer: Future[T], work: Callable[[], T]) -> None:
    if not answer.set_running_or_notify_cancel():
        return
    try:
        result = work()
    except BaseException as error:  # noqa: BLE001  it is raised where the answer is waited for
        answer.set_exception(error)
    else:
        answer.set_result(result)


class Pkcs11Module:
    """A loaded module. `run` is called from any thread, the rest from within what it runs."""

    def __init__(self, path: Path, limit_s: float = ANSWER_LIMIT_S) -> None:
        self._path = path
        self._thread = OneThread(str(path), limit_s)
        self._library: Library | None = None
        self.generation = 0
        """Raised when sessions of before are void."""

    @property
    def path(self) -> Path:
        """Where the shared library is."""
        return self._path

    def run(self, work: Callable[[], T]) -> T:
        """`work` on the module's thread. Raises what it raises, and SetupError TOKEN_SILENT."""
        return self._thread.run(work)

    def library(self) -> Library:
        """The module, loaded and initialized. Raises SetupError TOKEN_MODULE_MISSING; PKCS11Error when it does not start."""
        if self._library is None:
            self._library = self._load()
        self._library.initialize()
        return self._library

    def restart(self) -> None:
        """Finalize and initialize again: many modules look for tokens only then. All sessions of this process are void afterwards. Raises PKCS11Error."""
        self.generation += 1
        if self._library is not None:
            self._library.reinitialize()

    def stop(self) -> None:
        """Log out everywhere and forget all tokens; the next question starts the module again."""
        self.generation += 1
        if self._library is not None:
            self._library.finalize()

    def _load(self) -> Library:
        check_binding()
        import pkcs11

        if not self._path.is_file():
            raise SetupError(Setup.TOKEN_MODULE_MISSING, f"{self._path}: no such file")
        try:
            return pkcs11.lib(str(self._path))
        except pkcs11.PKCS11Error as error:
            # A module that was loaded and does not start says so with a code of its own class; one that is no module with the base class.
            if type(error) is not pkcs11.PKCS11Error:
                raise
            raise SetupError(
                Setup.TOKEN_MODULE_MISSING, f"{self._path}: it is not a PKCS#11 module for this computer"
            ) from None


def check_binding() -> None:
    """Raises SetupError TOKEN_MODULE_MISSING where python-pkcs11 is not installed: most institutions have no token and do without it."""
    try:
        import pkcs11  # noqa: F401  whether it is there
    except ImportError:
        raise SetupError(Setup.TOKEN_MODULE_MISSING, _EXTRA) from None


@functools.cache
def module_at(path: Path) -> Pkcs11Module:
    """This process's one `Pkcs11Module` for the resolved path."""
    return Pkcs11Module(path)
