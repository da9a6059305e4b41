"""How the resource is called in the API."""

from typing import Final

GROUP: Final = "payments.leanconstruction.io"
VERSION: Final = "v1alpha1"
KIND: Final = "PaymentEnvironment"
PLURAL: Final = "paymentenvironments"
