"""A client that goes on creating subscriptions through whatever happens, as a careful one does: same key, again."""

from __future__ import annotations

import threading
import time
import uuid
from typing import TYPE_CHECKING, Any, Self

import httpx

if TYPE_CHECKING:
    from tests.cluster.chart.release import Release

CREATE = "/api/v1/payments/create-subscription"
PRICE = "lean_payments_load"
PATIENCE_SECONDS = 240
PAUSE_SECONDS = 0.3


class Buyer:
    """Creates one subscription after the other until it is left; use as a context, then read `bought`."""

    def __init__(self, release: Release) -> None:
        self._url = f"http://{release.address()}{CREATE}"
        self._key = release.exec("payments", "keys", "create", "buyer", "--scope", "write").split()[0]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._buy, daemon=True)
        self.bought: list[dict[str, Any]] = []
        """The answers with which the API acknowledged a payment."""
        self.tries = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join(PATIENCE_SECONDS + 60)

    def _buy(self) -> None:
        while not self._stop.is_set():
            answer = self._one()
            if answer is None:
                return
            self.bought.append(answer)
            self._stop.wait(PAUSE_SECONDS)

    def _one(self) -> dict[str, Any] | None:
        """Ask until it is answered, always with the same key and body."""
        name = uuid.uuid4().hex
        body = {"lookup_key": PRICE, "email": f"{name}@example.com", "payment_method_id": "pm_card_visa"}
        # each from an address of its own: the limit counts addresses, and this machine is a trusted proxy
        address = f"198.18.{len(self.bought) // 250}.{len(self.bought) % 250 + 1}"
        headers = {"Authorization": f"Bearer {self._key}", "Idempotency-Key": name, "X-Forwarded-For": address}
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self.tries += 1
            try:
                answer = httpx.post(self._url, json=body, headers=headers, timeout=30)
            except httpx.HTTPError:
                time.sleep(PAUSE_SECONDS)
                continue
            if answer.status_code in {200, 201}:
                return dict(answer.json())
            time.sleep(PAUSE_SECONDS)
        return None


def offer(release: Release) -> None:
    """Have the price at Stripe."""
    stripe = "http://simulator:12111/v1"
    terms = f"lookup_key={PRICE}&currency=usd&unit_amount=900&recurring[interval]=month"
    form = f"{terms}&product_data[name]=Load&transfer_lookup_key=true"
    status, answer = release.namespace.request(f"{stripe}/prices", method="POST", form=form)
    assert status == 200, answer
