from __future__ import annotations

import re
from typing import TYPE_CHECKING

from tests.cluster.images import builders
from tests.cluster.images.recipes import Recipe, recipes

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def _recipe(folder: Path) -> Recipe:
    (folder / "src").mkdir()
    (folder / "src/a.py").write_text("1")
    (folder / "Dockerfile").write_text("FROM scratch AS one")
    return Recipe("one", "one", folder / "Dockerfile", {"src": folder / "src"})


def test_the_tag_follows_content_names_and_the_dockerfile(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    first = recipe.tag()
    assert recipe.tag() == first
    (tmp_path / "src/a.py").write_text("2")
    changed = recipe.tag()
    (tmp_path / "src/a.py").rename(tmp_path / "src/b.py")
    renamed = recipe.tag()
    (tmp_path / "Dockerfile").write_text("FROM scratch AS two")
    assert len({first, changed, renamed, recipe.tag()}) == 4


def test_bytecode_does_not_change_the_tag(tmp_path: Path) -> None:
    recipe = _recipe(tmp_path)
    first = recipe.tag()
    (tmp_path / "src/__pycache__").mkdir()
    (tmp_path / "src/__pycache__/a.pyc").write_text("x")
    assert recipe.tag() == first


def test_every_file_that_a_dockerfile_copies_is_in_its_context() -> None:
    for recipe in recipes().values():
        names = {name for name, _ in recipe.files()}
        stages = re.split(r"^FROM .* AS ", recipe.dockerfile.read_text(), flags=re.MULTILINE)[1:]
        built = f"build-{recipe.target}"
        used = {recipe.target, *(("build", built) if any(stage.startswith(f"{built}\n") for stage in stages) else ())}
        for stage in stages:
            head, *lines = stage.splitlines()
            if head not in used:
                continue
            copied = [line.split()[1:-1] for line in lines if line.startswith("COPY") and "--from" not in line]
            for pattern in (item for items in copied for item in items):
                start = pattern.partition("*")[0]
                assert any(name.startswith(start) for name in names), (recipe.name, pattern)


def test_the_operator_and_the_service_do_not_rebuild_each_other() -> None:
    for name, other in (("service", "operator"), ("operator", "service")):
        assert not any(file.startswith(f"{other}/src") for file, _ in recipes()[name].files())


def test_index_settings_are_mounted_and_not_arguments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIP_INDEX_URL", "https://user:secret@index.example/simple")
    monkeypatch.setenv("UV_DEFAULT_INDEX", "https://user:secret@index.example/simple")
    mounted = builders._index_settings(tmp_path)
    assert [target for _, target in mounted] == ["/etc/pip.conf", "/etc/uv/uv.toml"]
    assert all("secret@index.example" in source.read_text() for source, _ in mounted)
