"""Triggers of MySQL and MariaDB: an audit log that is only appended to, and personal fields in a table of their own.

They do what those of migrations 3, 7, 14, 15, 18 and 21 do on PostgreSQL. Two things differ. The number of a row is
not known before it is inserted, so what was parted from it is named by a UUID. And TRUNCATE fires no trigger; it takes
the right to DROP, which the application's login has not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from payment_service.mirror.registry import KINDS

if TYPE_CHECKING:
    from collections.abc import Iterator

_REFUSE: Final = "SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1142, MESSAGE_TEXT = "
OURS: Final = """
    CASE NEW.object_type WHEN 'customers' THEN
        (SELECT id FROM customers WHERE id = NEW.object_id OR stripe_customer_id = NEW.object_id)
    END
"""
STRIPES: Final = """
    CASE NEW.object_type
        WHEN 'customers' THEN (SELECT stripe_customer_id FROM customers
            WHERE id = NEW.object_id OR stripe_customer_id = NEW.object_id)
        WHEN 'subscriptions' THEN (SELECT stripe_customer_id FROM subscriptions
            WHERE stripe_subscription_id = NEW.object_id)
        WHEN 'payment_intents' THEN (SELECT stripe_customer_id FROM payment_intents WHERE id = NEW.object_id)
        WHEN 'setup_intents' THEN (SELECT stripe_customer_id FROM setup_intents WHERE id = NEW.object_id)
        WHEN 'charges' THEN (SELECT stripe_customer_id FROM charges WHERE id = NEW.object_id)
        WHEN 'refunds' THEN (SELECT c.stripe_customer_id FROM refunds r JOIN charges c ON c.id = r.charge_id
            WHERE r.id = NEW.object_id)
        WHEN 'disputes' THEN (SELECT c.stripe_customer_id FROM disputes d JOIN charges c ON c.id = d.charge_id
            WHERE d.id = NEW.object_id)
        WHEN 'checkout_sessions' THEN (SELECT stripe_customer_id FROM checkout_sessions WHERE id = NEW.object_id)
        WHEN 'payment_methods' THEN (SELECT last_customer_id FROM payment_methods WHERE id = NEW.object_id)
    END
"""
_ON_BEHALF_OF: Final = f"""
CREATE OR REPLACE TRIGGER audit_log_stamped BEFORE INSERT ON audit_log FOR EACH ROW
BEGIN
    DECLARE stated LONGTEXT DEFAULT COALESCE(NEW.on_behalf_of, NEW.actor, '');
    DECLARE form LONGTEXT DEFAULT SUBSTRING_INDEX(stated, ':', 1);
    DECLARE named LONGTEXT DEFAULT SUBSTRING(stated, CHAR_LENGTH(form) + 2);
    DECLARE lasting BOOL;
    SET NEW.database_role = SUBSTRING_INDEX(SESSION_USER(), '@', 1);
    IF form IN ('api', 'ended') THEN
        SELECT MAX(revoked_at IS NULL AND (expires_at IS NULL OR expires_at > UTC_TIMESTAMP(6)))
        INTO lasting FROM api_keys WHERE principal = named;
        IF lasting IS NOT NULL THEN
            SET NEW.on_behalf_of = CONCAT(IF(lasting, 'api:', 'ended:'), named);
        ELSEIF stated = 'api:anonymous' THEN
            SET NEW.on_behalf_of = 'anonymous';
        ELSE
            {_REFUSE}'audit_log: nobody is known as that';
        END IF;
    ELSEIF stated = 'anonymous' OR named <> '' AND form IN ('cli', 'worker', 'migration') THEN
        SET NEW.on_behalf_of = stated;
    ELSE
        {_REFUSE}'audit_log: nobody is known as that';
    END IF;
    SET NEW.actor = CONCAT('database:', NEW.database_role);
    SET NEW.created_at = UTC_TIMESTAMP(6);
END
"""
_NO_UPDATE: Final = f"""
CREATE OR REPLACE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log FOR EACH ROW
{_REFUSE}'audit_log is append-only'
"""
_NO_DELETE: Final = f"""
CREATE OR REPLACE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log FOR EACH ROW
IF OLD.created_at > UTC_TIMESTAMP(6) - INTERVAL 90 DAY THEN
    {_REFUSE}'audit_log is append-only';
END IF
"""


def triggers() -> Iterator[str]:
    """Return the statements, each to be run alone and again without harm. Pure."""
    yield from (_ON_BEHALF_OF, _NO_UPDATE, _NO_DELETE, _part_personal())
    for table in ("outbox", "operations"):
        yield f"""
CREATE OR REPLACE TRIGGER {table}_forget AFTER DELETE ON {table} FOR EACH ROW
IF OLD.personal_id <> '' THEN
    DELETE FROM personal_data WHERE id = OLD.personal_id;
END IF
"""


def _part_personal() -> str:
    personal = {kind.table.name: list(kind.personal) for kind in KINDS.values() if kind.personal}
    kinds = " ".join(f"WHEN '{table}' THEN '{json.dumps(names)}'" for table, names in personal.items())
    sides = "\n".join(_part_side(side) for side in ("before", "after"))
    return f"""
CREATE OR REPLACE TRIGGER outbox_personal BEFORE INSERT ON outbox FOR EACH ROW
BEGIN
    DECLARE names LONGTEXT DEFAULT CASE NEW.object_type {kinds} ELSE '[]' END;
    DECLARE held_before, held_after LONGTEXT DEFAULT '{{}}';
    DECLARE left_before LONGTEXT DEFAULT NEW.`before`;
    DECLARE left_after LONGTEXT DEFAULT NEW.`after`;
    DECLARE path, found LONGTEXT;
    DECLARE filled BOOL DEFAULT FALSE;
    DECLARE number INT DEFAULT 0;
    DECLARE ours, stripes LONGTEXT;
    IF NEW.personal_id IS NULL THEN
        SET NEW.personal_id = '';
        WHILE number < JSON_LENGTH(names) DO
            SET path = CONCAT('$.', JSON_VALUE(names, CONCAT('$[', number, ']')));
            SET number = number + 1;
            {sides}
        END WHILE;
        IF filled THEN
            SET ours = {OURS};
            SET stripes = {STRIPES};
            IF COALESCE(ours, stripes) IS NOT NULL THEN
                SET NEW.personal_id = CONCAT('outbox_', UUID());
                INSERT INTO personal_data (id, customer_id, stripe_customer_id, content, created_at)
                VALUES (NEW.personal_id, ours, stripes,
                        CONCAT('{{"before": ', held_before, ', "after": ', held_after, '}}'), NEW.created_at);
            END IF;
            SET NEW.`before` = left_before;
            SET NEW.`after` = left_after;
        END IF;
    END IF;
END
"""


def _part_side(side: str) -> str:
    return f"""
            IF JSON_TYPE(NEW.`{side}`) = 'OBJECT' AND JSON_CONTAINS_PATH(NEW.`{side}`, 'one', path) THEN
                SET found = JSON_EXTRACT(NEW.`{side}`, path);
                SET filled = filled OR found NOT IN ('null', '{{}}', '""');
                SET held_{side} = JSON_SET(held_{side}, path, JSON_EXTRACT(NEW.`{side}`, path));
                SET left_{side} = JSON_SET(left_{side}, path, NULL);
            END IF;"""
