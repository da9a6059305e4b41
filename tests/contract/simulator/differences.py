"""Where the API version behind the SDK (2026-10-28.endive) differs from the described one (2026-08-26.dahlia).

Only the members that the simulator sends are listed. The description embedded in stripe-mock is the newest one that can
be had from a package registry; the SDK's own types (stripe 16.1.0) are the source of each entry, and its release notes
name the change.
"""

from __future__ import annotations

from typing import Final

_ENDIVE: Final = "docs.stripe.com/changelog/endive#2026-09-30.endive"

ADDED: Final[dict[tuple[str, str], str]] = {
    ("subscription", "status_details"): f"{_ENDIVE}: why and when a subscription was paused",
    ("invoice", "status_details"): f"{_ENDIVE}: why an invoice is uncollectible",
}
"""Members that the described version does not have."""
