"""What others wrote steers no terminal, whether the plugin or a command of the service prints it."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from pathlib import Path
from unicodedata import category

import click
import pytest

from payment_operator.plugin.kubectl import Kubectl
from payment_operator.plugin.output import Output
from payment_operator.plugin.terminal import Style, shown
from payment_service.observability.printable import printable
from payment_service.printing import Failed, echo, echo_styled

ROOT = Path(__file__).parents[2]
ATTACK = "\x1b]0;title\x07\x1b[2J\x9b31m\u202eevil\u2069\u200b\x7f\rAll healthy"
WRITTEN = r"\x1b]0;title\x07\x1b[2J\u009b31m\u202eevil\u2069\u200b\u007f\x0dAll healthy"
PRINTS = {
    "operator/src/payment_operator/plugin": {"output.py"},
    "service/src/payment_service": {
        "printing.py",
        "observability/logging.py",
        "observability/uncaught.py",
        "draining.py",
    },
}
"""The modules that may print, by package; `payments drain` imports nothing heavy and prints our own words."""


def steering(text: str) -> set[str]:
    """Return the characters of a text that would steer a terminal."""
    return {char for char in text if char not in "\n\t" and category(char) in {"Cc", "Cf", "Cs", "Zl", "Zp"}}


def test_what_steers_a_terminal_is_written_out() -> None:
    assert printable(ATTACK) == WRITTEN
    assert not steering(printable("".join(map(chr, range(0x3000))) + "\udc80\ufeff\U000e0041"))


def test_ordinary_text_is_shown_as_it_is() -> None:
    text = "Grace — “Zoë”, Жанна, 数字, ✓ ▸\n\tnext line"
    assert printable(text) is text or printable(text) == text


def test_json_stays_json_with_the_same_content() -> None:
    content = {"name": ATTACK + "\U000e0041"}
    assert json.loads(printable(json.dumps(content, ensure_ascii=False))) == content


def test_only_looks_of_the_plugins_own_reach_the_terminal() -> None:
    style = Style(colour=True)
    text = shown(f"{style.paint('failed', 'bold', 'red')}: \x1b[1;31m{ATTACK}")
    assert text == rf"{chr(27)}[1;31mfailed{chr(27)}[0m: \x1b[1;31m{WRITTEN}"


@pytest.mark.parametrize("form", ["text", "json", "yaml"])
def test_no_form_of_the_plugins_output_steers(form: str, capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(style=Style(), form=form)
    output.show([ATTACK], {"message": ATTACK})
    output.change(ATTACK, {"message": ATTACK})
    output.draw([])
    output.complain(ATTACK)
    output.error(ATTACK, ATTACK)
    written = "".join(capsys.readouterr()).replace("\x1b[H", "").replace("\x1b[J", "")
    assert "title" in written
    assert not steering(written)


def test_the_plugin_prints_no_keys_of_others(capsys: pytest.CaptureFixture[str]) -> None:
    for form in ("text", "json", "yaml"):
        Output(style=Style(), form=form).show(["it said sk_live_Canary"], {"message": "it said sk_live_Canary"})
    Output.complain("postgresql://app:Canary@db/x")
    assert "Canary" not in "".join(capsys.readouterr())


def test_lines_that_kubectl_streams_are_shown_written_out(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = tmp_path / "kubectl"
    said = f"[pod/shop] {ATTACK} sk_live_Canary\nlast".encode() + b"\xff"
    complaint = ATTACK.encode()
    program.write_text(
        f"#!{sys.executable}\nimport sys\nsys.stdout.buffer.write({said!r})\n"
        f"sys.stderr.buffer.write({complaint!r})\nsys.exit(3)\n"
    )
    program.chmod(0o755)
    code = Kubectl(program=str(program)).stream("logs", line=Output.line, complaint=Output.complain)
    out, err = capsys.readouterr()
    assert (code, out) == (3, f"[pod/shop] {WRITTEN} sk_live_***\nlast\\udcff\n")
    assert err == f"{WRITTEN}\n"


def test_the_plugin_shows_a_hostile_cluster_written_out(tmp_path: Path) -> None:
    stalled = {"type": "Stalled", "status": "True", "reason": "Invalid", "message": ATTACK}
    status = {"observedGeneration": 1, "phase": "Failed", "conditions": [stalled]}
    environment = {
        "kind": "PaymentEnvironment",
        "metadata": {"name": "env", "namespace": "payments", "uid": "u", "generation": 1, "resourceVersion": "1"},
        "spec": {"image": f"x:1{ATTACK}", "stripe": {"mode": "Test"}},
        "status": status,
    }
    program = tmp_path / "kubectl"
    program.write_text(
        f"#!{sys.executable}\nimport json, sys\nenvironment = {environment!r}\n"
        "asked = any('paymentenvironments' in word for word in sys.argv)\n"
        "one = environment if 'env' in sys.argv else {'items': [environment]}\n"
        "print(json.dumps(one if asked else {'items': []}))\n"
    )
    program.chmod(0o755)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONUTF8": "1"}
    for arguments in (["status", "env"], ["status", "env", "-o", "json"], ["status", "env", "-o", "yaml"]):
        command = [sys.executable, "-c", "from payment_operator.plugin.cli import main; main()", *arguments]
        done = subprocess.run(command, env=environ, capture_output=True, check=False)
        text = (done.stdout + done.stderr).decode()
        assert "All healthy" in text
        assert not steering(text)


def test_commands_of_the_service_print_written_out(capsys: pytest.CaptureFixture[str]) -> None:
    echo(ATTACK)
    echo(ATTACK.encode(), err=True)
    echo_styled((ATTACK, "red"), ATTACK)
    Failed(f"{ATTACK} sk_live_Canary").show()
    out, err = capsys.readouterr()
    assert not steering(out + err)
    assert "Canary" not in err


def prints(tree: ast.AST) -> list[int]:
    """Return the lines that print, or get hold of a stream to print on."""
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute | ast.Name) and ast.unparse(node) in {
            "sys.stdout",
            "sys.stderr",
            "sys.__stdout__",
            "sys.__stderr__",
            "click.echo",
            "click.secho",
            "print",
        }:
            found.append(node.lineno)
        if isinstance(node, ast.ImportFrom) and {alias.name for alias in node.names} & {
            "echo",
            "secho",
            "stdout",
            "stderr",
        }:
            found += [] if node.module == "payment_service.printing" else [node.lineno]
    return found


def test_nothing_prints_past_the_one_place() -> None:
    found = {}
    for package, places in PRINTS.items():
        for path in sorted((ROOT / package).rglob("*.py")):
            if str(path.relative_to(ROOT / package)) not in places:
                found[str(path.relative_to(ROOT))] = prints(ast.parse(path.read_text()))
    assert len(found) > 100
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_every_way_to_print_is_seen() -> None:
    for line in ("print(1)", "sys.stdout.write('')", "click.echo('')", "from click import echo", "file = sys.stderr"):
        assert prints(ast.parse(line)), line
    assert click.ClickException in Failed.__mro__
