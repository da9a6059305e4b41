"""Durations, YAML, colours, the command line, completion."""

from __future__ import annotations

import io
import json
import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from payment_operator.api.crd import openapi_schema
from payment_operator.plugin import clock
from payment_operator.plugin.arguments import parser, seconds
from payment_operator.plugin.cli import VERBS, VERSION, run
from payment_operator.plugin.completion import SCRIPTS, complete
from payment_operator.plugin.errors import PluginError, WrongUsage
from payment_operator.plugin.output import Output
from payment_operator.plugin.plain_yaml import to_yaml
from payment_operator.plugin.progress import ROLLBACK, STEPS
from payment_operator.plugin.terminal import Style, style_of, table

if TYPE_CHECKING:
    from collections.abc import Iterable

ROOT = Path(__file__).parents[4]
TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | TEXT
    | st.sampled_from(["yes", "1e3", "- a", "a: b", "0x10", "~", "\u2028", "\x85", "\ufeff", "\uffff"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_what_is_written_as_yaml_is_read_as_the_same(value: Any) -> None:
    assert yaml.safe_load(to_yaml(value)) == value


@pytest.mark.parametrize(
    ("span", "text"),
    [(0, "0s"), (59, "59s"), (60, "1m"), (192, "3m12s"), (3600, "1h"), (7500, "2h5m"), (90000, "1d1h"), (None, "")],
)
def test_a_duration_is_short(span: int | None, text: str) -> None:
    assert clock.duration(span) == text


def test_an_unreadable_time_is_none() -> None:
    assert clock.parse("yesterday") is None
    assert clock.seconds_since(None, clock.now()) is None


class Terminal(io.StringIO):
    encoding = "UTF-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environ", "colour", "wanted"),
    [
        ({}, "auto", True),
        ({"NO_COLOR": "1"}, "auto", False),
        ({"TERM": "dumb"}, "auto", False),
        ({"NO_COLOR": "1"}, "always", True),
        ({}, "never", False),
    ],
)
def test_colour_is_for_terminals_that_want_it(environ: dict[str, str], *, colour: str, wanted: bool) -> None:
    assert style_of(Terminal(), environ=environ, colour=colour).colour is wanted


def test_a_pipe_gets_no_colour() -> None:
    assert style_of(io.StringIO(), environ={}).colour is False


def test_a_table_of_nothing_has_no_lines() -> None:
    assert table([]) == []


@pytest.mark.parametrize(("text", "span"), [("90", 90), ("90s", 90), ("10m", 600), ("1.5h", 5400)])
def test_a_time_limit_is_read(text: str, span: float) -> None:
    assert seconds(text) == span


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["promote", "--revision", "last"], "'last' is no revision"),
        (["promote", "--revision", "9" * 5000], "is no revision"),
        (["rollback", "--to", "٣"], "is no revision"),
        (["freeze", "--reason", "two\nlines"], "one line of at most 1024 characters"),
        (["abort", "--reason", "x" * 1025], "one line of at most 1024 characters"),
        (["destroy"], "invalid choice: 'destroy'"),
        (["status", "--timeout", "soon"], "write 90s, 10m or 1h"),
        (["logs", "--blue", "--green"], "not allowed with"),
        (["lint"], "-f/--filename"),
        (["rotate"], "required: WHAT"),
        (["rotate", "shop", "webhook"], "invalid choice: 'shop'"),
        (["rotate", "password"], "'webhook', 'api-key', 'database'"),
    ],
)
def test_a_wrong_command_line_is_exit_code_2_with_the_way_to_help(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    error = capsys.readouterr().err
    assert says in error
    assert "--help" in error


def test_a_machine_without_kubectl_is_told_where_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert run(["status"]) == 7
    assert "kubernetes.io/docs/tasks/tools" in capsys.readouterr().err


def test_without_a_verb_help_shows_the_first_steps(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n    {verb} " in shown for verb in VERBS)
    assert "kubectl payments promote --revision 18" in shown


def test_the_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out == f"kubectl-payments {VERSION}\n"
    assert f'version = "{VERSION}"' in (ROOT / "operator/pyproject.toml").read_text()


def commands(text: str) -> list[str]:
    """The calls of the plugin in a text, less those with alternatives."""
    found = re.findall(r"kubectl payments ([a-z][^`\n]*?)(?:`|\n|  |$|,|;|:)", text)
    return [command for command in found if not set(command) & set("[]|\\<")]


def refused(typed: Iterable[str]) -> list[str]:
    """Return the command lines that the plugin's parser does not take."""
    found = []
    for command in typed:
        try:
            taken = parser().parse_args(shlex.split(command)).verb in {*VERBS, "completion"}
        except WrongUsage:
            taken = False
        found += [] if taken else [command]
    return found


def help_of(verb: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit):
        run([verb, "--help"])
    return capsys.readouterr().out


def test_every_verb_shows_examples_that_can_be_typed(capsys: pytest.CaptureFixture[str]) -> None:
    examples = {verb: commands(help_of(verb, capsys).partition("examples:")[2]) for verb in VERBS}
    assert [verb for verb, found in examples.items() if not found or found[0].split()[0] != verb] == []
    assert refused(command for found in examples.values() for command in found) == []


def manual_pages() -> list[Path]:
    return [page for page in (ROOT / "docs").rglob("*.md") if "kubectl payments " in page.read_text()]


def test_what_the_manual_says_to_type_can_be_typed() -> None:
    found = [command for page in manual_pages() for command in commands(page.read_text())]
    assert len(found) > 50
    assert refused(re.sub(r"\bN\b", "18", command.removesuffix(" --help")) for command in found) == []


def test_steps_are_those_that_the_crd_names() -> None:
    step = openapi_schema()["properties"]["status"]["properties"]["candidate"]["properties"]["step"]
    assert tuple(re.findall(r"[A-Z]\w+", step["description"])[1:]) == (*STEPS, ROLLBACK)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        (["pro"], ["promote", ":4"]),
        (["status", "--un"], ["--until", ":4"]),
        (["status", "--until", ""], ["over", "hold", ":4"]),
        (["rotate", ""], ["webhook", "api-key", "database", "secret-key", ":4"]),
        (["rotate", "w"], ["webhook", ":4"]),
        (["rotate", "-n", "billing", "--compromised", "d"], ["database", ":4"]),
        (["rotate", "webhook", "--d"], ["--dry-run", ":4"]),
        (["plan", "--im"], ["--image", ":4"]),
        (["plan", "--output", ""], ["text", "json", "yaml", ":4"]),
        (["status", "shop", ""], [":4"]),
        (["lint", "-f", ""], [":0"]),
        (["nothing", ""], [":4"]),
        (["completion", "f"], ["fish", ":4"]),
    ],
)
def test_completion_proposes_what_fits(words: list[str], found: list[str]) -> None:
    assert complete(words) == found


@pytest.mark.parametrize(
    "words", [["status", ""], ["rotate", "webhook", ""], ["plan", "--image", ""], ["rollback", "--to", ""]]
)
def test_completion_is_silent_without_a_cluster(words: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nonexistent")
    assert complete(words) == [":4"]


def test_every_shell_has_a_script(capsys: pytest.CaptureFixture[str]) -> None:
    for shell in SCRIPTS:
        assert run(["completion", shell]) == 0, shell
        assert "__complete" in capsys.readouterr().out, shell


def test_every_verb_has_a_parser_and_the_other_way_round() -> None:
    (verbs,) = [action.choices for action in parser()._actions if action.dest == "verb"]
    assert verbs is not None
    assert set(VERBS) | {"completion"} == set(verbs)


def test_every_verb_but_logs_answers_programs() -> None:
    needed = {"lint": ["-f", "a.yaml"], "rotate": ["webhook"]}
    asked = [(verb, form) for verb in VERBS if verb != "logs" for form in ("json", "yaml")]
    taken = [parser().parse_args([verb, *needed.get(verb, []), "-o", form]).output for verb, form in asked]
    assert taken == [form for _, form in asked]


@pytest.mark.parametrize(
    ("form", "printed"),
    [
        ("text", "one\ntwo\n"),
        ("json", '{"step": "Smoke"}\n{"step": "Hold"}\n'),
        ("yaml", "---\nstep: Smoke\n---\nstep: Hold\n"),
    ],
)
def test_a_watch_is_a_stream_that_programs_can_read(
    form: str, printed: str, capsys: pytest.CaptureFixture[str]
) -> None:
    output = Output(style=Style(), form=form)
    output.change("one", {"step": "Smoke"})
    output.change("two", {"step": "Hold"})
    assert capsys.readouterr().out == printed


def test_the_manual_and_help_name_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    assert run([]) == 0
    shown, manual = capsys.readouterr().out, (ROOT / "docs/kubectl-payments.md").read_text()
    for code in {PluginError.exit_code, *(kind.exit_code for kind in PluginError.__subclasses__())}:
        assert re.search(rf"\s{code}  \w", shown), code
        assert f"\n| {code} | " in manual, code
    assert "\n| 130 | " in manual


def test_json_holds_whole_numbers_as_numbers() -> None:
    assert json.loads(json.dumps({"revision": 18})) == yaml.safe_load(to_yaml({"revision": 18}))


def test_an_argument_that_is_no_text_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["promote", "shop", "--reason", b"\xff".decode("utf-8", "surrogateescape")]) == WrongUsage.exit_code
    assert "argument 4 is not UTF-8" in capsys.readouterr().err
