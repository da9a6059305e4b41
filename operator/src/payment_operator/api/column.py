"""A column of ``kubectl get``."""

from typing import Any

import msgspec


class Column(msgspec.Struct, frozen=True):
    """One column of ``kubectl get``."""

    name: str
    type: str
    path: str
    priority: int = 0

    def manifest(self) -> dict[str, Any]:
        """The column as the CRD writes it; priority 1 is shown by ``-o wide`` only."""
        return {"name": self.name, "type": self.type, "jsonPath": self.path} | (
            {"priority": self.priority} if self.priority else {}
        )
