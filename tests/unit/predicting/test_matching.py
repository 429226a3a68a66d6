import pytest

from bundle.predicting.inputs import matching


@pytest.fixture
def folder(tmp_path):
    for name in ("a.tif", ".h/x.tif", "[b]/c.tif", "b/c.tif", "b/deep/c.tif", "s.zarr/0/c.tif"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    (tmp_path / "b" / "deep" / "circle").symlink_to(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("*.tif", ["a.tif"]),
        ("A.TI?", ["a.tif"]),
        (".*/*.tif", [".h/x.tif"]),
        ("[b]/*.tif", ["[b]/c.tif"]),  # as it is written, since it is there
        ("[b-c]/*.tif", ["b/c.tif"]),
        ("**/c.tif", ["[b]/c.tif", "b/c.tif", "b/deep/c.tif"]),
        ("b/**/*.tif", ["b/c.tif", "b/deep/c.tif"]),
        ("b/../*.tif", ["b/../a.tif"]),
        ("a.tif/*", []),
        ("gone/*", []),
    ],
)
def test_matching(folder, pattern, expected):
    found = matching(folder / pattern, lambda path: path.suffix == ".zarr")
    assert [path.relative_to(folder).as_posix() for path in found] == expected


def test_relative_patterns(folder, monkeypatch):
    monkeypatch.chdir(folder)
    assert [str(path) for path in matching("*.tif", lambda _: False)] == ["a.tif"]
