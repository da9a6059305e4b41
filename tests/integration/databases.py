"""Which scenarios run on which databases.

SQLite and PostgreSQL run all that take a database; MariaDB a sample, and all of them under `make soak ONLY=mariadb`.
"""

from __future__ import annotations

import os
from typing import Final

BOTH: Final = ("sqlite", "postgresql")
SAMPLE: Final = frozenset(
    {
        "test_webhook_deliveries.test_what_a_killed_worker_held_is_sent_by_another",
        "test_webhook_deliveries.test_what_fails_keeps_its_object_waiting_and_no_other",
        "test_webhook_replays.test_a_replay_goes_on_where_a_killed_worker_was",
        "test_change_slots.test_of_two_changes_to_one_product_at_once_one_alone_is_made",
        "test_create_subscription.test_a_card_is_charged_and_the_subscription_is_active",
        "test_customer_identity.test_requests_by_one_new_address_at_the_same_moment_make_one_customer",
        "test_erasure.test_killed_at_any_commit_it_ends_later",
        "test_erasure.test_many_deletions_at_once_are_all_done",
        "test_erasure.test_nothing_personal_is_left_of_a_customer_deleted_at_stripe",
        "test_event_races.test_cancellations_of_one_subscription_at_the_same_moment_take_turns",
        "test_feed.test_a_new_subscription_is_told_in_the_shape_of_the_api",
        "test_feed.test_a_place_behind_which_events_were_removed_is_410",
        "test_feed.test_an_erased_person_is_in_no_event",
        "test_feed_numbers.test_a_row_that_is_committed_late_has_its_number_then",
        "test_feed_numbers.test_the_number_of_a_row_that_was_rolled_back_is_given_up",
        "test_feed_numbers.test_what_is_past_its_retention_loses_its_number_and_the_count_goes_on",
        "test_feed_odd_rows.test_each_row_is_told_in_its_place_whatever_stands_beside_it",
        "test_feed_states.test_each_event_shows_the_object_as_it_was_then",
        "test_idempotency.test_a_retry_after_a_lost_answer_of_stripe_charges_once",
        "test_idempotency.test_an_interrupted_request_is_resumed_although_its_price_is_not_sold_any_more",
        "test_idempotency.test_concurrent_copies_charge_once",
        "test_inbox.test_a_burst_costs_one_fetch",
        "test_inbox.test_a_lease_that_has_run_out_is_taken_over_and_its_former_holder_settles_nothing",
        "test_inbox.test_a_poison_event_blocks_nothing_and_is_dead_at_once",
        "test_inbox.test_a_redelivery_arms_a_dead_event_and_one_that_waits_after_a_failure",
        "test_inbox.test_events_of_one_object_are_claimed_by_one_worker_at_a_time",
        "test_inbox.test_every_kind_of_object_is_applied_as_stripe_has_it",
        "test_inbox.test_workers_that_claim_at_the_same_moment_never_share_an_object",
        "test_order_independence.test_any_permutation_with_duplicates_and_losses_gives_the_rows_of_the_ordered_history",
        "test_paging.test_lists_are_filtered_by_when_their_objects_were_created",
        "test_payment_methods.test_a_detached_card_is_nobodys_and_keeps_nothing_personal",
        "test_reconcile.test_a_gap_longer_than_stripes_memory_starts_a_sweep_over_all_objects",
        "test_reconcile.test_an_hour_without_webhooks_loses_no_state",
        "test_reconcile.test_one_of_many_processes_runs_what_is_due",
        "test_recovery.test_while_recovering_mutations_wait_and_everything_else_goes_on",
        "test_retention.test_a_recent_audit_row_stays_whoever_deletes_it",
        "test_retention.test_rows_go_in_batches_from_the_oldest_on",
        "test_slots.test_a_second_product_on_one_subscription_takes_its_slot",
        "test_slots.test_the_slot_of_a_product_that_two_share_is_free_when_both_have_ended",
        "test_subscriptions.test_each_change_of_state_is_in_the_outbox",
        "test_subscriptions.test_pages_follow_each_other_without_gap_or_overlap",
        "test_unknown_outcomes.test_after_a_day_the_object_is_found_by_its_metadata",
        "test_webhooks.test_duplicated_delayed_and_wrongly_signed_deliveries_end_in_the_same_rows",
    }
)
"""What the whole service is to do alike: creation, keys, claims, slots, order, audit, erasure, retention, recovery,
events of ours."""


def of(module: str, test: str) -> tuple[str, ...]:
    """Return the databases on which a test runs."""
    chosen = f"{module.rpartition('.')[2]}.{test}" in SAMPLE
    return (*BOTH, "mariadb") if chosen or os.environ.get("PAYMENTS_TEST_DATABASES") == "all" else BOTH
