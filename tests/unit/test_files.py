from pathlib import Path

import pytest

from bundle.errors import BundleError
from bundle.files import files_written_together, folder_written_whole, written_whole


def write(path, meanwhile, overwrite=False):
    with written_whole(path, overwrite=overwrite) as temporary:
        temporary.write_text("mine")
        meanwhile()


def throw(error):
    raise error


def test_the_file_appears_at_the_end(tmp_path):
    path = tmp_path / "new" / "a.txt"
    with written_whole(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.suffix == ".txt"
    assert path.read_text() == "whole"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_keeps_what_was_there(tmp_path):
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(OSError, match="disk full"):
        write(path, lambda: throw(OSError("disk full")), overwrite=True)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_nothing_is_overwritten_unasked_not_even_what_came_meanwhile(tmp_path):
    path = tmp_path / "a.txt"
    with pytest.raises(BundleError, match=r"a\.txt exists already"):
        write(path, lambda: path.write_text("another's"))
    assert path.read_text() == "another's"
    with pytest.raises(BundleError, match="--overwrite True"):
        write(path, lambda: None)


def test_a_folder_appears_whole_and_replaces_only_when_asked(tmp_path):
    path = tmp_path / "new" / "a.zarr"
    for content, overwrite in (("1", False), ("2", True)):
        with folder_written_whole(path, overwrite) as temporary:
            temporary.mkdir()
            (temporary / "x").write_text(content)
        assert (path / "x").read_text() == content
    with pytest.raises(BundleError, match="exists already"), folder_written_whole(path):
        pytest.fail("the body must not run")
    assert [entry.name for entry in path.parent.iterdir()] == ["a.zarr"]


def write_half_a_folder(path):
    with folder_written_whole(path, overwrite=True) as temporary:
        temporary.mkdir()
        (temporary / "x").write_text("half")
        raise OSError("full")


def test_a_folder_that_fails_leaves_nothing_and_keeps_the_old(tmp_path):
    path = tmp_path / "a.zarr"
    path.mkdir()
    with pytest.raises(OSError, match="full"):
        write_half_a_folder(path)
    assert list(tmp_path.iterdir()) == [path]
    assert list(path.iterdir()) == []


def fill(folder, overwrite):
    with files_written_together(folder, overwrite) as hidden:
        (hidden / "sub").mkdir()
        (hidden / "sub" / "a.txt").write_text("new")
        (hidden / "b.txt").write_text("new")


def contents(folder):
    return {path.relative_to(folder).as_posix(): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_files_written_together_come_all_or_none(tmp_path):
    (tmp_path / "b.txt").write_text("old")
    with pytest.raises(BundleError, match=r"b\.txt exists already"):
        fill(tmp_path, overwrite=False)
    assert contents(tmp_path) == {"b.txt": "old"}
    fill(tmp_path, overwrite=True)
    assert contents(tmp_path) == {"sub/a.txt": "new", "b.txt": "new"}
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("old", [{}, {"b.txt": "old"}, {"b.txt": "old", "sub/a.txt": "old"}])
@pytest.mark.parametrize("failing", ["a.txt", "b.txt"])
def test_of_files_written_together_all_stay_when_one_cannot_move(tmp_path, monkeypatch, old, failing):
    for name, text in old.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rename = Path.rename

    def fail(self, target):
        if ".partial" in str(self) and self.name == failing:
            raise OSError("disk full")
        return rename(self, target)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="disk full"):
            fill(tmp_path, overwrite=True)
    assert contents(tmp_path) == old
    fill(tmp_path, overwrite=True)
    assert contents(tmp_path) == {"sub/a.txt": "new", "b.txt": "new"}


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path):
    (tmp_path / "file").touch()
    with (
        pytest.raises(BundleError, match=r"folder .*file cannot be made .*; give --output_dir another"),
        files_written_together(tmp_path / "file"),
    ):
        pytest.fail("there is nowhere to write to")
