"""What kubectl complains about becomes an error with its fix. The complaints are recorded from a real API server."""

from __future__ import annotations

import pytest

from payment_operator.plugin.complaints import error_of
from payment_operator.plugin.errors import NotFound, NotPermitted, PluginError, Unreachable, WrongUsage

FORBIDDEN = (
    'Error from server (Forbidden): paymentenvironments.payments.leanconstruction.io "shop" is forbidden: User "eva" '
    'cannot patch resource "paymentenvironments" in API group "payments.leanconstruction.io" in the namespace "billing"'
)
DENIED = (
    'Error from server (Forbidden): error when creating "STDIN": environmentrequests "shop-promote-x" is forbidden: '
    "ValidatingAdmissionPolicy 'p' with binding 'p' denied request: spec.by must be your own name"
)
EVERYWHERE = (
    'Error from server (Forbidden): pods is forbidden: User "eva" cannot list resource "pods" in API group "" at the '
    "cluster scope"
)


@pytest.mark.parametrize(
    ("complaint", "kind", "says", "fix"),
    [
        (
            'error: the server doesn\'t have a resource type "paymentenvironments"',
            NotFound,
            "CustomResourceDefinition is not installed",
            "kubectl apply --server-side -f chart/crds",
        ),
        (FORBIDDEN, NotPermitted, "eva may not patch paymentenvironments in namespace billing", "Role in billing"),
        (FORBIDDEN, NotPermitted, "eva", 'verbs: ["patch"]'),
        (
            'error: unable to recognize "STDIN": no matches for kind "EnvironmentRequest" in version "v1alpha1"',
            NotFound,
            "does not know EnvironmentRequest",
            "kubectl apply --server-side -f chart/crds",
        ),
        (
            DENIED,
            NotPermitted,
            "an admission policy refuses it: spec.by must be your own name",
            "",
        ),
        (EVERYWHERE, NotPermitted, "in the whole cluster", "ClusterRole"),
        (
            'Error from server (NotFound): paymentenvironments.payments.leanconstruction.io "x" not found',
            NotFound,
            "no paymentenvironments named x",
            "",
        ),
        ("error: You must be logged in to the server (Unauthorized)", NotPermitted, "credentials", "whoami"),
        ("error: EOF", NotPermitted, "credentials", "log in again"),
        (
            "Error in configuration: context was not found for specified context: nope",
            WrongUsage,
            "context was not found",
            "get-contexts",
        ),
        ("error: stat /nonexistent: no such file or directory", WrongUsage, "/nonexistent", "get-contexts"),
        (
            "The connection to the server localhost:8080 was refused - did you specify the right host or port?",
            Unreachable,
            "localhost:8080",
            "get-contexts",
        ),
        ("Error from server: etcdserver: request timed out", PluginError, "etcdserver: request timed out", ""),
        ("", PluginError, "without a word", ""),
    ],
)
def test_a_complaint_becomes_an_error_with_its_fix(
    complaint: str, kind: type[PluginError], says: str, fix: str
) -> None:
    error = error_of(complaint)
    assert type(error) is kind
    assert says in str(error)
    assert fix in error.fix


def test_exit_codes_are_those_that_help_promises() -> None:
    codes = {kind.__name__: kind.exit_code for kind in PluginError.__subclasses__()}
    assert codes == {
        "WrongUsage": 2,
        "Refused": 3,
        "NotFound": 4,
        "NotPermitted": 5,
        "NoAnswer": 6,
        "Unreachable": 7,
    }
