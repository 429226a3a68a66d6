"""Archives of a collection: downloads that go on, checksums, and members that stay in their folder."""

import io
import tarfile

import pytest

from bundle.collection.archives import CHECKSUMS, fetch, unpack
from bundle.errors import BundleError
from tests.collection import served

CONTENT = bytes(range(256)) * 20000


@pytest.fixture
def site(tmp_path):
    folder = tmp_path / "site"
    folder.mkdir()
    (folder / "a.tar.gz").write_bytes(CONTENT)
    return folder


def test_a_download_that_broke_goes_on_from_where_it_was(site, tmp_path):
    with (
        served(site, limit=1_500_000) as (url, _),
        pytest.raises(BundleError, match="the same command goes on") as caught,
    ):
        fetch("a.tar.gz", url, tmp_path / "kept")
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "kept" / "a.tar.gz").exists()
    done = (tmp_path / "kept" / "a.tar.gz.partial").stat().st_size
    assert 0 < done <= 1_500_000
    with served(site) as (url, asked):
        assert fetch("a.tar.gz", url, tmp_path / "kept").read_bytes() == CONTENT
    assert asked == [("a.tar.gz", f"bytes={done}-")]


def test_what_is_there_is_not_downloaded_again_but_verified(site, tmp_path):
    with served(site) as (url, asked):
        path = fetch("a.tar.gz", url, tmp_path / "kept")
        fetch("a.tar.gz", url, tmp_path / "kept")
    assert len(asked) == 1
    path.write_bytes(CONTENT[:-1])
    with pytest.raises(BundleError, match="is not what it was when it was first seen") as caught:
        fetch("a.tar.gz", url, tmp_path / "kept")
    assert str(tmp_path / "kept" / CHECKSUMS) in str(caught.value)


def test_an_archive_that_the_server_does_not_have_is_a_sentence(site, tmp_path):
    with served(site) as (url, _), pytest.raises(BundleError, match="could not be downloaded") as caught:
        fetch("b.tar.gz", url, tmp_path / "kept")
    assert "404" in str(caught.value)


def archive(path, name):
    with tarfile.open(path, "w:gz") as file:
        member = tarfile.TarInfo(name)
        member.size = 3
        file.addfile(member, io.BytesIO(b"abc"))
    return path


def test_members_stay_in_their_folder(tmp_path):
    assert (unpack(archive(tmp_path / "a.tar.gz", "in/a.txt"), tmp_path / "a") / "in" / "a.txt").read_bytes() == b"abc"
    with pytest.raises(BundleError, match="would leave its folder"):
        unpack(archive(tmp_path / "b.tar.gz", "../../b.txt"), tmp_path / "b")
    assert not (tmp_path / "b").exists()
    assert not (tmp_path.parent / "b.txt").exists()


@pytest.mark.parametrize("share", [0, 0.4, 0.95])
def test_an_archive_that_is_cut_short_is_a_sentence(tmp_path, share):
    path = archive(tmp_path / "a.tar.gz", "a.txt")
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(BundleError, match="cut short"):
        unpack(path, tmp_path / "a")
    assert not (tmp_path / "a").exists()
