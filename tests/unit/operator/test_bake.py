"""What the metrics of a new revision say about it."""

from __future__ import annotations

import pytest

from payment_operator.api.release import Bake
from payment_operator.model.measures import acute, failed, judge_traffic
from payment_operator.model.samples import Sample, parse

METRICS = """
# TYPE payments_http_requests_total counter
payments_http_requests_total{method="POST",route="/api/v1/payments/create-subscription",status="201"} 90
payments_http_requests_total{method="POST",route="/api/v1/payments/create-subscription",status="503"} 10
payments_http_requests_total{method="GET",route="/health/ready",status="503"} 500
payments_http_requests_total{admitted="true",method="GET",route="/api/v1/customers",status="404"} 20
payments_http_requests_total{admitted="false",method="GET",route="/api/v1/customers",status="401"} 90000
payments_http_requests_total{admitted="false",method="GET",route="/api/v1/customers",status="503"} 5
payments_http_requests_total{admitted="false",method="OPTIONS",route="/api/v1/customers",status="204"} 90000
# TYPE payments_http_request_duration_seconds histogram
payments_http_request_duration_seconds_bucket{le="0.1",method="POST",route="/api/v1/x"} 95
payments_http_request_duration_seconds_bucket{le="2.5",method="POST",route="/api/v1/x"} 100
payments_http_request_duration_seconds_bucket{le="+Inf",method="POST",route="/api/v1/x"} 100
payments_http_request_duration_seconds_bucket{admitted="false",le="0.1",method="POST",route="/api/v1/x"} 90000
payments_http_request_duration_seconds_bucket{admitted="false",le="2.5",method="POST",route="/api/v1/x"} 90000
payments_http_request_duration_seconds_bucket{admitted="false",le="+Inf",method="POST",route="/api/v1/x"} 90000
# TYPE payments_stripe_requests_total counter
payments_stripe_requests_total{operation="create",outcome="ok"} 60
payments_stripe_requests_total{operation="create",outcome="payment_declined"} 30
payments_stripe_requests_total{operation="create",outcome="stripe_misconfigured"} 10
# TYPE payments_database_errors_total counter
payments_database_errors_total{kind="request"} 7
"""


def test_the_contract_s_metrics_are_read_without_probes_and_strangers() -> None:
    sample = parse(METRICS)
    assert (sample.requests, sample.errors) == (125, 15)
    assert (sample.stripe_calls, sample.stripe_failures) == (100, 10)
    assert sample.database_errors == 7
    assert sample.p99_millis() == 2500


@pytest.mark.parametrize(
    ("growth", "limits", "says"),
    [
        (Sample(requests=100, errors=2), Bake(), "20 ‰ of answers were 5xx"),
        (Sample(requests=100, errors=1), Bake(), ""),
        (Sample(requests=10, errors=10), Bake(), ""),
        (Sample(stripe_calls=50, stripe_failures=20), Bake(), "400 ‰ of calls to Stripe failed"),
        (Sample(database_errors=6), Bake(), "6 database errors"),
        (Sample(requests=100, buckets={1.0: 90, 5.0: 100, float("inf"): 100}), Bake(), "p99 is 5000 ms"),
        (Sample(requests=100, buckets={1.0: 100, float("inf"): 100}), Bake(), ""),
    ],
)
def test_a_look_says_what_is_wrong(growth: Sample, limits: Bake, says: str) -> None:
    found = failed(acute(growth, restarts=0, ready=2, limits=limits)) or judge_traffic(growth, limits)
    assert found.startswith(says)
    assert bool(found) == bool(says)


def test_restarts_and_missing_pods_need_no_traffic() -> None:
    assert failed(acute(Sample(), restarts=1, ready=2, limits=Bake())) == "1 container restarts, at most 0 are accepted"
    assert failed(acute(Sample(), restarts=0, ready=0, limits=Bake())) == "no pod is ready"


def test_only_the_growth_since_the_last_look_counts() -> None:
    former, later = parse(METRICS), parse(METRICS.replace('"503"} 10', '"503"} 15'))
    grown = later.since(former)
    assert (grown.requests, grown.errors) == (5, 5)
    assert Sample(requests=3).since(former).requests == 3
    restarted = Sample(requests=500, errors=2, stripe_calls=1)
    assert restarted.since(former).errors == 2, "one counter that fell says that all began anew"
