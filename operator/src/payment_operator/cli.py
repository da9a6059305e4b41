"""The `payment-operator` command."""

import argparse
from importlib.metadata import version

from payment_operator.api.crd import crd_yaml


def main() -> None:
    """Run one command of the operator."""
    parser = argparse.ArgumentParser(prog="payment-operator", description="Operator for payment environments.")
    parser.add_argument("--version", action="version", version=f"payment-operator {version('payment-operator')}")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("crd", help="print the CustomResourceDefinition")
    parser.parse_args()
    print(crd_yaml(), end="")  # noqa: T201 - the command's answer
