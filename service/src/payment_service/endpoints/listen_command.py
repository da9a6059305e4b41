"""`payments listen`: events forwarded to an application that is being written."""

from __future__ import annotations

import asyncio
import os
from typing import TYPE_CHECKING, Final

import click

from payment_service.cli_values import BaseUrl, Form
from payment_service.clock import Clock, isoformat
from payment_service.deliveries.sender import Sender
from payment_service.deliveries.signing import BadSecret, make_secret, parse_secret
from payment_service.deliveries.urls import UnsafeUrl, parse_url
from payment_service.endpoints.listening import ANYWHERE, Listener, ListeningRefused, Loopback, Source
from payment_service.endpoints.schemas import MAXIMUM_URL
from payment_service.health.service import VERSION
from payment_service.http.id_types import FEED_CURSOR, FEED_TYPES, LINE
from payment_service.printing import Failed, echo

if TYPE_CHECKING:
    from payment_service.deliveries.sender import Answer
    from payment_service.endpoints.listening import Forwarded

API_KEY: Final = "LISTEN_API_KEY"
SECRET: Final = "LISTEN_SECRET"  # noqa: S105 - the name of a variable


@click.command()
@click.option("--forward-to", required=True, type=Form(LINE, maximum=MAXIMUM_URL), help="Where events are sent to.")
@click.option("--types", type=Form(FEED_TYPES, maximum=2_000), help="Only these, as invoice.paid,customer.*")
@click.option("--after", type=Form(FEED_CURSOR), default="latest", show_default=True, help="Begin behind this event.")
@click.option("--from-the-oldest", is_flag=True, help="Begin with the oldest event that is kept.")
@click.option(
    "--base-url", type=BaseUrl(), default="http://127.0.0.1:8000", show_default=True, help="The API to read from."
)
@click.option("--anywhere", is_flag=True, help="Forward to other machines too, not to this one alone.")
def listen(
    forward_to: str, types: str | None, after: str, base_url: str, *, from_the_oldest: bool, anywhere: bool
) -> None:
    """Forward events to an application that is being written.

    Each is sent once, signed as webhooks are, in the order of the feed. LISTEN_API_KEY is a key of the scope
    events:read; a service in development needs none. LISTEN_SECRET is the secret to sign with; without it one is made
    and printed. For development: what must not be lost is sent to a webhook endpoint.
    """
    rules = ANYWHERE if anywhere else Loopback(plain_http=True)
    secret = _secret()
    try:
        url = str(parse_url(forward_to, rules=rules))
    except UnsafeUrl as error:
        hint = "" if anywhere else "; it has to be this machine's, unless --anywhere is given"
        raise click.BadParameter(f"{error}{hint}", param_hint="--forward-to") from error
    listener = Listener(
        Source(base_url, _variable(API_KEY), types),
        sender=Sender(rules, version=VERSION),
        url=url,
        secret=secret,
        clock=Clock(),
        report=_report,
        warn=lambda sentence: echo(sentence, err=True),
    )
    listener.after = None if from_the_oldest else after
    echo(f"Signing with {secret}")
    echo(f"Forwarding events of {base_url} to {url}, until Ctrl-C.", err=True)
    try:
        asyncio.run(listener.run())
    except KeyboardInterrupt:
        if listener.after not in {None, "latest"}:
            echo(f"Stopped; go on with --after {listener.after}", err=True)
    except ListeningRefused as error:
        raise Failed(f"{error.detail} (the API key is read from {API_KEY})") from error


def _variable(name: str) -> str:
    return os.environ.get(name, "").strip()


def _secret() -> str:
    secret = _variable(SECRET) or make_secret()
    try:
        parse_secret(secret)
    except BadSecret as error:
        raise click.UsageError(f"{SECRET}: {error}") from error
    return secret


def _report(event: Forwarded, answer: Answer) -> None:
    came = str(answer.status) if answer.status is not None else answer.reason
    echo(f"{isoformat(Clock().now())}  {came:<8} {event.type:<32} {event.id}  {event.object_id}")
