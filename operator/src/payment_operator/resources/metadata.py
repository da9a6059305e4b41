"""Labels, owners and the identity that every object carries."""

from dataclasses import dataclass
from typing import Any

from payment_operator import names

Manifest = dict[str, Any]


@dataclass(frozen=True)
class Owner:
    """The PaymentEnvironment that objects belong to."""

    name: str
    namespace: str
    uid: str

    def reference(self) -> Manifest:
        """The owner reference that lets the garbage collector remove an object with its environment."""
        return {
            "apiVersion": names.API_VERSION,
            "kind": names.KIND,
            "name": self.name,
            "uid": self.uid,
            "controller": True,
        }

    def labels(self, component: str = "", revision: str = "") -> dict[str, str]:
        """The labels of an object or pod."""
        labels = {
            names.LABEL_NAME: names.APPLICATION,
            names.LABEL_INSTANCE: self.name,
            names.LABEL_MANAGED_BY: names.MANAGER,
            names.LABEL_ENVIRONMENT: self.name,
        }
        if component:
            labels[names.LABEL_COMPONENT] = component
        if revision:
            labels[names.LABEL_REVISION] = revision
        return labels

    def selector(self, component: str, revision: str = "") -> dict[str, str]:
        """Selects the pods of a component, of all revisions or of one."""
        selector = {names.LABEL_ENVIRONMENT: self.name, names.LABEL_COMPONENT: component}
        return selector | ({names.LABEL_REVISION: revision} if revision else {})

    def owns(self, item: Manifest) -> bool:
        """Whether an object is of this very environment, not of a deleted one of the same name."""
        return any(reference["uid"] == self.uid for reference in item["metadata"].get("ownerReferences") or [])

    def owned(self, manifest: Manifest) -> Manifest:
        """The manifest as an object of this environment."""
        metadata = manifest["metadata"] | {"namespace": self.namespace, "ownerReferences": [self.reference()]}
        return manifest | {"metadata": metadata}
