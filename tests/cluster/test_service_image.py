"""The service image as pods run it: uid 10001, a read-only root, no build tools; it serves (`test_smoke.py`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.cluster.chart.skaffold import SkaffoldRelease

pytestmark = pytest.mark.timeout(420)  # the image may have to be built first

LOOK = """
import json, os, shutil
def writable(path):
    try:
        open(path + "/probe", "w").close()
    except OSError:
        return False
    os.unlink(path + "/probe")
    return True
print(json.dumps({
    "ids": [os.getuid(), os.getgid()],
    "writable": [path for path in ("/", "/app", "/etc", "/usr", "/tmp") if writable(path)],
    "tools": [name for name in ("gcc", "cc", "make", "uv", "git") if shutil.which(name)],
}))
"""


@pytest.mark.parametrize("component", ["api", "worker"])
def test_the_image_runs_as_nobody_on_a_read_only_root_without_build_tools(
    payments: SkaffoldRelease, component: str
) -> None:
    found = json.loads(payments.exec("python3", "-c", LOOK, component=component))
    assert found == {"ids": [10001, 10001], "writable": ["/tmp"], "tools": []}
    status, answer = payments.namespace.request(f"{payments.url}/health")
    assert (status, answer["status"]) == (200, "healthy")
