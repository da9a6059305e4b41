"""Arm D: a Django project that holds nothing but dj-stripe; the event is handed on by its documented callback."""

from __future__ import annotations

import os
from urllib.parse import urlsplit

_database = urlsplit(os.environ["DATABASE_URL"])
SECRET_KEY = "bench-only"
ALLOWED_HOSTS = ["*"]
USE_TZ = True
ROOT_URLCONF = "site_urls"
WSGI_APPLICATION = "site_wsgi.application"
INSTALLED_APPS = ["django.contrib.contenttypes", "django.contrib.auth", "djstripe"]
MIDDLEWARE = ["django.middleware.security.SecurityMiddleware", "django.middleware.common.CommonMiddleware"]
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": _database.path[1:],
        "USER": _database.username,
        "HOST": _database.hostname,
        "PORT": _database.port,
        "CONN_MAX_AGE": 600,
    }
}
STRIPE_TEST_SECRET_KEY = "sk_test_bench"
STRIPE_LIVE_MODE = False
DJSTRIPE_FOREIGN_KEY_TO_FIELD = "id"
DJSTRIPE_WEBHOOK_EVENT_CALLBACK = "site_tasks.enqueue"
