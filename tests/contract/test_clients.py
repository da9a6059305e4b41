"""Programs of others read the document: a linter, a generator of clients, a compiler, and the client then works.

And a library of theirs verifies webhooks, as a receiver in JavaScript does.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from tests.npm import FOLDER, install, run
from tests.requirements import require

from payment_service.deliveries.signing import make_secret, signed_headers

if TYPE_CHECKING:
    from collections.abc import Callable

BROWSER = """
const said = (...words) => console.log(...words);
let submit;
globalThis.location = { origin: "http://shop" };
globalThis.document = { querySelector: () => ({ addEventListener: (_, listener) => { submit = listener; } }) };
globalThis.fetch = async (path, { method }) => {
  said(method, path);
  return { json: async () => ({ client_secret: "secret_1", client_secret_kind: "KIND" }) };
};
const confirm = (name) => async ({ elements, confirmParams }) => {
  if (!elements) throw new Error("no elements");
  said(name, confirmParams.return_url);
  return {};
};
globalThis.Stripe = () => ({
  elements: ({ clientSecret }) => {
    said(clientSecret);
    return { create: () => ({ mount: (where) => said(where) }) };
  },
  confirmPayment: confirm("confirmPayment"),
  confirmSetup: confirm("confirmSetup"),
});
"""
"""As much of a browser, and of Stripe.js, as the page uses."""
RECEIVER = """
import { Webhook } from "standardwebhooks";
const [body, headers, ...secrets] = process.argv.slice(2);
for (const secret of secrets) {
  let said = "refused";
  try { said = new Webhook(secret).verify(body, JSON.parse(headers)).name; } catch {}
  console.log(said);
}
"""
DOCUMENT = Path(__file__).parents[2] / "docs" / "openapi.json"


@pytest.fixture(scope="module")
def tool() -> Callable[..., str]:
    """Run a program of the npm packages, which are installed once."""
    install()
    return run


def test_redocly_finds_nothing(tool: Callable[..., str]) -> None:
    said = tool("redocly", "lint", "--config", FOLDER / "redocly.yaml", DOCUMENT)
    assert "warning" not in said.lower().replace("deprecation warning", "")


def test_a_generated_client_compiles_strictly_and_works(
    tool: Callable[..., str], base_url: str, tmp_path: Path
) -> None:
    tool("openapi-typescript", DOCUMENT, "--output", FOLDER / "schema.d.ts")
    tool("tsc", "--project", FOLDER, "--outDir", tmp_path)
    # beside the packages that it imports
    (tmp_path / "package.json").write_text('{"type": "module"}')
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    node = shutil.which("node")
    assert node is not None
    subprocess.run([node, tmp_path / "client.js", base_url], check=True, timeout=60)


@pytest.mark.parametrize(("kind", "called"), [("payment", "confirmPayment"), ("setup", "confirmSetup")])
def test_the_page_for_browsers_confirms_what_the_answer_holds(kind: str, called: str, tmp_path: Path) -> None:
    node = shutil.which("node")
    require(node, what="node", command="apt-get install nodejs npm")
    page = (FOLDER.parents[2] / "docs" / "browser.md").read_text()
    script = page.partition('<script type="module">')[2].partition("</script>")[0]
    (tmp_path / "page.mjs").write_text(
        BROWSER.replace("KIND", kind) + script + "await submit({ preventDefault() {} });"
    )
    answer = subprocess.run([str(node), tmp_path / "page.mjs"], capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == ["POST", "/subscribe", "secret_1", "#payment", called, "http://shop/welcome"]


@pytest.mark.usefixtures("tool")
def test_receivers_in_javascript_verify_webhooks_with_either_secret_of_a_rotation(tmp_path: Path) -> None:
    old, new, other = (make_secret() for _ in range(3))
    body = json.dumps({"name": "Zoë"}, ensure_ascii=False)
    headers = signed_headers(webhook_id="evt_1", timestamp=int(time.time()), body=body.encode(), secrets=[new, old])
    (tmp_path / "receiver.mjs").write_text(RECEIVER)
    (tmp_path / "node_modules").symlink_to(FOLDER / "node_modules")
    node = shutil.which("node")
    assert node is not None
    program = [node, str(tmp_path / "receiver.mjs"), body, json.dumps(headers), old, new, other]
    answer = subprocess.run(program, capture_output=True, text=True, check=True, timeout=60)
    assert answer.stdout.split() == ["Zoë", "Zoë", "refused"]
