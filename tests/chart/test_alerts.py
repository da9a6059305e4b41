from __future__ import annotations

import json
import re
import subprocess
from functools import cache
from typing import TYPE_CHECKING, Any

import pytest
import yaml
from tests.chart.tools import CHART, promtool, render

if TYPE_CHECKING:
    from pathlib import Path

ROOT = CHART.parent
ALERTS = sorted(path.stem for path in (CHART / "files" / "rules").glob("*.yaml"))
ENVIRONMENT = 'namespace="billing",environment="pay-lean-payments"'
REQUESTS = "payments_http_requests_total"
API = ',route="/api/v1/subscriptions",admitted="true"'
CROWD = API.replace("true", "false")
LATENCY = "payments_http_request_duration_seconds"
CUT, LOST_KEYS = "payments_http_connections_cut_total", "payments_api_keys_without_secret_key"
HPA = 'namespace="billing",horizontalpodautoscaler="pay-lean-payments-api"'
BACKUP = 'kube_cronjob_status_last_successful_time{namespace="billing",cronjob="pay-lean-payments-backup"}'
CERTIFICATE = 'certmanager_certificate_expiration_timestamp_seconds{namespace="billing",name="pay-lean-payments"}'

SECRET = 'kube_secret_created{namespace="billing",secret="s"}'
MIGRATION = 'kube_job_failed{namespace="billing",job_name="pay-lean-payments-migrate",condition="true"}'
DEPLOYMENT = '{namespace="billing",deployment="pay-lean-payments-api"}'

OPERATOR = 'namespace="billing",job="pay-lean-payments-operator"'
ROTATED_LABELS = ',exported_namespace="billing",exported_environment="shop"'
DIGEST = f"sha256:{'0' * 64}"
PINNED = ("--set", f"image.digest={DIGEST},operator.image.digest={DIGEST}")

Series = dict[str, str]


def ours(metric: str, values: str, labels: str = "") -> Series:
    return {f"{metric}{{{ENVIRONMENT}{labels}}}": values}


def operators(metric: str, values: str, labels: str = "") -> Series:
    return {f"{metric}{{{OPERATOR}{labels}}}": values}


def per_minute(count: float) -> str:
    return f"0+{count}x240"


# The series of a time with the problem and of one without; evaluated after three hours.
CASES: dict[str, tuple[Series, Series]] = {
    "PaymentOperatorDown": (operators("up", "0x240"), operators("up", "1x240")),
    "PaymentOperatorWithoutLeader": (
        operators("payment_operator_leader", "0x240"),
        operators("payment_operator_leader", "0x240", ',pod="a"')
        | operators("payment_operator_leader", "1x240", ',pod="b"'),
    ),
    "PaymentOperatorFailing": (
        operators("payment_operator_reconciles_total", per_minute(6), ',result="error"')
        | operators("payment_operator_reconciles_total", per_minute(2), ',result="done"'),
        operators("payment_operator_reconciles_total", per_minute(1), ',result="error"')
        | operators("payment_operator_reconciles_total", per_minute(9), ',result="done"'),
    ),
    "PaymentOperatorBehind": (
        operators("payment_operator_queue_depth", "3x240"),
        operators("payment_operator_queue_depth", "3 0 3 0 3 0 3 0 3 0" + " 3 0" * 115),
    ),
    "PaymentOperatorReleaseFailed": (
        operators("payment_operator_releases_total", "0x150 1x90", ',outcome="rolled_back"'),
        operators("payment_operator_releases_total", per_minute(1), ',outcome="released"'),
    ),
    "PaymentOperatorTrafficOverridden": (
        operators("payment_operator_traffic_overridden", "1x240", ROTATED_LABELS),
        operators("payment_operator_traffic_overridden", "0x240", ROTATED_LABELS),
    ),
    "PaymentOperatorEnvironmentFailing": (
        operators("payment_operator_environment_failing", "1x240", ROTATED_LABELS),
        operators("payment_operator_environment_failing", "0x240", ROTATED_LABELS),
    ),
    "PaymentOperatorWorkersIdle": (
        operators("payment_operator_workers_idle", "1x240", ROTATED_LABELS),
        operators("payment_operator_workers_idle", "0x240", ROTATED_LABELS),
    ),
    "PaymentOperatorCommandsUntaken": (
        operators("payment_operator_commands_untaken", "1x240", ROTATED_LABELS),
        operators("payment_operator_commands_untaken", "0x240", ROTATED_LABELS),
    ),
    "PaymentOperatorBakeInconclusive": (
        operators("payment_operator_bake_inconclusive", "1x240", ROTATED_LABELS),
        operators("payment_operator_bake_inconclusive", "0x240", ROTATED_LABELS),
    ),
    "PaymentOperatorWebhookRotation": (
        operators("payment_operator_webhook_rotation_failed", "1x240", ROTATED_LABELS),
        operators("payment_operator_webhook_rotation_failed", "0x240", ROTATED_LABELS)
        | operators("payment_operator_webhook_due_timestamp_seconds", "7200x240", ROTATED_LABELS),
    ),
    "PaymentOperatorKeyRefused": (
        operators("payment_operator_api_key_refused", "1x240", ROTATED_LABELS),
        operators("payment_operator_api_key_refused", "0x240", ROTATED_LABELS),
    ),
    "PaymentOperatorKeyOverdue": (
        operators("payment_operator_api_key_due_timestamp_seconds", "3600x240", ROTATED_LABELS),
        operators("payment_operator_api_key_due_timestamp_seconds", "14400x240", ROTATED_LABELS),
    ),
    "PaymentOperatorDatabaseRotation": (
        operators("payment_operator_database_rotation_failed", "1x240", ROTATED_LABELS),
        operators("payment_operator_database_rotation_failed", "0x240", ROTATED_LABELS)
        | operators("payment_operator_database_due_timestamp_seconds", "7200x240", ROTATED_LABELS),
    ),
    "PaymentOperatorSecretKeyMissing": (
        operators("payment_operator_secret_key_failed", "1x240", ROTATED_LABELS),
        operators("payment_operator_secret_key_failed", "0x240", ROTATED_LABELS)
        | operators("payment_operator_secret_key_still_needed", "1x240", ROTATED_LABELS),
    ),
    "PaymentOperatorSecretKeyStillNeeded": (
        operators("payment_operator_secret_key_still_needed", "1x240", ROTATED_LABELS),
        operators("payment_operator_secret_key_still_needed", "0x240", ROTATED_LABELS),
    ),
    "PaymentsKeysWithoutSecretKey": (
        ours(LOST_KEYS, "0x240", ',pod="a"') | ours(LOST_KEYS, "2x240", ',pod="b"'),
        ours(LOST_KEYS, "0x240"),
    ),
    "PaymentsConnectionsCut": (
        ours(CUT, per_minute(50), ',port="api",reason="slow_head"')
        | ours(CUT, per_minute(50), ',port="api",reason="malformed"'),
        ours(CUT, per_minute(5000), ',port="api",reason="idle"')
        | ours(CUT, per_minute(30), ',port="api",reason="slow_body"'),
    ),
    "PaymentsDoorFull": (
        ours(CUT, per_minute(2), ',port="api",reason="connections"'),
        ours(CUT, per_minute(5000), ',port="api",reason="slow_head"')
        | ours(CUT, "7x240", ',port="api",reason="held_bytes"'),
    ),
    "PaymentsAvailabilityBudgetBurn": (
        ours(REQUESTS, per_minute(95), f'{API},status="200"') | ours(REQUESTS, per_minute(5), f'{API},status="503"'),
        ours(REQUESTS, per_minute(9999), f'{API},status="200"') | ours(REQUESTS, per_minute(1), f'{API},status="503"'),
    ),
    "PaymentsLatencyBudgetBurn": (
        ours(f"{LATENCY}_bucket", per_minute(80), f'{API},le="2.5"') | ours(f"{LATENCY}_count", per_minute(100), API),
        ours(f"{LATENCY}_bucket", per_minute(99), f'{API},le="2.5"') | ours(f"{LATENCY}_count", per_minute(100), API),
    ),
    "PaymentsAvailabilityBudgetSlowBurn": (
        ours(REQUESTS, per_minute(990), f'{API},status="200"') | ours(REQUESTS, per_minute(10), f'{API},status="503"'),
        ours(REQUESTS, per_minute(995), f'{API},status="200"') | ours(REQUESTS, per_minute(5), f'{API},status="503"'),
    ),
    "PaymentsLatencyBudgetSlowBurn": (
        ours(f"{LATENCY}_bucket", per_minute(96), f'{API},le="2.5"') | ours(f"{LATENCY}_count", per_minute(100), API),
        ours(f"{LATENCY}_bucket", per_minute(98), f'{API},le="2.5"') | ours(f"{LATENCY}_count", per_minute(100), API),
    ),
    "PaymentsInboxTooOld": (
        ours("payments_inbox_oldest_unapplied_seconds", "0+60x240"),
        ours("payments_inbox_oldest_unapplied_seconds", "2x240"),
    ),
    "PaymentsDeadEvents": (ours("payments_inbox_dead", "1x240"), ours("payments_inbox_dead", "0x240")),
    "PaymentsOperationsPastLease": (
        ours("payments_operations_past_lease", "1x240"),
        ours("payments_operations_past_lease", "0x240"),
    ),
    "PaymentsPaidInvoicesWithoutRow": (
        ours("payments_paid_invoices_without_row", "1x240"),
        ours("payments_paid_invoices_without_row", "0x240"),
    ),
    "PaymentsDuplicateSubscriptions": (
        ours("payments_duplicate_subscriptions", "1x240"),
        ours("payments_duplicate_subscriptions", "0x240"),
    ),
    "PaymentsErasuresOverdue": (ours("payments_erasures_overdue", "1x240"), ours("payments_erasures_overdue", "0x240")),
    "PaymentsWebhooksUndelivered": (
        ours("payments_webhook_oldest_undelivered_seconds", "0+60x240"),
        ours("payments_webhook_oldest_undelivered_seconds", "900x240"),
    ),
    "PaymentsWebhookEndpointFailing": (
        ours("payments_webhook_endpoints", "1x240", ',state="failing"'),
        ours("payments_webhook_endpoints", "1x240", ',state="disabled"'),
    ),
    "PaymentsRecovering": (ours("payments_recovering", "1x240"), ours("payments_recovering", "0x240")),
    "PaymentsDrift": (
        ours("payments_drift_total", per_minute(1), ',object="invoice"'),
        ours("payments_drift_total", "7x240", ',object="invoice"'),
    ),
    "PaymentsDatabaseErrors": (
        ours("payments_database_errors_total", per_minute(60), ',kind="request"'),
        ours("payments_database_errors_total", "3x240", ',kind="request"'),
    ),
    "PaymentsStripeErrors": (
        ours("payments_stripe_requests_total", per_minute(50), ',outcome="timeout"')
        | ours("payments_stripe_requests_total", per_minute(50), ',outcome="ok"'),
        ours("payments_stripe_requests_total", per_minute(50), ',outcome="payment_declined"')
        | ours("payments_stripe_requests_total", per_minute(50), ',outcome="ok"'),
    ),
    "PaymentsWebhooksRejected": (
        ours("payments_webhooks_received_total", per_minute(10), ',outcome="invalid_signature"'),
        ours("payments_webhooks_received_total", per_minute(10), ',outcome="accepted"'),
    ),
    "PaymentsCardTesting": (
        ours("payments_declines_refused_total", per_minute(3), ',dimension="card"')
        | ours("payments_declines_refused_total", per_minute(2), ',dimension="key"'),
        ours("payments_declines_refused_total", "0+0.2x240", ',dimension="card"'),
    ),
    "PaymentsLimiterOpen": (
        ours("payments_limiter_decisions_total", per_minute(60), ',decision="open"'),
        ours("payments_limiter_decisions_total", per_minute(60), ',decision="allowed"'),
    ),
    "PaymentsWorkerDown": (
        ours("up", "1x240", ',component="api"') | ours("up", "0x240", ',component="worker"'),
        ours("up", "1x240", ',component="worker"'),
    ),
    "PaymentsMigrationFailed": ({MIGRATION: "1x240"}, {MIGRATION: "0x240"}),
    "PaymentsPodsUnready": (
        {
            f"kube_deployment_status_replicas_available{DEPLOYMENT}": "2x240",
            f"kube_deployment_spec_replicas{DEPLOYMENT}": "3x240",
        },
        {
            f"kube_deployment_status_replicas_available{DEPLOYMENT}": "3x240",
            f"kube_deployment_spec_replicas{DEPLOYMENT}": "3x240",
        },
    ),
    "PaymentsSecretTooOld": ({SECRET: "-7800000x240"}, {SECRET: "0x240"}),
    "PaymentsDown": (ours("up", "0x240"), ours("up", "1x240")),
    "PaymentsAutoscalerAtMaximum": (
        {
            f"kube_horizontalpodautoscaler_status_current_replicas{{{HPA}}}": "12x240",
            f"kube_horizontalpodautoscaler_spec_max_replicas{{{HPA}}}": "12x240",
        },
        {
            f"kube_horizontalpodautoscaler_status_current_replicas{{{HPA}}}": "3x240",
            f"kube_horizontalpodautoscaler_spec_max_replicas{{{HPA}}}": "12x240",
        },
    ),
    "PaymentsBackupTooOld": ({BACKUP: "-90000x240"}, {BACKUP: "0x240"}),
    "PaymentsCertificateExpiring": ({CERTIFICATE: "600000x240"}, {CERTIFICATE: "6000000x240"}),
}


@cache
def rules() -> dict[str, Any]:
    enabled = ("--set", "secrets.existingSecret=s,monitoring.rules.enabled=true,operator.enabled=true", *PINNED)
    (rule,) = [manifest for manifest in render(*enabled) if manifest["kind"] == "PrometheusRule"]
    spec: dict[str, Any] = rule["spec"]
    return spec


def fired(alert: str, series: Series, folder: Path) -> bool:
    """Whether promtool sees the alert fire after three hours of these series."""
    (folder / "rules.yaml").write_text(yaml.safe_dump(rules()))
    inputs = [{"series": name, "values": values} for name, values in series.items()]
    silent = {"eval_time": "3h", "alertname": alert, "exp_alerts": []}
    test = {"interval": "1m", "input_series": inputs, "alert_rule_test": [silent]}
    (folder / "test.yaml").write_text(yaml.safe_dump({"rule_files": ["rules.yaml"], "tests": [test]}))
    command = [promtool(), "test", "rules", "test.yaml"]
    result = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)
    output = result.stdout + result.stderr
    assert result.returncode == 0 or f"alertname: {alert}" in output, output
    return result.returncode != 0


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_fires_when_its_condition_is_caused(alert: str, tmp_path: Path) -> None:
    assert fired(alert, CASES[alert][0], tmp_path)


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_is_silent_when_all_is_well(alert: str, tmp_path: Path) -> None:
    assert not fired(alert, CASES[alert][1], tmp_path)


@pytest.mark.parametrize("alert", [alert for alert in ALERTS if "Budget" in alert])
def test_a_crowd_that_is_refused_hides_no_failure(alert: str, tmp_path: Path) -> None:
    crowd = (
        ours(REQUESTS, per_minute(999_999), f'{CROWD},status="401"')
        | ours(f"{LATENCY}_bucket", per_minute(999_999), f'{CROWD},le="2.5"')
        | ours(f"{LATENCY}_count", per_minute(999_999), CROWD)
        | ours(REQUESTS, per_minute(999_999), ',route="/health/ready",admitted="false",status="200"')
    )
    assert fired(alert, CASES[alert][0] | crowd, tmp_path)


def test_promtool_accepts_the_rules(tmp_path: Path) -> None:
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump(rules()))
    subprocess.run([promtool(), "check", "rules", str(tmp_path / "rules.yaml")], check=True, capture_output=True)


def test_every_alert_has_a_runbook_and_every_runbook_an_alert() -> None:
    assert sorted(path.stem for path in (ROOT / "docs" / "runbooks").glob("*.md")) == ALERTS


def test_alerts_use_only_metrics_of_the_contract() -> None:
    contract = (ROOT / "docs" / "contracts.md").read_text()
    used = set(re.findall(r"payments?_[a-z_]+", " ".join(rule["expr"] for rule in rules()["groups"][0]["rules"])))
    assert [name for name in sorted(used) if re.sub("_(bucket|count|sum)$", "", name) not in contract] == []


@pytest.mark.parametrize("kind", ["Webhook", "Database"])
def test_a_rotation_that_is_a_day_overdue_is_told(kind: str, tmp_path: Path) -> None:
    due = f"payment_operator_{kind.lower()}_due_timestamp_seconds"
    assert fired(f"PaymentOperator{kind}Rotation", operators(due, "-90000x240", ROTATED_LABELS), tmp_path)
    assert not fired(f"PaymentOperator{kind}Rotation", operators(due, "-70000x240", ROTATED_LABELS), tmp_path)


def test_a_backup_that_never_succeeded_is_too_old(tmp_path: Path) -> None:
    made = 'kube_cronjob_created{namespace="billing",cronjob="pay-lean-payments-backup"}'
    assert fired("PaymentsBackupTooOld", {made: "-90000x240"}, tmp_path)
    assert not fired("PaymentsBackupTooOld", {made: "0x240"}, tmp_path)
    assert not fired("PaymentsBackupTooOld", {made: "-90000x240", BACKUP: "0x240"}, tmp_path)


def test_every_panel_of_the_dashboard_asks_for_metrics_of_the_contract_in_valid_queries(tmp_path: Path) -> None:
    (board,) = [m for m in render("--set", "secrets.existingSecret=s,monitoring.dashboard.enabled=true") if "data" in m]
    panels = json.loads(board["data"]["lean-payments.json"])["panels"]
    queries = [target["expr"].replace("$__rate_interval", "5m") for panel in panels for target in panel["targets"]]
    assert len(panels) >= 12
    recorded = [{"record": f"panel:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "rules.yaml").write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": recorded}]}))
    subprocess.run([promtool(), "check", "rules", str(tmp_path / "rules.yaml")], check=True, capture_output=True)
    contract = (ROOT / "docs" / "contracts.md").read_text()
    used = set(re.findall(r"payments?_[a-z_]+", " ".join(queries)))
    assert [name for name in sorted(used) if re.sub("_(bucket|count|sum)$", "", name) not in contract] == []


@pytest.mark.parametrize("mode", ["operator.enabled=false", "operator.enabled=true"])
def test_webhooks_that_are_sent_are_watched_in_both_modes(mode: str) -> None:
    values = f"secrets.existingSecret=s,config.stripeMode=test,webhookEndpoints.existingSecret=hooks,{mode}"
    more = "monitoring.rules.enabled=true,monitoring.dashboard.enabled=true"
    manifests = render("--set", values, "--set", more)
    (rule,) = [manifest for manifest in manifests if manifest["kind"] == "PrometheusRule"]
    alerts = {entry["alert"]: entry["expr"] for entry in rule["spec"]["groups"][0]["rules"]}
    assert {"PaymentsWebhooksUndelivered", "PaymentsWebhookEndpointFailing"} <= set(alerts)
    assert "s|hooks" in alerts["PaymentsSecretTooOld"]
    (board,) = [manifest["data"]["lean-payments.json"] for manifest in manifests if "data" in manifest]
    sent = set(re.findall(r"payments_(?:webhook|feed)_[a-z_]+", (ROOT / "docs" / "contracts.md").read_text()))
    assert len(sent) >= 6
    assert [name for name in sorted(sent) if name not in board] == []


def test_the_panels_of_the_dashboard_lie_beside_each_other() -> None:
    panels = json.loads((CHART / "files" / "dashboard.json").read_text())["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len({panel["id"] for panel in panels}) == len(set(places)) == len(panels)


def test_without_an_operator_nothing_is_said_about_one() -> None:
    values = "secrets.existingSecret=s,monitoring.rules.enabled=true,operator.enabled=false"
    (rule,) = [manifest for manifest in render("--set", values) if manifest["kind"] == "PrometheusRule"]
    assert not [entry["alert"] for entry in rule["spec"]["groups"][0]["rules"] if "Operator" in entry["alert"]]


def test_an_alert_can_be_left_out() -> None:
    values = "secrets.existingSecret=s,monitoring.rules.enabled=true,monitoring.rules.disabled={PaymentsDrift}"
    (rule,) = [manifest for manifest in render("--set", values) if manifest["kind"] == "PrometheusRule"]
    assert "PaymentsDrift" not in [entry["alert"] for entry in rule["spec"]["groups"][0]["rules"]]
