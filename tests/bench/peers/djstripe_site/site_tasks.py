"""What the callback does: hand the trigger's id to a queue in Redis, as a task library would."""

from __future__ import annotations

import os

import redis

_queue = redis.Redis.from_url(os.environ["REDIS_URL"])


def enqueue(trigger, api_key):
    _queue.lpush("djstripe", str(trigger.id))
