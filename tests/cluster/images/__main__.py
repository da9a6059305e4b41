"""Build the images, bring them to the running cluster and print their names; with --as only build one."""

from __future__ import annotations

import argparse
import subprocess
import sys

from tests.cluster.images import store


def main() -> int:
    """Do it for the short names given, or for all; 1 with a sentence when it cannot be done."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.images", description=__doc__)
    parser.add_argument("images", nargs="*", help="short names as in recipes.py; all by default")
    parser.add_argument("--as", dest="name", help="the name of the one image, with its tag, in the builder's store")
    arguments = parser.parse_args()
    if arguments.name and len(arguments.images) != 1:
        parser.error("--as names one image: give its short name")
    try:
        if arguments.name:
            store.build_as(arguments.images[0], name=arguments.name)
            return 0
        for short, name in store.ensure(arguments.images or None).items():
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
