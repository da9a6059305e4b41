"""The `payment-operator` command."""

from importlib.metadata import version


def main() -> None:
    """Print the installed version."""
    print(f"payment-operator {version('payment-operator')}")  # noqa: T201 - the command's answer
