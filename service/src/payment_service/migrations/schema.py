"""All tables of this version, as SQLAlchemy Core describes them; the mirror's stand with the kinds of objects."""

from __future__ import annotations

from payment_service.mirror import registry as registry  # noqa: PLC0414 - importing it describes its tables
from payment_service.storage.feed_table import feed as feed  # noqa: PLC0414 - as above
from payment_service.storage.personal_tables import personal_data as personal_data  # noqa: PLC0414 - as above
from payment_service.storage.tables import metadata as metadata  # noqa: PLC0414 - the whole of it is taken from here
from payment_service.storage.webhook_tables import webhook_endpoints as webhook_endpoints  # noqa: PLC0414 - as above
