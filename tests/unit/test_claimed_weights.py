"""Small checkpoints that claim much: each ends in a sentence, before memory is taken."""

import io
import json
import resource
import struct
import tarfile

import onnx
import pytest
import torch

from bundle.errors import BundleError
from bundle.network import RepMode
from bundle.runtimes import load_checkpoint

MANY = 2**39  # values: 2 TB in float32


class Claim:
    """Is pickled as a tensor of many values, of which two are stored."""

    def __init__(self, named: bool) -> None:
        self.storage = torch.zeros(2)
        self.named = named

    def __reduce__(self):
        size, stride = ((MANY,), (1,)) if self.named else ((2**20, 2**19), (2**19, 1))
        return torch._utils._rebuild_tensor_v2, (self.storage.storage(), 0, size, stride, False, {})


def zipped(path):
    torch.save({"weight": Claim(True), "_extra_state": torch.zeros(3, dtype=torch.uint8)}, path)


def legacy(path):
    torch.save({"weight": Claim(False)}, path, _use_new_zipfile_serialization=False)


def described(path):
    """Weights of the widest network there is, of which nothing is there."""
    state = RepMode(["dna"], base_width=1).state_dict()
    text = bytes(state["_extra_state"].tolist()).decode().replace('"base_width": 1', '"base_width": 4096')
    assert "4096" in text
    torch.save({"_extra_state": torch.tensor(list(text.encode()), dtype=torch.uint8)}, path)


def tar(path):
    with tarfile.open(path, "w") as archive:
        for name in ("../storages", "tensors", "pickle"):
            content = struct.pack("<q", MANY) * 4
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def safetensors(path):
    entry = {"w": {"dtype": "F32", "shape": [MANY], "data_offsets": [0, 4 * MANY]}}
    text = json.dumps(entry).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + bytes(8))


def safetensors_header(path):
    path.write_bytes(struct.pack("<Q", 2**40) + b"{}" + bytes(8))


def onnx_initializer(path):
    tensor = onnx.TensorProto(name="w", dims=[MANY], data_type=onnx.TensorProto.FLOAT, raw_data=bytes(8))
    graph = onnx.helper.make_graph([], "g", [], [], initializer=[tensor])
    path.write_bytes(onnx.helper.make_model(graph).SerializeToString())


WRITERS = {
    "zipped.pt": zipped,
    "legacy.pt": legacy,
    "described.pt": described,
    "tar.pt": tar,
    "a.safetensors": safetensors,
    "b.safetensors": safetensors_header,
    "c.onnx": onnx_initializer,
}


@pytest.mark.parametrize("name", WRITERS)
def test_weights_that_claim_terabytes_are_a_sentence_and_no_memory(tmp_path, name):
    WRITERS[name](tmp_path / name)
    assert (tmp_path / name).stat().st_size < 20_000
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BundleError) as caught:
        load_checkpoint(tmp_path / name)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 100_000  # kB
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]
