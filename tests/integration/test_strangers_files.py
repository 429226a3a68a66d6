"""Files that a stranger sent: whatever they hold, nothing of them is run, and a sentence says why they are refused.

Each file is made to create a marker; the test fails when the marker is there.
"""

import argparse
import io
import json
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import safetensors.torch
import torch
from monai.bundle import ConfigParser

from bundle.commands.import_official import import_official
from bundle.errors import BundleError
from bundle.network import RepMode, SpecializedRepMode
from bundle.official import read_official
from bundle.predicting.prediction_run import PredictionRun
from bundle.runtimes import FORMATS, load_checkpoint
from bundle.stacks.reader import FileReader
from bundle.training import RunFolder
from tests.networks import that_saw_images


class Attack:
    """Makes the marker when it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.marker,)


class AttackWhenBuilt(argparse.Namespace):
    """Would make the marker when its attributes are set, were its class looked up."""

    def __setstate__(self, state: dict[str, Any]) -> None:
        state["marker"].touch()


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "marker"


@pytest.fixture(scope="module")
def plain() -> SpecializedRepMode:
    return that_saw_images(RepMode(["dna", "er"], base_width=1)).specialize()


def is_run(path: Path, marker: Path) -> bool:
    """Tell whether the file does what it is made for where it is loaded without care."""
    with pytest.raises(Exception):  # noqa: B017, PT011 - it is no checkpoint of anything
        vars(torch.load(io.BytesIO(path.read_bytes()), weights_only=False))["missing"]
    ran = marker.exists()
    marker.unlink(missing_ok=True)
    return ran


def refused(read: Callable[[Any], Any], path: Path, marker: Path) -> str:
    """Give the sentence by which a file is refused, its code not having run."""
    with pytest.raises(BundleError) as error:
        read(path)
    assert not marker.exists()
    sentence = str(error.value)
    assert "\n" not in sentence
    assert path.name in sentence
    return sentence


def change_members(path: Path, changes: dict[str, Callable[[bytes], bytes]]) -> None:
    """Change members of an archive, by their names within its folder."""
    with zipfile.ZipFile(path) as archive:
        members = {member.filename: archive.read(member) for member in archive.infolist()}
    root = next(iter(members)).split("/")[0]
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            change = changes.get(name.removeprefix(f"{root}/"))
            archive.writestr(name, change(content) if change else content)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("ending", [".pt", ".pth", ".safetensors", ".pt2", ".ts", ".onnx", ".xml"])
def test_a_pickle_under_any_name_is_refused(tmp_path: Path, marker: Path, ending: str, zipped: bool) -> None:
    path = tmp_path / f"weights{ending}"
    torch.save({"_extra_state": Attack(marker)}, path, _use_new_zipfile_serialization=zipped)
    assert is_run(path, marker)
    refused(load_checkpoint, path, marker)


def test_a_plain_pickle_is_refused(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "weights.pt"
    path.write_bytes(pickle.dumps(Attack(marker)))
    refused(load_checkpoint, path, marker)


def test_weights_with_something_else_beside_them_are_refused(
    tmp_path: Path, marker: Path, plain: SpecializedRepMode
) -> None:
    path = tmp_path / "weights.pt"
    torch.save({**plain.state_dict(), "more": Attack(marker)}, path)
    assert "holds more than data" in refused(load_checkpoint, path, marker)


@pytest.mark.parametrize(
    "odd",
    [
        lambda weight: weight.to_sparse(),
        lambda weight: weight.to("meta"),
        lambda weight: weight.flatten()[:1].clone().expand(weight.numel()).view(weight.shape),
        lambda weight: weight.flatten(),
        lambda _: "text",
    ],
    ids=["sparse", "without values", "one value many times", "another shape", "no tensor"],
)
def test_weights_that_are_no_plain_tensors_are_refused(
    tmp_path: Path, marker: Path, plain: SpecializedRepMode, odd: Callable[[torch.Tensor], object]
) -> None:
    state = plain.state_dict()
    name = "unets.0.bottleneck.first.convolution.convolution.weight"
    torch.save({**state, name: odd(state[name])}, tmp_path / "weights.pt")
    assert "does not hold the weights" in refused(load_checkpoint, tmp_path / "weights.pt", marker)


@pytest.mark.parametrize(
    "description",
    [
        b"[" * 100_000,
        b'{"network": "os.system", "tasks": ["dna"], "base_width": 1}',
        b'{"network": "RepMode", "tasks": ["dna"], "base_width": 100000000}',
        b'{"network": "RepMode", "tasks": ["dna"], "base_width": 1, "spacing": "$__import__(\'os\')"}',
    ],
    ids=["deep", "another class", "huge", "an expression"],
)
def test_a_description_is_data(tmp_path: Path, marker: Path, plain: SpecializedRepMode, description: bytes) -> None:
    encoded = torch.tensor(list(description), dtype=torch.uint8)
    torch.save({**plain.state_dict(), "_extra_state": encoded}, tmp_path / "weights.pt")
    refused(load_checkpoint, tmp_path / "weights.pt", marker)
    state = {name: value for name, value in plain.state_dict().items() if name != "_extra_state"}
    safetensors.torch.save_file(state, tmp_path / "w.safetensors", {"description": description.decode()})
    refused(load_checkpoint, tmp_path / "w.safetensors", marker)


@pytest.fixture
def program(tmp_path: Path, plain: SpecializedRepMode) -> Path:
    path = tmp_path / "dna.pt2"
    FORMATS["pt2"].write(plain.specialize("dna"), path)
    return path


def test_our_programs_have_no_pickled_member(program: Path) -> None:
    with zipfile.ZipFile(program) as archive:
        pickled = [member for member in archive.infolist() if archive.read(member)[:2] in (b"PK", b"\x80\x02")]
    assert pickled == []
    assert load_checkpoint(program).tasks == ["dna"]


def test_a_program_with_a_pickled_member_is_refused(tmp_path: Path, marker: Path, program: Path) -> None:
    torch.save(Attack(marker), tmp_path / "attack.pt")
    attack = (tmp_path / "attack.pt").read_bytes()
    change_members(program, {"data/sample_inputs/model.pt": lambda _: attack})
    assert "sample_inputs/model.pt is a pickle" in refused(load_checkpoint, program, marker)


def test_a_program_with_pickled_weights_is_refused(tmp_path: Path, marker: Path, program: Path) -> None:
    torch.save(Attack(marker), tmp_path / "attack.pt")
    attack = (tmp_path / "attack.pt").read_bytes()
    change_members(
        program,
        {
            "data/weights/model_weights_config.json": lambda text: text.replace(b"false", b"true"),
            "data/weights/weight_0": lambda _: attack,
        },
    )
    assert "weight_0 is a pickle" in refused(load_checkpoint, program, marker)


def test_a_programs_expressions_are_not_evaluated(marker: Path, program: Path, plain: SpecializedRepMode) -> None:
    code = f'"expr_str": "__import__(\'pathlib\').Path(\'{marker}\').touch()", "was"'
    change_members(program, {"models/model.json": lambda text: text.replace(b'"expr_str"', code.encode())})
    with zipfile.ZipFile(program) as archive:
        assert any(b"__import__" in archive.read(member) for member in archive.infolist())
    assert load_checkpoint(program).own_fingerprint() == plain.specialize("dna").own_fingerprint()
    assert not marker.exists()


@pytest.fixture
def script(tmp_path: Path, plain: SpecializedRepMode) -> Path:
    path = tmp_path / "dna.ts"
    FORMATS["torchscript"].write(plain.specialize("dna"), path)
    return path


def test_a_scripts_code_and_pickles_are_not_looked_at(marker: Path, script: Path, plain: SpecializedRepMode) -> None:
    attack = pickle.dumps(Attack(marker), protocol=2)
    code = "code/__torch__/bundle/network/plain.py"
    changes = {"data.pkl": attack, "constants.pkl": attack, code: b"no code"}
    change_members(script, {name: lambda _, content=content: content for name, content in changes.items()})
    with pytest.raises(RuntimeError):
        torch.jit.load(script)
    assert load_checkpoint(script).own_fingerprint() == plain.specialize("dna").own_fingerprint()
    assert not marker.exists()


def test_a_script_of_another_network_is_refused(tmp_path: Path, marker: Path) -> None:
    path = tmp_path / "other.ts"
    torch.jit.save(torch.jit.script(torch.nn.Linear(1, 1)), path)
    assert "is no TorchScript that this bundle wrote" in refused(load_checkpoint, path, marker)


@pytest.mark.parametrize(("form", "member"), [("script", "data/3"), ("program", "data/weights/weight_3")])
def test_other_weights_than_an_archive_says_are_refused(
    request: pytest.FixtureRequest, marker: Path, form: str, member: str
) -> None:
    path = request.getfixturevalue(form)
    change_members(path, {member: lambda content: bytes(len(content) - 1) + b"\x40"})
    assert "its weights are not those that it says" in refused(load_checkpoint, path, marker)


def make_onnx(location: str) -> onnx.ModelProto:
    """A model that adds weights from another file."""
    weights = onnx.TensorProto(name="weights", data_type=onnx.TensorProto.FLOAT, dims=[1])
    weights.data_location = onnx.TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=location)
    image, prediction = (onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [1]) for name in "xy")
    node = onnx.helper.make_node("Add", ["x", "weights"], ["y"])
    return onnx.helper.make_model(onnx.helper.make_graph([node], "net", [image], [prediction], [weights]))


@pytest.mark.parametrize("location", ["../secret.bin", "/etc/hostname", "weights.bin"])
def test_an_onnx_file_opens_no_other_file(
    tmp_path: Path, marker: Path, plain: SpecializedRepMode, location: str
) -> None:
    (tmp_path / "secret.bin").write_bytes(bytes(4))
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "weights.bin").write_bytes(bytes(4))
    outer = make_onnx(location)
    branch = onnx.helper.make_node("If", ["c"], ["z"], then_branch=outer.graph, else_branch=outer.graph)
    nested = onnx.helper.make_model(onnx.helper.make_graph([branch], "outer", [], []))
    for model in (outer, nested):
        model.metadata_props.add(key="description", value=json.dumps(plain.description.to_dict()))
        path = tmp_path / "sub" / "net.onnx"
        path.write_bytes(model.SerializeToString())
        assert "are in another file" in refused(load_checkpoint, path, marker)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: b'<!DOCTYPE net [<!ENTITY x SYSTEM "file:///etc/hostname">]>' + text,
        lambda text: re.sub(rb'(element_type="f32" [^>]*) offset="', rb'\1 offset="9999999', text),
        lambda text: re.sub(rb'(element_type="f32" [^>]*) size="', rb'\1 size="9999999', text),
        lambda text: b"\x08\x09" + text,
        lambda text: text.replace(b"&quot;fp32&quot;", b"&quot;fp99&quot;"),
    ],
    ids=["another file by XML", "weights beyond the file", "more weights than the file", "no XML", "no precision"],
)
def test_an_openvino_graph_is_plain_xml_with_its_own_weights(
    tmp_path: Path, marker: Path, plain: SpecializedRepMode, change: Callable[[bytes], bytes]
) -> None:
    pytest.importorskip("openvino")
    path = tmp_path / "net.xml"
    FORMATS["openvino"].write(plain, path)
    text = path.read_bytes()
    changed = text[: text.index(b"?>") + 2] + change(text[text.index(b"?>") + 2 :])
    path.write_bytes(changed if changed.startswith(b"<") and b"\x08" not in changed else change(text))
    assert path.read_bytes() != text
    refused(load_checkpoint, path, marker)


def test_the_last_state_of_a_training_is_data(tmp_path: Path, marker: Path) -> None:
    network = RepMode(["dna"], base_width=1)
    torch.save({"tasks": ["dna"], "base_width": 1, "optimizer": Attack(marker)}, tmp_path / "last.pt")
    assert is_run(tmp_path / "last.pt", marker)
    folder = RunFolder(tmp_path, network, torch.optim.Adam(network.parameters()), seed=0)
    refused(lambda _: folder.open(), tmp_path / "last.pt", marker)


@pytest.mark.parametrize("read", [read_official, lambda path: import_official(str(path), "unused.pt")])
def test_the_authors_files_are_data(tmp_path: Path, marker: Path, read: Callable[[Any], Any]) -> None:
    path = tmp_path / "model.p"
    namespaces = [
        argparse.Namespace(adopted_datasets=["dna"], more=Attack(marker)),
        AttackWhenBuilt(adopted_datasets=["dna"], marker=marker),
        Attack(marker),
    ]
    for options in namespaces:
        torch.save({"nn_module": "RepMode", "opts": options, "nn_state": {}}, path)
        refused(read, path, marker)


def test_a_namespace_with_methods_in_its_attributes_is_data(tmp_path: Path, marker: Path) -> None:
    """A file may set `__setstate__` on the instance first, and call it by setting attributes again."""
    named = b"cpathlib\nPath.touch\n"
    path = tmp_path / "model.p"
    twice = b"\x80\x02}(X\x04\x00\x00\x00optscargparse\nNamespace\n)\x81}X\x0c\x00\x00\x00__setstate__%ssb}bu." % named
    torch.save({"opts": None}, path)
    change_members(path, {"data.pkl": lambda _: twice})
    refused(read_official, path, marker)


@pytest.mark.parametrize("ending", [".npy", ".npz"])
def test_arrays_of_objects_are_refused(tmp_path: Path, marker: Path, ending: str) -> None:
    path = tmp_path / f"stack{ending}"
    array = np.array([[[Attack(marker)]]], dtype=object)
    if ending == ".npy":
        np.save(path, array, allow_pickle=True)
    else:
        np.savez(path, stack=array)
    refused(FileReader().load, path, marker)


@pytest.mark.parametrize(
    "codecs",
    [{"compressor": None, "filters": [{"id": "pickle"}]}, {"compressor": {"id": "pickle"}, "filters": None}],
    ids=["filter", "compressor"],
)
def test_pickled_chunks_of_a_zarr_are_refused(tmp_path: Path, marker: Path, codecs: dict[str, Any]) -> None:
    folder = tmp_path / "stack.ome.zarr"
    (folder / "0").mkdir(parents=True)
    axes = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "zyx"]
    levels = [{"path": "0", "coordinateTransformations": [{"type": "scale", "scale": [0.3, 0.2, 0.2]}]}]
    multiscales = [{"version": "0.4", "axes": axes, "datasets": levels}]
    array = {"shape": [1, 2, 2], "chunks": [1, 2, 2], "dtype": "<u2", "fill_value": 0, "order": "C"}
    (folder / ".zgroup").write_text('{"zarr_format": 2}')
    (folder / ".zattrs").write_text(json.dumps({"multiscales": multiscales}))
    (folder / "0" / ".zarray").write_text(json.dumps({"zarr_format": 2, **array, **codecs}))
    (folder / "0" / "0.0.0").write_bytes(pickle.dumps(Attack(marker)))
    refused(FileReader().load, folder, marker)


def test_texts_of_a_manifest_are_texts(tmp_path: Path, marker: Path) -> None:
    """MONAI's configs take what begins with $ for code, with @ and % for references."""
    code = f"$__import__('pathlib').Path('{marker}').touch()"
    header = "split,task,image,image_channel,target,target_channel"
    row = f'train,dna,"{code}","{code}","@entries","%other.yaml::x"'
    (tmp_path / "dataset.csv").write_text(f"{header}\n{row}\n")
    entries = {
        "_target_": "bundle.datasets.entries.read_entries",
        "dataset_dir": "@folder",
        "split": "train",
        "tasks": ["dna"],
    }
    parser = ConfigParser({"folder": str(tmp_path), "entries": entries, "again": "$list(@entries)"})
    (entry,) = parser.get_parsed_content("again")
    assert entry["image_channel"] == code
    assert entry["image"].endswith("touch()")
    assert not marker.exists()


@pytest.mark.parametrize("text", ["$__import__('pathlib').Path(MARKER).touch()", "[" * 100_000, "\x80\x04.", "null"])
def test_the_record_beside_a_prediction_is_data(tmp_path: Path, marker: Path, text: str) -> None:
    (tmp_path / "cell.tif").touch()
    (tmp_path / "cell_pred.json").write_text(text.replace("MARKER", repr(str(marker))))
    run = PredictionRun(tmp_path / "cell.tif", tmp_path, skip_finished=True)
    assert not run.is_finished(tmp_path / "cell.tif")
    assert not marker.exists()
