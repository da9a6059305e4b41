"""The pages about the kind and its command line tell the truth."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from payment_operator import names
from payment_operator.api.crd import openapi_schema
from payment_operator.plugin.arguments import parser
from payment_operator.plugin.cli import VERBS
from payment_operator.plugin.steps import STEPS

if TYPE_CHECKING:
    from types import ModuleType

ROOT = Path(__file__).parents[3]
SNAPSHOTS = ROOT / "tests/unit/operator/plugin/snapshots"
MANUAL = (ROOT / "docs/kubectl-payments.md").read_text()
RELEASE = (ROOT / "docs/what-happens-during-a-release.md").read_text()


def reference() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference", ROOT / "operator/packaging/reference.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_reference_is_the_one_that_the_kind_gives() -> None:
    module = reference()
    assert module.PAGE.read_text() == module.page(), "run: make operator-reference"


def test_every_field_is_on_the_page() -> None:
    page = reference().page()
    spec = openapi_schema()["properties"]["spec"]["properties"]
    assert all(f"| `{name}` |" in page for name in spec)


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_manual(verb: str) -> None:
    assert f"kubectl payments {verb}" in MANUAL


def test_the_manual_names_only_options_that_exist() -> None:
    (verbs,) = [action.choices for action in parser()._actions if action.dest == "verb"]
    assert verbs is not None
    for verb, rest in re.findall(r"kubectl payments ([a-z]+)([^`\n|]*)", MANUAL):
        known = verbs[verb]._option_string_actions  # type: ignore[index]
        assert [flag for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest) if flag not in known] == []


@pytest.mark.parametrize("screen", ["status-hold", "history", "plan"])
def test_the_screens_of_the_manual_are_the_real_ones(screen: str) -> None:
    assert (SNAPSHOTS / f"{screen}.txt").read_text() in MANUAL


def test_every_step_is_explained() -> None:
    assert all(f"**{step}**" in RELEASE for step in STEPS)


def test_the_plain_annotations_are_named_as_they_are() -> None:
    assert f"{names.GROUP}/promote=18" in MANUAL
