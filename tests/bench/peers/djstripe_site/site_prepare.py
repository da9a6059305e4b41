"""Make the tables and the webhook endpoint; print the endpoint's UUID."""

import os
import sys

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_settings")
django.setup()

from django.core.management import call_command  # noqa: E402
from djstripe.models import WebhookEndpoint  # noqa: E402

call_command("migrate", verbosity=0)
endpoint = WebhookEndpoint.objects.create(
    id="we_bench",
    livemode=False,
    secret=os.environ["STRIPE_WEBHOOK_SECRET"],
    url="http://127.0.0.1/",
    enabled_events=["*"],
    status="enabled",
    api_version="2026-10-28.endive",
    stripe_data={},
)
sys.stdout.write(str(endpoint.djstripe_uuid))
