"""Receives webhooks of Lean Payments: each is verified, handled once and answered fast.

Once, because the note that a `webhook-id` was handled and the effect of its event are one transaction: whatever comes
again after that finds the note, and what a crash interrupted left neither.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook, WebhookVerificationError

WEBHOOK = Webhook(os.environ["WEBHOOK_SECRET"])
DATABASE = os.environ.get("DATABASE", "receiver.sqlite3")
MOST_BYTES = 1_000_000
TABLES = """
CREATE TABLE IF NOT EXISTS handled_webhooks (id TEXT PRIMARY KEY, at TEXT DEFAULT CURRENT_TIMESTAMP);
CREATE TABLE IF NOT EXISTS credits (customer TEXT PRIMARY KEY, months INTEGER NOT NULL);
"""


def connect() -> sqlite3.Connection:
    """Return a connection without transactions of Python's own."""
    return sqlite3.connect(DATABASE, timeout=10, isolation_level=None)


def handle(webhook_id: str, event: dict[str, Any]) -> None:
    """Handle an event, unless it was handled before."""
    with closing(connect()) as connection:
        connection.execute("BEGIN IMMEDIATE")  # closing without COMMIT takes everything back
        note = "INSERT INTO handled_webhooks (id) VALUES (?) ON CONFLICT DO NOTHING"
        if connection.execute(note, (webhook_id,)).rowcount:
            apply(connection, event)
        connection.execute("COMMIT")


def apply(connection: sqlite3.Connection, event: dict[str, Any]) -> None:
    """Do what an event means to this application. What takes longer is only noted here, and done by a worker."""
    if event["type"] == "invoice.paid":
        connection.execute(
            "INSERT INTO credits (customer, months) VALUES (?, 1) ON CONFLICT DO UPDATE SET months = months + 1",
            (event["data"]["object"]["stripe_customer_id"],),
        )


class Receiver(BaseHTTPRequestHandler):
    """Answers 204 when an event is handled, or was before; anything else has it sent again later."""

    protocol_version = "HTTP/1.1"
    timeout = 20

    def do_POST(self) -> None:
        """Take a webhook."""
        length = int(self.headers.get("Content-Length", "-1"))
        if not 0 <= length <= MOST_BYTES:
            self.answer(413)
            return
        body = self.rfile.read(length)  # the very bytes that were signed
        try:
            event = WEBHOOK.verify(body, dict(self.headers))
        except WebhookVerificationError:
            self.answer(400)
            return
        handle(self.headers["webhook-id"], event)
        self.answer(204)

    def answer(self, status: int) -> None:
        """Answer, and keep the connection only where the request was read whole."""
        self.close_connection = status != 204  # noqa: PLR2004 - No Content
        self.send_response(status)
        if self.close_connection:
            self.send_header("Connection", "close")
            self.send_header("Content-Length", "0")
        self.end_headers()


if __name__ == "__main__":
    with closing(connect()) as made:
        made.executescript(f"PRAGMA journal_mode = WAL; {TABLES}")
    address = ("127.0.0.1", int(os.environ.get("PORT", "3000")))
    ThreadingHTTPServer(address, Receiver).serve_forever()
