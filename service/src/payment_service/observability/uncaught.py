"""Prints what nothing caught without the secrets in it: a traceback quotes the values that a call failed on.

One of the files that the service and the operator share: see `redaction.py`.
"""

from __future__ import annotations

import sys
import threading
import traceback
from typing import TYPE_CHECKING

from .printable import printable
from .redaction import redact

if TYPE_CHECKING:
    from types import TracebackType


def redact_uncaught() -> None:
    """Let Python print uncaught exceptions of this process, of its threads and of destructors redacted."""
    sys.excepthook = _print
    threading.excepthook = _print_of_thread
    sys.unraisablehook = _print_of_destructor


def _print(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    sys.stderr.write(printable(redact("".join(traceback.format_exception(kind, error, trace)))))


def _print_of_thread(told: threading.ExceptHookArgs) -> None:
    if told.exc_value is not None and not isinstance(told.exc_value, SystemExit):
        _print(told.exc_type, told.exc_value, told.exc_traceback)


def _print_of_destructor(told: sys.UnraisableHookArgs) -> None:
    if told.exc_value is not None:
        _print(told.exc_type, told.exc_value, told.exc_traceback)
