"""The programs that dump and restore MariaDB verify the server as the address has it, or have nothing to do with it."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest
from tests.requirements import require
from tests.servers import dumps
from tests.servers.certificates import issue, make_authority
from tests.servers.mariadb import FAST, PROGRAM, TLS, MariaDBServer
from tests.servers.stack import migrate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CIPHER = "query \"SHOW SESSION STATUS LIKE 'Ssl_cipher'\""
UNCHECKED = dumps.LOGIN.partition("number=0 reasons=")[0] + 'options=$(address 1)\nclient mariadb-dump "$database"\n'
"""A dump before which nobody has asked whether the connection is encrypted."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[MariaDBServer, Path]]:
    """A server that takes TLS only, for `localhost`, and the certificates of its authority and of another."""
    require(PROGRAM.exists(), what="MariaDB", command="apt-get install mariadb-server-core mariadb-client")
    certificates = tmp_path_factory.mktemp("certificates")
    for name in ("ca", "other"):
        make_authority(certificates, name=name)
    issue(certificates, names="DNS:localhost")
    made = MariaDBServer(settings=FAST | TLS)
    made.create()
    made.take_certificate(certificates / "server.crt", certificates / "server.key")
    made.start()
    yield made, certificates
    made.remove()


@pytest.fixture(scope="module")
def url(server: tuple[MariaDBServer, Path]) -> str:
    """The address of a database on it, by name."""
    return server[0].new_database().replace("127.0.0.1", "localhost")


@pytest.fixture
def folder(server: tuple[MariaDBServer, Path]) -> Iterator[Path]:
    """A pod's volumes, with the authorities where its user may read them."""
    with dumps.pod() as made:
        for name in ("ca", "other"):
            shutil.copy(server[1] / f"{name}.crt", made / "secret")
            (made / "secret" / f"{name}.crt").chmod(0o644)
        yield made


def test_a_dump_is_made_and_restored_through_a_verified_connection(
    server: tuple[MariaDBServer, Path], url: str, folder: Path
) -> None:
    query = f"ssl-mode=VERIFY_IDENTITY&ssl-ca={folder / 'secret' / 'ca.crt'}"
    migrate(f"{url}?{query}")
    saved = dumps.run("backup", folder, url=f"{url}?{query}")
    assert (saved.returncode, saved.stderr) == (0, "")
    empty = server[0].new_database().replace("127.0.0.1", "localhost")
    done = dumps.run("restore", folder, url=f"{empty}?{query}")
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("mode", ["ssl-mode=VERIFY_IDENTITY", "ssl-mode=VERIFY_CA", ""])
def test_the_authority_of_the_chart_is_taken(url: str, folder: Path, mode: str) -> None:
    authority = str(folder / "secret" / "ca.crt")
    named = f"{url}?{mode}" if mode else f"{url}?ssl-ca={authority}"
    said = dumps.say(dumps.LOGIN + CIPHER, folder, url=named, PGSSLROOTCERT=authority)
    assert said.returncode == 0, said.stderr
    assert said.stdout.split()[1].startswith("TLS_")


@pytest.mark.parametrize(
    ("host", "authority"),
    [("localhost", "other"), ("127.0.0.1", "ca")],
    ids=["another authority", "another name"],
)
@pytest.mark.parametrize("script", [dumps.LOGIN + CIPHER, UNCHECKED], ids=["login", "dump"])
def test_what_is_not_the_server_is_told_nothing(
    url: str, folder: Path, *, host: str, authority: str, script: str
) -> None:
    query = f"ssl-mode=VERIFY_IDENTITY&ssl-ca={folder / 'secret' / f'{authority}.crt'}"
    said = dumps.say(script, folder, url=f"{url.replace('localhost', host)}?{query}")
    assert said.returncode != 0
    assert "certificate" in said.stderr.lower() or "TLS/SSL error" in said.stderr
    assert "CREATE TABLE" not in said.stdout


@pytest.mark.parametrize(
    ("mode", "script"),
    [
        ("VERIFY_IDENTITY", UNCHECKED),
        ("VERIFY_CA", UNCHECKED),
        # with nothing to verify MariaDB's programs go on in plain text, so the login asks first what there is
        ("REQUIRED", dumps.LOGIN + 'client mariadb-dump "$database"\n'),
    ],
)
def test_a_server_without_tls_is_not_dumped_in_plain_text(
    mariadb_server: MariaDBServer, folder: Path, mode: str, script: str
) -> None:
    address = f"{mariadb_server.new_database()}?ssl-mode={mode}&ssl-ca={folder / 'secret' / 'ca.crt'}"
    said = dumps.say(script, folder, url=address)
    assert said.returncode != 0
    assert said.stdout == ""
