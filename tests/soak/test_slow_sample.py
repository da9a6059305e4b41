"""Sixty slow clients with limits of a second; `make soak ONLY=slow` has two thousand with the default ones."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING

from tests.soak.slow import POD_BYTES, REASONS, SLOW_KINDS, besieged

if TYPE_CHECKING:
    from pathlib import Path

EACH = 15
SHORT = {
    "PAYMENTS_FIRST_BYTE_TIMEOUT_SECONDS": 1,
    "PAYMENTS_HEAD_TIMEOUT_SECONDS": 1,
    "PAYMENTS_BODY_TIMEOUT_SECONDS": 1,
    "PAYMENTS_ANSWER_TIMEOUT_SECONDS": 1,
}


def test_slow_clients_are_gone_in_time_and_good_requests_are_answered(tmp_path: Path) -> None:
    with besieged(tmp_path, each=EACH, **SHORT) as (siege, pod, server):
        outcome = asyncio.run(siege.run(alone_seconds=0, limit_seconds=15, workers=2))
        assert pod.peak(server.pid) < POD_BYTES
    assert outcome.gone == Counter(dict.fromkeys(SLOW_KINDS, EACH))
    assert outcome.answers == {
        ("silent", ""): EACH,
        ("slow head", "408"): EACH,
        ("slow body", "408"): EACH,
        ("unread answer", ""): EACH,
    }
    assert {reason: outcome.cut[reason] for reason in REASONS.values()} == dict.fromkeys(REASONS.values(), EACH)
    assert set(+outcome.good) == {200}
