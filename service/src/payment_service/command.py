"""The program `payments`. `drain` starts alone, in a pod that is stopping; everything else is the command line's."""

from __future__ import annotations

import sys


def main() -> None:
    """Run what was asked for and exit with its code."""
    if sys.argv[1:] == ["drain"]:
        from payment_service.draining import main as drain  # noqa: PLC0415 - and nothing else

        sys.exit(drain())
    from payment_service.observability.uncaught import redact_uncaught  # noqa: PLC0415 - as above

    redact_uncaught()
    from payment_service.cli import main as command_line  # noqa: PLC0415 - loads the libraries of commands

    command_line()
