"""Loads the settings for a command, or tells every problem and ends it."""

from __future__ import annotations

import sys

import click

from payment_service.errors import SettingsError
from payment_service.platform.logging import configure_logging
from payment_service.settings import Settings

SETTINGS_REFUSED = 2


def load_settings() -> Settings:
    """Return the settings with logging set up; exits with 2 when they are refused."""
    try:
        settings = Settings.from_env()
    except SettingsError as error:
        for problem in error.problems:
            click.echo(problem, err=True)
        click.echo(f"{len(error.problems)} problem(s) in the settings; nothing was started.", err=True)
        sys.exit(SETTINGS_REFUSED)
    configure_logging(settings)
    return settings
