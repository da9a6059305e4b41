"""An environment on servers of its own, and an operator that runs with the rights that the chart ships."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.cluster.chart.conftest import say, whole
from tests.cluster.operator import harness
from tests.cluster.operator.harness import Operator, Shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.cluster.environment import Namespace

__all__ = ["say", "whole"]


@pytest.fixture(scope="module")
def shop(servers: Namespace) -> Shop:
    """The Secret, the rights and the kind are there; nothing is applied yet."""
    harness.install_crd(servers)
    harness.grant(servers)
    made = Shop(servers)
    made.secret()
    made.catalog()
    return made


@pytest.fixture(scope="module")
def operator(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operator]:
    """An operator for the namespace of the shop."""
    folder = tmp_path_factory.mktemp("operator")
    kubeconfig = harness.token_kubeconfig(shop.namespace, folder)
    with Operator((shop.namespace.name,), kubeconfig, folder) as running:
        yield running
