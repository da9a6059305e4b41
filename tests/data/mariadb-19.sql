-- The schema of MariaDB as of migration 19, the oldest that there is: never written anew.
DELIMITER $$
CREATE TABLE IF NOT EXISTS api_keys (
	id VARCHAR(255) NOT NULL, 
	principal VARCHAR(128) NOT NULL COMMENT 'who; the same after a rotation', 
	prefix LONGTEXT NOT NULL COMMENT 'the key''s beginning, to recognise it', 
	digest VARBINARY(64) NOT NULL COMMENT 'HMAC-SHA256 under SECRET_KEY', 
	digest_value LONGTEXT COMMENT 'id of the SECRET_KEY value that digest is under', 
	former_digest VARBINARY(64) COMMENT 'under the value that it was known by before, or by the second one', 
	former_value LONGTEXT COMMENT 'id of the SECRET_KEY value that former_digest is under', 
	mac_value LONGTEXT COMMENT 'id of the SECRET_KEY value that the key''s own MAC is under', 
	scope LONGTEXT NOT NULL COMMENT 'read, write or admin', 
	livemode BOOL NOT NULL, 
	expires_at DATETIME(6), 
	revoked_at DATETIME(6), 
	last_used_at DATETIME(6), 
	created_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_api_keys_digest UNIQUE (digest)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS audit_log (
	seq BIGINT NOT NULL AUTO_INCREMENT, 
	actor LONGTEXT NOT NULL, 
	action LONGTEXT NOT NULL, 
	object_type LONGTEXT NOT NULL, 
	object_id LONGTEXT NOT NULL, 
	details JSON NOT NULL, 
	created_at DATETIME(6) NOT NULL, 
	database_role LONGTEXT COMMENT 'session_user; null where there are no roles', 
	on_behalf_of LONGTEXT COMMENT 'who asked, as the application says; null: actor says it', 
	PRIMARY KEY (seq)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS charges (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	stripe_customer_id VARCHAR(255), 
	payment_intent_id VARCHAR(255), 
	amount BIGINT NOT NULL COMMENT 'minor units', 
	amount_captured BIGINT NOT NULL COMMENT 'minor units', 
	amount_refunded BIGINT NOT NULL COMMENT 'minor units', 
	paid BOOL NOT NULL, 
	captured BOOL NOT NULL, 
	refunded BOOL NOT NULL, 
	disputed BOOL NOT NULL, 
	failure_code LONGTEXT, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS checkout_sessions (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	stripe_customer_id VARCHAR(255), 
	mode LONGTEXT, 
	payment_status LONGTEXT, 
	payment_intent_id LONGTEXT, 
	setup_intent_id LONGTEXT, 
	stripe_subscription_id LONGTEXT, 
	invoice_id LONGTEXT, 
	client_reference_id LONGTEXT, 
	amount_total BIGINT COMMENT 'minor units', 
	expires_at DATETIME(6), 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS cursors (
	name VARCHAR(255) NOT NULL, 
	value JSON NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (name)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS customers (
	id VARCHAR(255) NOT NULL, 
	stripe_customer_id VARCHAR(255), 
	reference VARCHAR(255) COMMENT 'the caller''s own id', 
	email VARCHAR(512), 
	address_key VARCHAR(512) COMMENT 'the address in the one form by which it is compared', 
	email_key VARCHAR(512) COMMENT 'address_key of one made by address alone: two requests make one', 
	name LONGTEXT, 
	metadata JSON NOT NULL, 
	origin LONGTEXT NOT NULL COMMENT 'api: made here; stripe: seen in an event', 
	livemode BOOL NOT NULL, 
	deleted BOOL NOT NULL DEFAULT false, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	address_since DATETIME(6) COMMENT 'when it got its address; null: it was made with it', 
	erased_at DATETIME(6) COMMENT 'when what was kept beside this row went, after a deletion at Stripe', 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_customers_stripe_customer_id UNIQUE (stripe_customer_id), 
	CONSTRAINT uq_customers_livemode_reference UNIQUE (livemode, reference), 
	CONSTRAINT uq_customers_livemode_email_key UNIQUE (livemode, email_key)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS disputes (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	charge_id VARCHAR(255), 
	payment_intent_id LONGTEXT, 
	amount BIGINT NOT NULL COMMENT 'minor units', 
	reason LONGTEXT, 
	evidence_due_by DATETIME(6), 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS events (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s event id', 
	type LONGTEXT NOT NULL, 
	object_id VARCHAR(255) NOT NULL COMMENT 'the object that the event tells about', 
	group_key VARCHAR(255) NOT NULL COMMENT 'events with the same key are applied one at a time', 
	api_version LONGTEXT, 
	livemode BOOL NOT NULL, 
	stripe_created BIGINT NOT NULL, 
	payload LONGBLOB NOT NULL COMMENT 'the body as received', 
	source LONGTEXT NOT NULL COMMENT 'webhook or reconcile', 
	state LONGTEXT NOT NULL COMMENT 'pending, applied, ignored, dead or discarded', 
	attempts INTEGER NOT NULL DEFAULT 0, 
	available_at DATETIME(6) NOT NULL COMMENT 'not to be claimed before', 
	lease_owner LONGTEXT, 
	lease_expires_at DATETIME(6), 
	`fetch` BOOL NOT NULL DEFAULT false, 
	last_error LONGTEXT COMMENT 'why it failed, or is ignored', 
	discard_reason LONGTEXT COMMENT 'why a person gave it up', 
	erased_at DATETIME(6) COMMENT 'when the payload was reduced: its customer was deleted at Stripe', 
	received_at DATETIME(6) NOT NULL, 
	settled_at DATETIME(6), 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS idempotency_keys (
	principal VARCHAR(128) NOT NULL, 
	livemode BOOL NOT NULL, 
	method VARCHAR(16) NOT NULL, 
	route VARCHAR(255) NOT NULL COMMENT 'the template, not the path', 
	`key` VARCHAR(255) NOT NULL, 
	fingerprint LONGBLOB NOT NULL COMMENT 'SHA-256 of canonical body and path parameters', 
	operation_id LONGTEXT NOT NULL, 
	created_at DATETIME(6) NOT NULL, 
	expires_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (principal, livemode, method, route, `key`)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS invoice_payments (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	invoice_id VARCHAR(255), 
	payment_intent_id LONGTEXT, 
	charge_id LONGTEXT, 
	amount_requested BIGINT COMMENT 'minor units', 
	amount_paid BIGINT COMMENT 'minor units', 
	is_default BOOL NOT NULL, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS invoices (
	id VARCHAR(255) NOT NULL, 
	stripe_subscription_id VARCHAR(255), 
	stripe_customer_id VARCHAR(255), 
	status LONGTEXT, 
	billing_reason LONGTEXT, 
	currency LONGTEXT NOT NULL, 
	amount_due BIGINT NOT NULL COMMENT 'minor units', 
	amount_paid BIGINT NOT NULL COMMENT 'minor units', 
	attempt_count INTEGER NOT NULL DEFAULT 0, 
	number LONGTEXT, 
	total BIGINT COMMENT 'minor units', 
	amount_remaining BIGINT COMMENT 'minor units', 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS operations (
	id VARCHAR(255) NOT NULL, 
	kind LONGTEXT NOT NULL, 
	mark LONGTEXT COMMENT 'names it at Stripe; null in rows of earlier versions: the id', 
	principal LONGTEXT NOT NULL, 
	livemode BOOL NOT NULL, 
	request JSON NOT NULL COMMENT 'the validated request', 
	phase LONGTEXT NOT NULL, 
	facts JSON NOT NULL COMMENT 'what the phases found out; enough to resume', 
	finished BOOL NOT NULL DEFAULT false, 
	response_status INTEGER, 
	response_body LONGBLOB, 
	response_content_type LONGTEXT, 
	request_id LONGTEXT, 
	lease_owner LONGTEXT, 
	lease_expires_at DATETIME(6) NOT NULL, 
	fence BIGINT NOT NULL COMMENT 'grows with every change of the driver', 
	attempts INTEGER NOT NULL, 
	last_error LONGTEXT, 
	personal_id LONGTEXT COMMENT 'in personal_data; empty: nothing personal; null: not parted yet', 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS outbox (
	seq BIGINT NOT NULL AUTO_INCREMENT, 
	object_type LONGTEXT NOT NULL, 
	object_id LONGTEXT NOT NULL, 
	`before` JSON, 
	after JSON, 
	cause LONGTEXT NOT NULL COMMENT 'the id of the event or operation', 
	created_at DATETIME(6) NOT NULL, 
	personal_id LONGTEXT COMMENT 'in personal_data; empty: nothing personal; null: not parted yet', 
	PRIMARY KEY (seq)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS payment_intents (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	stripe_customer_id VARCHAR(255), 
	amount BIGINT NOT NULL COMMENT 'minor units', 
	amount_received BIGINT NOT NULL COMMENT 'minor units', 
	payment_method_id LONGTEXT, 
	latest_charge_id LONGTEXT, 
	cancellation_reason LONGTEXT, 
	last_error_code LONGTEXT, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS personal_data (
	id VARCHAR(255) NOT NULL COMMENT 'of the row that refers to it', 
	customer_id VARCHAR(255) COMMENT 'our id of the person', 
	stripe_customer_id VARCHAR(255), 
	content JSON NOT NULL COMMENT 'the personal fields that the row held', 
	created_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS prices (
	id VARCHAR(255) NOT NULL, 
	product_id LONGTEXT NOT NULL, 
	lookup_key VARCHAR(255), 
	currency LONGTEXT NOT NULL, 
	unit_amount BIGINT COMMENT 'minor units; null for tiers and decimal amounts', 
	recurring_interval LONGTEXT, 
	interval_count INTEGER, 
	metered BOOL NOT NULL COMMENT 'it takes no quantity' DEFAULT false, 
	active BOOL NOT NULL, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	deleted BOOL NOT NULL DEFAULT false, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS products (
	id VARCHAR(255) NOT NULL, 
	name LONGTEXT, 
	active BOOL NOT NULL, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	deleted BOOL NOT NULL DEFAULT false, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS refunds (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	charge_id VARCHAR(255), 
	payment_intent_id LONGTEXT, 
	amount BIGINT NOT NULL COMMENT 'minor units', 
	reason LONGTEXT, 
	failure_reason LONGTEXT, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS schema_versions (
	number INTEGER NOT NULL, 
	revision LONGTEXT NOT NULL, 
	phase LONGTEXT NOT NULL COMMENT 'expand or contract', 
	oldest_application INTEGER NOT NULL COMMENT 'oldest application schema number that still works', 
	applied_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (number)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS setup_intents (
	id VARCHAR(255) NOT NULL COMMENT 'Stripe''s id', 
	status LONGTEXT, 
	currency LONGTEXT, 
	stripe_customer_id VARCHAR(255), 
	payment_method_id LONGTEXT, 
	`usage` LONGTEXT, 
	cancellation_reason LONGTEXT, 
	last_error_code LONGTEXT, 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	PRIMARY KEY (id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS subscriptions (
	id VARCHAR(255) NOT NULL, 
	stripe_subscription_id VARCHAR(255), 
	customer_id VARCHAR(255), 
	stripe_customer_id VARCHAR(255), 
	product_id VARCHAR(255) NOT NULL, 
	ordered_product_id LONGTEXT COMMENT 'the product that was ordered here, whatever Stripe shows now', 
	price_id LONGTEXT NOT NULL, 
	quantity BIGINT COMMENT 'null: a metered price has none', 
	status LONGTEXT NOT NULL, 
	pause_behavior LONGTEXT COMMENT 'of invoices while their collection is paused', 
	pause_resumes_at DATETIME(6), 
	paused_reason LONGTEXT COMMENT 'why the status is paused', 
	exclusive BOOL NOT NULL COMMENT 'holds the slot of customer and product_id in the index', 
	operation_id LONGTEXT COMMENT 'the operation that made it', 
	joined JSON NOT NULL COMMENT 'when it got each of its products, in seconds; null: it was made with it' DEFAULT '{}', 
	joined_at DATETIME(6) COMMENT 'when it was seen first, or got a product, or began', 
	cancel_at_period_end BOOL NOT NULL DEFAULT false, 
	cancel_at DATETIME(6), 
	canceled_at DATETIME(6), 
	ended_at DATETIME(6), 
	trial_end DATETIME(6), 
	current_period_start DATETIME(6), 
	current_period_end DATETIME(6), 
	latest_invoice_id LONGTEXT, 
	items JSON NOT NULL DEFAULT '[]', 
	metadata JSON NOT NULL, 
	livemode BOOL NOT NULL, 
	stripe_updated BIGINT NOT NULL DEFAULT 0, 
	created_at DATETIME(6) NOT NULL, 
	updated_at DATETIME(6) NOT NULL, 
	holds_slot TINYINT GENERATED ALWAYS AS (CASE WHEN exclusive AND status IN ('creating', 'incomplete', 'trialing', 'active', 'past_due', 'unpaid', 'paused') THEN 1 END) VIRTUAL, 
	PRIMARY KEY (id), 
	CONSTRAINT uq_subscriptions_stripe_subscription_id UNIQUE (stripe_subscription_id)
)ENGINE=InnoDB CHARSET=utf8mb4 COLLATE utf8mb4_nopad_bin $$
CREATE TABLE IF NOT EXISTS alembic_version (version_num VARCHAR(32) NOT NULL PRIMARY KEY) ENGINE=InnoDB $$
CREATE INDEX IF NOT EXISTS ix_api_keys_former_digest ON api_keys (former_digest) $$
CREATE INDEX IF NOT EXISTS ix_api_keys_principal ON api_keys (principal) $$
CREATE UNIQUE INDEX IF NOT EXISTS uq_api_keys_digest ON api_keys (digest) $$
CREATE INDEX IF NOT EXISTS ix_charges_payment_intent_id ON charges (payment_intent_id) $$
CREATE INDEX IF NOT EXISTS ix_charges_stripe_customer_id ON charges (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_checkout_sessions_stripe_customer_id ON checkout_sessions (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_customers_address_key ON customers (livemode, address_key) $$
CREATE INDEX IF NOT EXISTS ix_customers_address_since ON customers (livemode, address_since) $$
CREATE INDEX IF NOT EXISTS ix_customers_created_at ON customers (livemode, created_at, id) $$
CREATE INDEX IF NOT EXISTS ix_customers_email ON customers (livemode, email) $$
CREATE INDEX IF NOT EXISTS ix_customers_erased_at ON customers (updated_at, id) $$
CREATE UNIQUE INDEX IF NOT EXISTS uq_customers_livemode_email_key ON customers (livemode, email_key) $$
CREATE UNIQUE INDEX IF NOT EXISTS uq_customers_livemode_reference ON customers (livemode, reference) $$
CREATE UNIQUE INDEX IF NOT EXISTS uq_customers_stripe_customer_id ON customers (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_disputes_charge_id ON disputes (charge_id) $$
CREATE INDEX IF NOT EXISTS ix_events_available_at ON events (available_at) $$
CREATE INDEX IF NOT EXISTS ix_events_group_key ON events (group_key) $$
CREATE INDEX IF NOT EXISTS ix_events_object_id ON events (object_id) $$
CREATE INDEX IF NOT EXISTS ix_events_settled_at ON events (settled_at) $$
CREATE INDEX IF NOT EXISTS ix_idempotency_keys_expires_at ON idempotency_keys (expires_at) $$
CREATE INDEX IF NOT EXISTS ix_invoice_payments_invoice_id ON invoice_payments (invoice_id) $$
CREATE INDEX IF NOT EXISTS ix_invoices_stripe_customer_id ON invoices (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_invoices_stripe_subscription_id ON invoices (stripe_subscription_id) $$
CREATE INDEX IF NOT EXISTS ix_invoices_updated_at ON invoices (updated_at) $$
CREATE INDEX IF NOT EXISTS ix_operations_lease_expires_at ON operations (lease_expires_at) $$
CREATE INDEX IF NOT EXISTS ix_operations_personal_id ON operations (id) $$
CREATE INDEX IF NOT EXISTS ix_payment_intents_stripe_customer_id ON payment_intents (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_personal_data_customer_id ON personal_data (customer_id) $$
CREATE INDEX IF NOT EXISTS ix_personal_data_stripe_customer_id ON personal_data (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_prices_lookup_key ON prices (livemode, lookup_key) $$
CREATE INDEX IF NOT EXISTS ix_refunds_charge_id ON refunds (charge_id) $$
CREATE INDEX IF NOT EXISTS ix_setup_intents_stripe_customer_id ON setup_intents (stripe_customer_id) $$
CREATE INDEX IF NOT EXISTS ix_subscriptions_created_at ON subscriptions (livemode, created_at, id) $$
CREATE INDEX IF NOT EXISTS ix_subscriptions_customer_id ON subscriptions (customer_id, id) $$
CREATE INDEX IF NOT EXISTS ix_subscriptions_joined_at ON subscriptions (livemode, joined_at) $$
CREATE INDEX IF NOT EXISTS ix_subscriptions_stripe_customer_id ON subscriptions (stripe_customer_id) $$
CREATE UNIQUE INDEX IF NOT EXISTS uq_subscriptions_slot ON subscriptions (livemode, customer_id, product_id, holds_slot) $$
CREATE UNIQUE INDEX IF NOT EXISTS uq_subscriptions_stripe_subscription_id ON subscriptions (stripe_subscription_id) $$
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
            SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1142, MESSAGE_TEXT = 'audit_log: nobody is known as that';
        END IF;
    ELSEIF stated = 'anonymous' OR named <> '' AND form IN ('cli', 'worker', 'migration') THEN
        SET NEW.on_behalf_of = stated;
    ELSE
        SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1142, MESSAGE_TEXT = 'audit_log: nobody is known as that';
    END IF;
    SET NEW.actor = CONCAT('database:', NEW.database_role);
    SET NEW.created_at = UTC_TIMESTAMP(6);
END $$
CREATE OR REPLACE TRIGGER audit_log_no_update BEFORE UPDATE ON audit_log FOR EACH ROW
SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1142, MESSAGE_TEXT = 'audit_log is append-only' $$
CREATE OR REPLACE TRIGGER audit_log_no_delete BEFORE DELETE ON audit_log FOR EACH ROW
IF OLD.created_at > UTC_TIMESTAMP(6) - INTERVAL 90 DAY THEN
    SIGNAL SQLSTATE '42000' SET MYSQL_ERRNO = 1142, MESSAGE_TEXT = 'audit_log is append-only';
END IF $$
CREATE OR REPLACE TRIGGER outbox_personal BEFORE INSERT ON outbox FOR EACH ROW
BEGIN
    DECLARE names LONGTEXT DEFAULT CASE NEW.object_type WHEN 'customers' THEN '["email", "address_key", "email_key", "name", "reference", "metadata"]' WHEN 'subscriptions' THEN '["metadata"]' WHEN 'invoice_payments' THEN '["metadata"]' WHEN 'payment_intents' THEN '["metadata"]' WHEN 'setup_intents' THEN '["metadata"]' WHEN 'charges' THEN '["metadata"]' WHEN 'refunds' THEN '["metadata"]' WHEN 'disputes' THEN '["metadata"]' WHEN 'checkout_sessions' THEN '["metadata", "client_reference_id"]' ELSE '[]' END;
    DECLARE held_before, held_after LONGTEXT DEFAULT '{}';
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
            
            IF JSON_TYPE(NEW.`before`) = 'OBJECT' AND JSON_CONTAINS_PATH(NEW.`before`, 'one', path) THEN
                SET found = JSON_EXTRACT(NEW.`before`, path);
                SET filled = filled OR found NOT IN ('null', '{}', '""');
                SET held_before = JSON_SET(held_before, path, JSON_EXTRACT(NEW.`before`, path));
                SET left_before = JSON_SET(left_before, path, NULL);
            END IF;

            IF JSON_TYPE(NEW.`after`) = 'OBJECT' AND JSON_CONTAINS_PATH(NEW.`after`, 'one', path) THEN
                SET found = JSON_EXTRACT(NEW.`after`, path);
                SET filled = filled OR found NOT IN ('null', '{}', '""');
                SET held_after = JSON_SET(held_after, path, JSON_EXTRACT(NEW.`after`, path));
                SET left_after = JSON_SET(left_after, path, NULL);
            END IF;
        END WHILE;
        IF filled THEN
            SET ours = 
    CASE NEW.object_type WHEN 'customers' THEN
        (SELECT id FROM customers WHERE id = NEW.object_id OR stripe_customer_id = NEW.object_id)
    END
;
            SET stripes = 
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
    END
;
            IF COALESCE(ours, stripes) IS NOT NULL THEN
                SET NEW.personal_id = CONCAT('outbox_', UUID());
                INSERT INTO personal_data (id, customer_id, stripe_customer_id, content, created_at)
                VALUES (NEW.personal_id, ours, stripes,
                        CONCAT('{"before": ', held_before, ', "after": ', held_after, '}'), NEW.created_at);
            END IF;
            SET NEW.`before` = left_before;
            SET NEW.`after` = left_after;
        END IF;
    END IF;
END $$
CREATE OR REPLACE TRIGGER outbox_forget AFTER DELETE ON outbox FOR EACH ROW
IF OLD.personal_id <> '' THEN
    DELETE FROM personal_data WHERE id = OLD.personal_id;
END IF $$
CREATE OR REPLACE TRIGGER operations_forget AFTER DELETE ON operations FOR EACH ROW
IF OLD.personal_id <> '' THEN
    DELETE FROM personal_data WHERE id = OLD.personal_id;
END IF $$
INSERT INTO alembic_version VALUES ('0019_key_principals') $$
INSERT INTO schema_versions VALUES (1, '0001_foundation', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (2, '0002_access', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (3, '0003_append_only_audit', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (4, '0004_payment_objects', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (5, '0005_inbox_indexes', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (6, '0006_discarded_events', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (7, '0007_key_values', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (8, '0008_former_digests', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (9, '0009_newest_first', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (10, '0010_slots', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (11, '0011_key_scopes', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (12, '0012_addresses', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (13, '0013_marks', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (14, '0014_retention', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (15, '0015_personal_data', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (16, '0016_back_fill', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (17, '0017_joined', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (18, '0018_actors', 'expand', 1, '2026-11-29 12:00:00') $$
INSERT INTO schema_versions VALUES (19, '0019_key_principals', 'expand', 1, '2026-11-29 12:00:00') $$
