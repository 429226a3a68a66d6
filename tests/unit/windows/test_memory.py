import psutil
import pytest
import torch

from bundle.windows import memory
from bundle.windows.memory import ControlGroup, free_memory, is_out_of_memory


@pytest.fixture
def group(tmp_path):
    names = ("limit", "usage", "statistics")
    for name, text in zip(names, ("6000\n", "5000\n", "anon 1000\ninactive_file 3500\nactive_file 500\n"), strict=True):
        (tmp_path / name).write_text(text)
    return ControlGroup(*(tmp_path / name for name in names), "inactive_file")


def test_pages_of_files_that_were_read_are_free(group, monkeypatch):
    monkeypatch.setattr(memory, "CONTROL_GROUPS", (group,))
    assert free_memory() == 6000 - 5000 + 3500
    group.usage.write_text("20000")
    assert free_memory() == 0


def test_without_a_limit_it_is_what_the_computer_has(group, monkeypatch):
    monkeypatch.setattr(memory, "CONTROL_GROUPS", (group,))
    for text in ("max", None):
        group.limit.unlink()
        if text:
            group.limit.write_text(text)
        assert 0 < free_memory() <= psutil.virtual_memory().total


@pytest.mark.parametrize(
    "error", [MemoryError(), torch.OutOfMemoryError("x"), RuntimeError("DefaultCPUAllocator: not enough memory")]
)
def test_lack_of_memory_is_seen_through_what_is_wrapped_around_it(error):
    wrapped = RuntimeError("applying transform")
    wrapped.__cause__ = error
    assert is_out_of_memory(error)
    assert is_out_of_memory(wrapped)
    assert not is_out_of_memory(RuntimeError("sizes do not match"))
