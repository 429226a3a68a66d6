"""Torch's archives, read as data: what is more than data, damaged or a bomb is refused."""

import pickle
import zipfile
from pathlib import Path

import pytest
import torch

from bundle.archive import TorchArchive, UnreadableError, load_data


def test_plain_data_come_back(tmp_path: Path) -> None:
    torch.save({"weights": torch.arange(3), "name": "x", "numbers": [1, 2.5, None]}, tmp_path / "data.pt")
    loaded = load_data(tmp_path / "data.pt")
    assert torch.equal(loaded.pop("weights"), torch.arange(3))
    assert loaded == {"name": "x", "numbers": [1, 2.5, None]}


def test_a_bomb_is_not_unpacked(tmp_path: Path) -> None:
    path = tmp_path / "bomb.pt"
    torch.save({"weights": torch.zeros(2**22)}, path)
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert path.stat().st_size < 2**16, "it unpacks to 16 MB"
    with pytest.raises(UnreadableError):
        load_data(path)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", pickle.dumps({"x": Path})])
def test_what_torch_did_not_write_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "data.pt").write_bytes(content)
    with pytest.raises(UnreadableError):
        load_data(tmp_path / "data.pt")


def write_archive(path: Path, members: dict[str, bytes]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


def test_members_are_read_by_name_in_the_size_that_is_asked_for(tmp_path: Path) -> None:
    values = torch.randn(2, 3)
    write_archive(tmp_path / "x.ts", {"x/data/0": values.numpy().tobytes(), "x/extra/text": b"hello"})
    with TorchArchive(tmp_path / "x.ts") as archive:
        assert archive.members == {"data/0": 24, "extra/text": 5}
        assert archive.read_text("extra/text") == b"hello"
        assert torch.equal(archive.read_tensor("data/0", values), values)
        for name, like in (("data/0", values[:1]), ("data/1", values)):
            with pytest.raises(UnreadableError, match=f"its {name} is no tensor of the shape"):
                archive.read_tensor(name, like)
        with pytest.raises(UnreadableError, match="its extra/other is missing"):
            archive.read_text("extra/other")


def test_a_large_text_is_not_unpacked(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.ts", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x/extra/text", bytes(2**26 + 1))
    with (
        TorchArchive(tmp_path / "x.ts") as archive,
        pytest.raises(UnreadableError, match="extra/text has 67108865 bytes"),
    ):
        archive.read_text("extra/text")


def test_an_archive_of_several_folders_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.ts", {"x/data/0": b"", "../y": b""})
    with pytest.raises(UnreadableError, match="not in one folder"):
        TorchArchive(tmp_path / "x.ts")


def test_a_damaged_member_is_refused(tmp_path: Path) -> None:
    write_archive(tmp_path / "x.ts", {"x/data/0": bytes(24)})
    content = bytearray((tmp_path / "x.ts").read_bytes())
    content[content.index(b"x/data/0") + 10] = 1
    (tmp_path / "x.ts").write_bytes(content)
    with (
        TorchArchive(tmp_path / "x.ts") as archive,
        pytest.raises(UnreadableError, match="data/0 is missing or damaged"),
    ):
        archive.read_tensor("data/0", torch.zeros(6))


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_what_is_refused_needs_no_word_of_torchs(
    tmp_path: Path, protocol: int, recwarn: pytest.WarningsRecorder
) -> None:
    (tmp_path / "a.pt").write_bytes(pickle.dumps({"a": Path("b")}, protocol))
    with pytest.raises(UnreadableError):
        load_data(tmp_path / "a.pt")
    assert not recwarn.list
