"""The forms of ids: what they take, and that each means the same to Python and in the document."""

from __future__ import annotations

import re
from typing import Annotated

import msgspec
import pytest

from payment_service.http import id_types
from payment_service.http.wording import in_plain_words
from payment_service.reconcile.schemas import ReconcileRequest

GOOD = {
    id_types.SUBSCRIPTION: ["lps_01a2247bf64a81c59b50098cca785428", "sub_1MowVDLkdIwHu7ixraBm864M"],
    id_types.CUSTOMER: ["lpc_01a2247bf64a19485337be1b2bfc84e9", "cus_NffrFeUfNV2Hib", "lpc_NffrFeUfNV2Hib"],
    id_types.OPERATION: ["lpo_01a2247bf64aaaf530deabf847ab2df8"],
    id_types.API_KEY: ["lpk_01a2247bf64a81c59b50098cca785428"],
    id_types.EVENT: ["evt_1NG8Du2eZvKYlo2CUI79vXWy", "evt_test_65QH2Zx"],
    id_types.PAYMENT_METHOD: ["pm_card_visa", "pm_1Q0PsIJvEtkwdCNYMSaVuRz6", "card_1", "src_1"],
    id_types.SETUP_INTENT: ["seti_1Mm8s8LkdIwHu7ix0OXBfTRG"],
    id_types.PAYMENT: ["pi_3MtwBwLkdIwHu7ix28a3tqPa", "ch_3MmlLrLkdIwHu7ix0snN0B15", "py_1Q0PsIJvEtkwdCNYMSaVuRz6"],
    id_types.INVOICE: ["in_1MtHbELkdIwHu7ixl4OzzPMv"],
    id_types.METHOD_TYPE: ["card", "us_bank_account", "p24"],
    id_types.OBJECT: ["price_1MoBy5LkdIwHu7ixZhnattbh", "gold", "pro-monthly", "plan.2015", "a@b:c", "..."],
    id_types.PATH_REFERENCE: ["user-1815", "ada@example.com", "a.b:c_d", "..."],
    id_types.EVENT_TYPES: ["invoice.paid", "invoice.*", "*", "v2.core.account[requirements].updated"],
    id_types.FEED_EVENT: ["evt_00000000000000079bbb0af5"],
    id_types.FEED_CURSOR: ["evt_00000000000000079bbb0af5", "latest"],
    id_types.PREVIEW: ["pvw_1800000000_1800000600" + "_0123456789abcdef0123456789abcdef" * 2],
    id_types.WEBHOOK_ENDPOINT: ["lpw_01a2247bf64a81c59b50098cca785428"],
    id_types.WEBHOOK_DELIVERY: ["lpd_01a2247bf64a81c59b50098cca785428"],
    id_types.WEBHOOK_REPLAY: ["lpr_01a2247bf64a81c59b50098cca785428"],
    id_types.FEED_TYPE: ["invoice.paid", "invoice.*"],
    id_types.FEED_TYPES: ["invoice.paid", "invoice.*,customer.created"],
    id_types.WORD: ["create_subscription"],
    id_types.EMAIL: ["ada@example.com", "ä@b"],
    id_types.LINE: ["Ada", "é 日本", "", "\U0001f600"],
    id_types.METADATA_KEY: ["plan", "my key", "lean_payment"],
    id_types.INSTANT: ["0", "1767225600", "2026-01-31T12:00:00Z"],
    id_types.MOMENT_OR_NOW: ["now", "2026-01-31T12:00:00Z"],
    id_types.MOMENT: ["2026-01-31T12:00:00Z", "2026-01-31T12:00:00.123456+05:30"],
}
HOSTILE = ["../prices/x", "a/b", "a\\b", "a?b", "a#b", "a b\n", "a\r\nb", "a\x00", "a\x7f", "a\x85b", "a\u2028b"]
TEXTS = {id_types.LINE, id_types.EMAIL, id_types.EVENT_TYPES, id_types.METADATA_KEY}
IDS = [form for form in id_types.FORMS if form not in TEXTS]


@pytest.mark.parametrize(("form", "value"), [(form, value) for form, values in GOOD.items() for value in values])
def test_a_good_value_has_the_form_and_the_same_with_a_line_feed_has_not(form: str, value: str) -> None:
    assert re.search(form, value)
    assert not re.search(form, f"{value}\n")


@pytest.mark.parametrize("form", IDS)
def test_no_id_can_leave_its_place_or_its_line(form: str) -> None:
    for value in [*HOSTILE, "", ".", ".."]:
        assert not re.search(form, value)
    for prefix in ("lps_", "cus_", "evt_", "pm_", "lpo_", "price_"):
        assert not any(re.search(form, prefix + value) for value in HOSTILE)


def test_every_form_is_tried_here_and_explained_to_people() -> None:
    assert GOOD.keys() == id_types.FORMS.keys()
    for form in id_types.FORMS:
        assert re.search(r"\\Z|\(\?P|\(\?[aiLmsux]", form) is None  # ECMAScript has none of these
        with pytest.raises(msgspec.ValidationError) as refused:
            msgspec.convert("\n", Annotated[str, msgspec.Meta(pattern=form)])
        assert in_plain_words(str(refused.value)) == f"Expected {id_types.FORMS[form]}"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Expected `str`, got `int`", "Expected string, got integer"),
        ("Expected `int` <= 999", "Expected integer <= 999"),
        ("Expected `object | null`, got `str` - at `$`", "Expected object | null, got string"),
        ("Expected `str`, got `float` - at `$[...]`", "a value in it: Expected string, got number"),
        ("Expected `str` of length <= 40 - at `key` in `$`", "a name in it: Expected string of length <= 40"),
        ("Expected `datetime | null`, got `int`", "Expected moment | null, got integer"),
    ],
)
def test_messages_name_types_of_json(said: str, told: str) -> None:
    assert in_plain_words(said) == told


@pytest.mark.parametrize("text", ["", "soon", "2026-13-01T00:00:00Z", "2026-01-31", "2026-01-31T12:00:00"])
def test_what_is_no_moment_is_shown_one(text: str) -> None:
    with pytest.raises(msgspec.ValidationError) as refused:
        msgspec.convert({"since": text}, ReconcileRequest)
    assert in_plain_words(str(refused.value)).endswith(f"Expected {id_types.FORMS[id_types.MOMENT]}")
