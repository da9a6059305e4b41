"""Build the images, bring them to the running cluster and print their names."""

from __future__ import annotations

import subprocess
import sys

from tests.cluster.images.store import ensure


def main() -> int:
    """Do it for the short names given, or for all; 1 with a sentence when it cannot be done."""
    try:
        for short, name in ensure(sys.argv[1:] or None).items():
            sys.stdout.write(f"{short:12} {name}\n")
    except KeyError as error:
        sys.stderr.write(f"no such image: {error}\n")
        return 1
    except RuntimeError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except subprocess.CalledProcessError as error:
        sys.stderr.write(f"{error}\n{error.stderr or ''}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
