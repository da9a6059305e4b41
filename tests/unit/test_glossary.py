"""One word for one thing: no public name uses a word that the glossary gives up for another."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from payment_operator import metrics as operator_metrics
from payment_operator.plugin.arguments import parser
from payment_service.cli import main
from payment_service.observability import metrics

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
GLOSSARY = (ROOT / "docs" / "glossary.md").read_text()
SOURCES = ("service/src", "operator/src", "simulator/src")
FIELD_WORDS = {
    "cycle": "Stripe's billing cycle, in the simulator",
    "caller_settings": "limits of whoever calls, known or not",
}
EMPTY_VERBS = {"ask", "tell", "told", "do", "say", "mark"}
OLD_FASHIONED = re.compile(r"\bin\s+vain\b|[,;]\s+be\s+it\b|\bis\s+as\s+good\b(?!\s+as)|\b(?:whence|thereof|lest)\b")
ENTRY = re.compile(r"^\| (?P<words>[^|]+) \| [^|]+ \| (?P<given_up>[^|]+) \|$", re.MULTILINE)


def words(name: str) -> tuple[str, ...]:
    """Return the words of a name in any of its spellings."""
    spaced = name if name.isupper() else re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return tuple(re.findall(r"[a-z0-9]+", spaced.lower()))


def given_up() -> dict[tuple[str, ...], str]:
    """Return each synonym, in words, with the word that stands for it."""
    return {
        words(synonym): entry["words"].strip()
        for entry in ENTRY.finditer(GLOSSARY)
        if entry["words"].strip() not in {"word", "---"}
        for synonym in entry["given_up"].split(",")
    }


def properties(schema: Any) -> Iterator[str]:
    if isinstance(schema, dict):
        found = schema.get("properties")
        yield from found if isinstance(found, dict) else ()
    inner = schema.values() if isinstance(schema, dict) else schema if isinstance(schema, list) else ()
    for each in inner:
        yield from properties(each)


def verbs() -> Iterator[str]:
    for action in parser()._actions:
        yield from action.choices if isinstance(action.choices, dict) else ()


def public_names() -> set[str]:
    document = json.loads((ROOT / "docs" / "openapi.json").read_text())
    crds = [yaml.safe_load(path.read_text()) for path in (ROOT / "chart" / "crds").glob("*.yaml")]
    return {
        *properties(document),
        *(segment for path in document["paths"] for segment in path.split("/") if "{" not in segment),
        *properties(crds),
        *re.findall(r"^#? ?([A-Z][A-Z_]+)=", (ROOT / ".env.example").read_text(), re.MULTILINE),
        *(family.name for side in (metrics, operator_metrics) for family in side.REGISTRY.collect()),
        *main.commands,
        *verbs(),
    }


def module_names() -> set[str]:
    """Return the names of modules and packages."""
    paths = [path for source in SOURCES for path in (ROOT / source).rglob("*.py") if "versions" not in path.parts]
    return {path.stem for path in paths} | {path.parent.name for path in paths}


def offenders(names: set[str]) -> set[str]:
    """Return the names that use a word that was given up, with the one to say."""
    synonyms = given_up()
    assert len(synonyms) > 80
    return {
        f"{name}: say {word}"
        for name in names
        for synonym, word in synonyms.items()
        if any(words(name)[at : at + len(synonym)] == synonym for at in range(len(words(name))))
    }


def test_no_public_name_uses_a_word_that_was_given_up() -> None:
    names = public_names()
    assert len(names) > 300
    assert offenders(names) == set()


def test_no_module_is_named_by_a_word_that_was_given_up() -> None:
    names = module_names()
    assert len(names) > 200
    assert offenders(names - FIELD_WORDS.keys()) == set()


def test_no_function_is_named_by_a_verb_that_says_nothing() -> None:
    """`ask`, `tell` and their like do not say what is asked of whom: look up, retrieve, record, publish do."""
    paths = [path for source in SOURCES for path in (ROOT / source).rglob("*.py")]
    functions = [(path, name) for path in paths for name in re.findall(r"\bdef (\w+)\(", path.read_text())]
    assert len(functions) > 2500
    assert {f"{path.name}: {name}" for path, name in functions if words(name)[0] in EMPTY_VERBS} == set()


def test_each_word_is_explained_once() -> None:
    explained = [
        word.strip(" `")
        for entry in ENTRY.finditer(GLOSSARY)
        if entry["words"].strip() != "---"
        for word in entry["words"].split(",")
        if word.strip() != "word"
    ]
    assert len(explained) == len(set(explained))


def test_nothing_is_said_in_words_that_a_learner_must_look_up() -> None:
    folders = (*SOURCES, "docs", "chart/templates")
    paths = [
        path for folder in folders for path in (ROOT / folder).rglob("*") if path.suffix in {".py", ".md", ".yaml"}
    ]
    assert len(paths) > 400
    found = {
        f"{path.relative_to(ROOT)}: {phrase[0]}"
        for path in paths
        for phrase in OLD_FASHIONED.finditer(path.read_text())
    }
    assert found == set()
