"""Checks a PaymentEnvironment without a cluster: the schema, then the rules of the CRD."""
