"""MariaDB that requires TLS, and addresses that verify its certificate."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from tests.requirements import require
from tests.servers.certificates import issue, make_authority
from tests.servers.mariadb import FAST, PROGRAM, TLS, MariaDBServer
from tests.servers.stack import development_settings

from payment_service.storage.database import Database, is_unavailable

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_IN_USE = text("SHOW SESSION STATUS LIKE 'Ssl_cipher'")


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two authorities; the server's certificate is the first one's and valid for `localhost` only."""
    folder = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        make_authority(folder, name=name)
    issue(folder, names="DNS:localhost")
    return folder


@pytest.fixture(scope="module")
def url(certificates: Path) -> Iterator[str]:
    """The address of a database on it, by name."""
    require(PROGRAM.exists(), what="MariaDB", command="apt-get install mariadb-server-core mariadb-client")
    made = MariaDBServer(settings=FAST | TLS)
    made.create()
    made.take_certificate(certificates / "server.crt", certificates / "server.key")
    made.start()
    yield made.new_database().replace("127.0.0.1", "localhost")
    made.remove()


async def cipher(url: str) -> str:
    """Connect and return what the connection is encrypted with; empty: it is not."""
    database = Database.from_settings(development_settings(database_url=url, stripe_url="http://127.0.0.1:1").database)
    try:
        async with database.read() as connection:
            return str((await connection.execute(_IN_USE)).one()[1])
    finally:
        await database.close()


async def test_the_right_authority_and_name_are_taken_encrypted(url: str, certificates: Path) -> None:
    assert await cipher(f"{url}?ssl-mode=VERIFY_IDENTITY&ssl-ca={certificates / 'ca.crt'}")


async def test_of_two_hosts_each_is_verified_by_its_own_name(url: str, certificates: Path) -> None:
    assert await cipher(f"{url.replace('@', '@127.0.0.1:9,')}?ssl-ca={certificates / 'ca.crt'}")


async def test_the_authority_may_come_from_the_environment_and_change(
    url: str, certificates: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As the chart's `database.ca` gives it to every container."""
    file = tmp_path / "ca.crt"
    monkeypatch.setenv("PGSSLROOTCERT", str(file))
    file.write_bytes((certificates / "other.crt").read_bytes())
    with pytest.raises(DBAPIError, match="certificate verify failed"):
        await cipher(f"{url}?ssl-mode=VERIFY_IDENTITY")
    file.write_bytes((certificates / "ca.crt").read_bytes())
    assert await cipher(f"{url}?ssl-mode=VERIFY_IDENTITY")


@pytest.mark.parametrize(
    ("host", "authority"),
    [("localhost", "other"), ("127.0.0.1", "ca")],
    ids=["another authority", "another name"],
)
async def test_what_is_not_the_server_is_refused(url: str, certificates: Path, host: str, authority: str) -> None:
    query = f"ssl-mode=VERIFY_IDENTITY&ssl-ca={certificates / f'{authority}.crt'}"
    with pytest.raises(DBAPIError, match="certificate verify failed") as refused:
        await cipher(f"{url.replace('localhost', host)}?{query}")
    assert is_unavailable(refused.value)


@pytest.mark.parametrize(("mode", "taken"), [("VERIFY_CA&ssl-ca={ca}", True), ("REQUIRED", True), ("DISABLED", False)])
async def test_modes_that_look_at_less_encrypt_and_plain_text_is_the_servers_to_refuse(
    url: str, certificates: Path, mode: str, *, taken: bool
) -> None:
    address = f"{url.replace('localhost', '127.0.0.1')}?ssl-mode={mode.format(ca=certificates / 'ca.crt')}"
    if taken:
        assert await cipher(address)
    else:
        with pytest.raises(DBAPIError, match=r"insecure transport|Access denied"):
            await cipher(address)


async def test_a_server_without_tls_gets_no_password(mariadb_server: MariaDBServer) -> None:
    address = mariadb_server.new_database()
    assert await cipher(address) == ""
    with pytest.raises(Exception, match=r".") as refused:
        await cipher(f"{address}?ssl-mode=REQUIRED")
    assert is_unavailable(refused.value)
