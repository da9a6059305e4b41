"""Which keys need which value of `SECRET_KEY`: what decides whether a value may go.

A key can be found while one of its digests is under a value in use. It *needs* a value when that is the only such one;
it is *lost* when there is none, until the value is put back.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Final, NamedTuple, TypedDict

import structlog

from payment_service.access import store
from payment_service.access.secret_keys import SecretKeys
from payment_service.observability.metrics import LOST_KEYS
from payment_service.storage.database import is_unavailable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from payment_service.clock import Clock
    from payment_service.config.settings import Settings
    from payment_service.storage.database import Database

UNKNOWN: Final = ""
"""Stands for the value of keys made before values were noted."""
WATCH_SECONDS: Final = 60.0

log = structlog.get_logger("payments")


class Need(NamedTuple):
    """What one key needs."""

    value: str | None
    """The id of the value; None when more than one in use finds it."""
    lost: bool
    """Whether that value is not in use."""


class Needs(NamedTuple):
    """How many usable keys need each value."""

    in_use: dict[str, int]
    missing: dict[str, int]


def need(known_under: Collection[str], *, in_use: Collection[str]) -> Need:
    """Tell what a key needs that has digests under the values `known_under`, the newest first."""
    finding = [value for value in known_under if value in in_use]
    if not finding:
        return Need(next(iter(known_under), UNKNOWN), lost=True)
    return Need(finding[0] if len(finding) == 1 else None, lost=False)


def add_up(counts: Iterable[tuple[str | None, str | None, int]], *, in_use: Collection[str]) -> Needs:
    """Add the keys up that have the same digests' values."""
    kept: Counter[str] = Counter(dict.fromkeys(in_use, 0))
    missing: Counter[str] = Counter()
    for digest_value, former_value, count in counts:
        found = need([value for value in (digest_value, former_value) if value], in_use=in_use)
        if found.value is not None:
            (missing if found.lost else kept)[found.value] += count
    return Needs(dict(kept), dict(missing))


class ValueInUse(TypedDict):
    """A value of `SECRET_KEY` as it is told of."""

    id: str
    fingerprint: str
    signs: bool
    keys_needing: int


class ValueMissing(TypedDict):
    """A value that keys need and that is not there any more."""

    id: str
    keys_needing: int


class Report(TypedDict):
    """Which values the API keys need."""

    in_use: list[ValueInUse]
    missing: list[ValueMissing]


class KeyNeeds:
    """The needs of the keys of one deployment."""

    def __init__(self, secret_keys: SecretKeys, database: Database, *, clock: Clock, livemode: bool, salt: str) -> None:
        self._secret_keys = secret_keys
        self._database = database
        self._clock = clock
        self._livemode = livemode
        self._salt = salt
        self.missing: dict[str, int] = {}
        """What was missing at the last look."""

    @classmethod
    def from_settings(cls, settings: Settings, database: Database, *, clock: Clock) -> KeyNeeds:
        """Build it with the values that the settings name."""
        return cls(
            SecretKeys(settings.secret_key, production=settings.production),
            database,
            clock=clock,
            livemode=settings.stripe.livemode,
            salt=settings.fingerprint_salt,
        )

    async def read(self) -> Needs:
        """Count; what is missing goes into the metric and, whenever it changes, into the log."""
        in_use = [value.id for value in self._secret_keys.current()]
        async with self._database.read() as connection:
            counts = await store.counts(connection, livemode=self._livemode, now=self._clock.now())
        needs = add_up(counts, in_use=in_use)
        LOST_KEYS.set(sum(needs.missing.values()))
        if needs.missing and needs.missing != self.missing:
            log.error(
                "API keys are refused: SECRET_KEY lacks a value that they need; put it back as the last one",
                keys_by_value=needs.missing,
                in_use=in_use,
            )
        self.missing = needs.missing
        return needs

    async def watch(self, *, every: float) -> None:
        """Look every so many seconds, until cancelled. The API does; a worker has no SECRET_KEY."""
        while True:
            try:
                await self.read()
            except Exception as error:
                if not is_unavailable(error):
                    raise
            await asyncio.sleep(every)

    async def report(self) -> Report:
        """Return what `GET /status` on the admin port and `payments secret-key status` tell (docs/contracts.md)."""
        needs = await self.read()
        values = zip(self._secret_keys.current(), self.fingerprints(), strict=False)
        return {
            "in_use": [
                {
                    "id": value.id,
                    "fingerprint": fingerprint,
                    "signs": place == 0,
                    "keys_needing": needs.in_use.get(value.id, 0),
                }
                for place, (value, fingerprint) in enumerate(values)
            ],
            "missing": [{"id": value, "keys_needing": count} for value, count in needs.missing.items()],
        }

    def fingerprints(self) -> list[str]:
        """Return the salted fingerprints of the values in use."""
        return self._secret_keys.fingerprints(salt=self._salt)
