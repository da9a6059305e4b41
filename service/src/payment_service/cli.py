"""The `payments` command."""

from importlib.metadata import version


def main() -> None:
    """Print the installed version."""
    print(f"payments {version('payment-service')}")  # noqa: T201 - the command's answer
