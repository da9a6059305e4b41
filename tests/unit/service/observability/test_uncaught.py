"""What nothing caught is printed without secrets, by every program of ours."""

from __future__ import annotations

import subprocess
import sys

import pytest

SECRET = "sk_live_" + "a1B2-c3D4_" * 4
ENDS = {
    "main": "raise ValueError(SECRET)",
    "thread": "thread = threading.Thread(target=lambda: int(SECRET)); thread.start(); thread.join()",
    "destructor": "class Last:\n    def __del__(self): int(SECRET)\nLast()",
}


@pytest.mark.parametrize("package", ["payment_service.observability", "payment_operator"])
@pytest.mark.parametrize("end", ENDS)
def test_no_traceback_holds_a_secret(end: str, package: str) -> None:
    code = f"import threading\nfrom {package}.uncaught import redact_uncaught\nredact_uncaught()\n"
    code += f"SECRET = {SECRET!r}\n{ENDS[end]}\n"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False).stderr
    assert "ValueError" in said
    assert "sk_live_" in said or "***" in said
    assert "a1B2-c3D4" not in said
