"""Adapters that keep everything in memory, for tests of the real operator without a cluster or the network.

They are as strict as what they stand for: what an API server or Stripe refuses, they refuse with the same words.
"""

from payment_operator.clients.protocols import Clients
from payment_operator.testing.database import InMemoryRoles
from payment_operator.testing.kubernetes import InMemoryKubernetes
from payment_operator.testing.pods import InMemoryPods
from payment_operator.testing.stripe import InMemoryStripe

__all__ = ["Clients", "InMemoryKubernetes", "InMemoryPods", "InMemoryRoles", "InMemoryStripe"]
