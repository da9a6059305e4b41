"""The pages about the kind and its command line tell the truth."""

from __future__ import annotations

import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from payment_operator.api import crd, request
from payment_operator.api.request import read_spec
from payment_operator.plugin.arguments import parser
from payment_operator.plugin.cli import VERBS
from payment_operator.plugin.progress import STEPS

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
    for name, text in module.pages().items():
        assert (module.FOLDER / name).read_text() == text, "run: make operator-reference"


def test_every_field_is_on_its_page() -> None:
    pages = reference().pages()
    for name, kind in (("paymentenvironment.md", crd), ("environmentrequest.md", request)):
        spec = kind.openapi_schema()["properties"]["spec"]["properties"]
        assert [field for field in spec if f"| `{field}` |" not in pages[name]] == [], name


def test_every_verb_is_in_the_manual() -> None:
    assert [verb for verb in VERBS if f"kubectl payments {verb}" not in MANUAL] == []


def test_the_manual_names_only_options_that_exist() -> None:
    (verbs,) = [action.choices for action in parser()._actions if action.dest == "verb"]
    assert verbs is not None
    for verb, rest in re.findall(r"kubectl payments ([a-z]+)([^`\n|]*)", MANUAL):
        known = verbs[verb]._option_string_actions  # type: ignore[index]
        assert [flag for flag in re.findall(r"(?<![\w-])--?[a-z][a-z-]*", rest) if flag not in known] == []


def test_the_screens_of_the_manual_are_the_real_ones() -> None:
    shown = ("status-hold", "history", "plan")
    assert [screen for screen in shown if (SNAPSHOTS / f"{screen}.txt").read_text() not in MANUAL] == []


def test_every_step_is_explained() -> None:
    assert all(f"**{step}**" in RELEASE for step in STEPS)


def test_the_requests_of_the_pages_are_taken() -> None:
    for page in ("kubectl-payments.md", "releases.md", "rotation.md"):
        text = (ROOT / "docs" / page).read_text()
        found = [yaml.safe_load(block) for block in re.findall(r"<<'END'\n(.*?)\nEND", text, re.DOTALL)]
        assert found, page
        assert {item["kind"] for item in found} == {"EnvironmentRequest"}, page
        assert {read_spec(item["spec"]).environment for item in found} == {"shop"}, page
