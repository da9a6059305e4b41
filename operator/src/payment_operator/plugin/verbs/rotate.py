"""``rotate``: the operator of this version does not rotate secrets by itself."""

from payment_operator.plugin.context import Context
from payment_operator.plugin.errors import Refused


def rotate(context: Context) -> int:
    """Refuse, and say how a credential is changed now.

    Raises:
        Refused: always.
    """
    raise Refused(
        f"this version cannot rotate {context.options.what} by itself",
        fix="put the new value into the Secret that the spec names: the operator releases it blue-green",
    )
