"""`make demo`: the first thing that a new user runs."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from tests.requirements import require
from tests.servers.process import free_port

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
BODY = ROOT / "tests" / "data" / "subscription.json"
PAYMENTS = Path(sys.executable).with_name("payments")
ENVIRON = {"PATH": os.environ["PATH"]}


def demo(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command: list[str | Path] = [PAYMENTS, "demo", "--body", BODY, *options]
    return subprocess.run(command, cwd=folder, env=ENVIRON, capture_output=True, text=True, timeout=60, check=False)


@pytest.fixture
def running(tmp_path: Path) -> Iterator[str]:
    port = free_port()
    process = subprocess.Popen(
        [PAYMENTS, "demo", "--body", BODY, "--port", str(port)], cwd=tmp_path, env=ENVIRON, stdout=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            httpx.get(f"http://127.0.0.1:{port}/health/live")
            break
        except httpx.TransportError:
            time.sleep(0.1)
    yield f"http://127.0.0.1:{port}"
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=40) == 0


def test_the_round_trip_works_twice_in_a_row_on_the_same_state(tmp_path: Path) -> None:
    for _ in range(2):
        answer = demo(tmp_path, "--once", "--port", str(free_port()))
        assert answer.returncode == 0, answer.stderr
        for step in ("customer", "subscription active", "invoice paid 29.00 USD", "event invoice.paid applied"):
            assert step in answer.stdout


def test_a_port_in_use_is_a_clear_message(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        answer = demo(tmp_path, "--once", "--port", str(taken.getsockname()[1]))
    assert answer.returncode == 1
    assert "in use" in answer.stderr
    assert "Traceback" not in answer.stderr


def typed(command: str) -> str:
    return subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=30, check=True).stdout


def test_what_it_prints_can_be_typed(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [PAYMENTS, "demo", "--port", str(free_port())], cwd=tmp_path, env=ENVIRON, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    try:
        printed = ""
        while not printed.endswith("}'\n"):  # of the last command
            printed += process.stdout.readline()
        stripe, again = re.findall(r"^  (curl .*(?:\n    .*)?)$", printed, re.MULTILINE)
        assert len({typed(again) for _ in range(2)}) == 1
        assert len(json.loads(typed(stripe))["data"]) == 2
        key, address = ("sk_test_demo", ""), stripe.split()[2].removesuffix("/subscriptions")
        told = httpx.get(f"{address}/events", params={"limit": 100, "delivery_success": True}, auth=key).json()["data"]
        assert {"product.created", "price.created"} <= {event["type"] for event in told}
        prices = httpx.get(re.findall(r"http\S+/prices", printed)[0]).json()["data"]
        assert {"pro_monthly", "pro_yearly", "pro_monthly_eur", "team_seat"} < {price["lookup_key"] for price in prices}
    finally:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=40)


def test_a_taken_port_of_the_simulator_is_said_and_another_one_chosen(tmp_path: Path) -> None:
    with socket.socket() as taken:
        with contextlib.suppress(OSError):  # then another program has it
            taken.bind(("127.0.0.1", 12111))
            taken.listen()
        answer = demo(tmp_path, "--once", "--port", str(free_port()))
    assert answer.returncode == 0
    assert "Port 12111 is in use: the simulator takes" in answer.stdout


def test_a_failing_step_is_named_and_the_exit_code_is_not_zero(tmp_path: Path) -> None:
    body = tmp_path / "declined.json"
    body.write_text(BODY.read_text().replace("pm_card_visa", "pm_card_chargeCustomerFail"))
    command: list[str | Path] = [PAYMENTS, "demo", "--once", "--port", str(free_port()), "--body", body]
    answer = subprocess.run(command, cwd=tmp_path, env=ENVIRON, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 1
    assert "create-subscription answered 402" in answer.stderr


def test_ab_on_health_has_no_failed_request(running: str) -> None:
    require(shutil.which("ab"), what="ab", command="apt-get install apache2-utils")
    report = ab("-n", "1000", "-c", "10", f"{running}/health".replace("127.0.0.1", "localhost"))
    assert "Failed requests:        0" in report
    assert "Non-2xx" not in report


def test_ab_on_create_subscription_is_limited_and_never_a_server_error(running: str) -> None:
    require(shutil.which("ab"), what="ab", command="apt-get install apache2-utils")
    url = f"{running}/api/v1/payments/create-subscription".replace("127.0.0.1", "localhost")
    report = ab("-n", "100", "-c", "5", "-p", "subscription.json", "-T", "application/json", url)
    assert "Complete requests:      100" in report
    metrics = httpx.get(f"{running}/metrics").text
    counted = [line for line in metrics.splitlines() if 'route="/api/v1/payments/create-subscription"' in line]
    statuses = {
        line.partition('status="')[2][:3]: float(line.rpartition(" ")[2])
        for line in counted
        if line.startswith("payments_http_requests_total")
    }
    assert statuses == {"201": 10, "429": 91}


def ab(*options: str) -> str:
    answer = subprocess.run(
        ["ab", "-q", *options], cwd=BODY.parent, capture_output=True, text=True, timeout=60, check=True
    )
    return answer.stdout
