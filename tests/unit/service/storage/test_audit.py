from __future__ import annotations

import os
from unittest.mock import patch

import pytest

from payment_service.storage.audit_log import cli_actor


@pytest.mark.parametrize("name", ["LOGNAME", "USER", "LNAME", "USERNAME"])
def test_a_person_at_a_terminal_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for other in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, "ada")
    assert cli_actor() == "cli:ada"


def test_a_user_without_a_name_is_named_by_number() -> None:
    with patch("getpass.getuser", side_effect=OSError("No username set in the environment")):
        assert cli_actor() == f"cli:{os.getuid()}"
