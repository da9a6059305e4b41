"""A stateful stand-in for Stripe, for development and tests: objects, money, idempotency, signed webhooks, faults."""

from stripe_simulator.simulator import Simulator

__all__ = ["Simulator"]
