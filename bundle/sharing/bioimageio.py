"""Nets as packages of the BioImage Model Zoo (bioimage.io, spec 0.5): ONNX, TorchScript and state dict in a zip."""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import tifffile
import torch
from matplotlib import image as pictures
from torch import Tensor

from bundle.errors import BundleError
from bundle.network import SpecializedRepMode
from bundle.network.plain import DIVISOR
from bundle.runtimes import torchscript
from bundle.runtimes.onnx import build_onnx, dynamic_axes
from bundle.sharing import import_extra

ARCHITECTURE = Path(__file__).with_name("plain_net.py")
SMALLEST = {"z": 32, "y": 64, "x": 64}  # voxels of an axis that a program may cut a stack into
HALO = {"z": 8, "y": 16, "x": 16}
"""Voxels at the rim of such a part that are thrown away: powers of two, since the specification multiplies them by a
voxel size, divides by the same, and wants exactly a whole number."""
GREY = (100.0, 1000.0)  # standard deviation and mean of the test image
SPACE = tuple(SMALLEST)


def standardise(image: Tensor, eps: float) -> Tensor:
    """Z-score each sample of (N, C, Z, Y, X) over all its voxels, as the package says it."""
    axes = tuple(range(1, image.dim()))
    return (image - image.mean(axes, keepdim=True)) / (image.std(axes, keepdim=True, correction=0) + eps)


@torch.no_grad()
def write_package(
    net: SpecializedRepMode, path: Path, image: Tensor, metadata: Mapping[str, Any], licences: bytes
) -> None:
    """Write a net as a package, with an example that it was checked on.

    Args:
        net: what is packed, a channel a task.
        path: of the zip.
        image: the example, z-scores (1, 1, Z, Y, X) at the net's spacing, of at least 32 x 64 x 64 voxels.
        metadata: of the bundle.
        licences: the text of its LICENSE.md.

    Raises:
        BundleError: bioimageio.core is not installed, or its spec does not take the description.
    """
    spec, model = import_extra("bioimageio.spec"), import_extra("bioimageio.spec.model.v0_5")
    grey = image[..., :32, :64, :64] * GREY[0] + GREY[1]
    eps = model.ZeroMeanUnitVarianceKwargs(axes=["channel", *SPACE]).eps
    with tempfile.TemporaryDirectory() as name, spec.get_validation_context().replace(perform_io_checks=False):
        folder = Path(name)
        _write_examples({"image": grey.numpy(), "prediction": net(standardise(grey, eps)).numpy()}, net, folder)
        _write_weights(net, folder)
        (folder / "LICENSE.md").write_bytes(licences)
        try:
            description = _describe(model, net, folder, metadata)
            spec.save_bioimageio_package(description, output_path=path)
        except ValueError as error:
            reason = " ".join(str(error).split())[:200]
            raise BundleError(
                f"bioimage.io's specification does not take the package ({reason}); it breaks with pydantic 2.14, so "
                'install the extra that holds it back: pip install -e ".[bioimageio]".'
            ) from error


def _write_examples(arrays: Mapping[str, npt.NDArray[np.float32]], net: SpecializedRepMode, folder: Path) -> None:
    """Write test tensors (.npy), the same to be looked at (.tif), a picture of both, and what there is to be read."""
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
        tifffile.imwrite(folder / f"{name}.tif", array[0], photometric="minisblack", metadata={"axes": "CZYX"})
    middle = [array[0, 0, array.shape[2] // 2] for array in arrays.values()]
    scaled = [np.clip((plane - plane.min()) / (np.ptp(plane) or 1), 0, 1) for plane in middle]
    pictures.imsave(folder / "cover.png", np.kron(np.hstack(scaled), np.ones((4, 4))), cmap="gray")
    voxels = " x ".join(f"{size:g}" for size in net.spacing)
    text = f"""# {_title(net)}

Predicts the 3D fluorescence of {", ".join(net.tasks)}, as z-scores, from a transmitted-light (brightfield) stack
with voxels of {voxels} um (Z, Y, X); resample others first. One plain U-Net a structure, made by merging the experts of
a RepMode network (CVPR 2023). The weights that come with the bundle were trained on simulated cells: research only, and
to be checked against stained stacks of your own.

# Validation

The test tensors of this package are reproduced by every weight format. A program that cuts a stack into parts gets
other values at their rims than the whole has: take parts as large as memory allows.
"""
    (folder / "README.md").write_text(text, encoding="utf-8")


def _write_weights(net: SpecializedRepMode, folder: Path) -> None:
    """Write the net in three formats, and what builds it from its state dict."""
    state = {name: value for name, value in net.state_dict().items() if isinstance(value, Tensor) and "." in name}
    torch.save(state, folder / "weights.pt")
    (folder / ARCHITECTURE.name).write_bytes(ARCHITECTURE.read_bytes())
    torchscript.write(net, folder / "weights.ts")
    open_axes = {0: torch.export.Dim("batch"), **dynamic_axes()}
    (folder / "weights.onnx").write_bytes(build_onnx(net, (2, 1, 2 * DIVISOR, 3 * DIVISOR, 4 * DIVISOR), open_axes))


def _title(net: SpecializedRepMode) -> str:
    what = net.tasks[0] if len(net.tasks) == 1 else f"{len(net.tasks)} structures"
    return f"RepMode - {what} from brightfield"


def _describe(model: Any, net: SpecializedRepMode, folder: Path, metadata: Mapping[str, Any]) -> Any:
    """Describe the package as the spec's own classes take it; they refuse what it cannot be."""
    version = torch.__version__.split("+")[0]
    onnx_version = onnx.load(folder / "weights.onnx", load_external_data=False).opset_import[0].version
    encoder, decoder = net.description.kernel_sizes
    sizes = {"tasks": len(net.tasks), "base_width": net.description.base_width}
    architecture = model.ArchitectureFromFileDescr(
        source=folder / ARCHITECTURE.name,
        callable="PlainNet",
        kwargs={**sizes, "encoder_size": encoder, "decoder_size": decoder},
    )
    parent = "pytorch_state_dict"
    return model.ModelDescr(
        name=_title(net),
        description=metadata["description"][:1024],
        authors=[model.Author(name=metadata["authors"])],
        cite=[
            model.CiteEntry(text=reference, url="https://arxiv.org/abs/2212.10066")
            for reference in metadata["references"]
        ],
        license=model.FileDescr(source=folder / "LICENSE.md"),
        tags=["3d", "brightfield", "fluorescence", "virtual-staining", "pytorch", "unet", "image-to-image"],
        version=metadata["version"],
        documentation=model.FileDescr(source=folder / "README.md"),
        covers=[model.FileDescr(source=folder / "cover.png")],
        inputs=[_describe_input(model, net, folder)],
        outputs=[_describe_output(model, net, folder)],
        weights=model.WeightsDescr(
            pytorch_state_dict=model.PytorchStateDictWeightsDescr(
                source=folder / "weights.pt", architecture=architecture, pytorch_version=version
            ),
            torchscript=model.TorchscriptWeightsDescr(
                source=folder / "weights.ts", pytorch_version=version, parent=parent
            ),
            onnx=model.OnnxWeightsDescr(source=folder / "weights.onnx", opset_version=onnx_version, parent=parent),
        ),
    )


def _describe_input(model: Any, net: SpecializedRepMode, folder: Path) -> Any:
    space = [
        model.SpaceInputAxis(
            id=axis, unit="micrometer", scale=scale, size=model.ParameterizedSize(min=SMALLEST[axis], step=DIVISOR)
        )
        for axis, scale in zip(SPACE, net.spacing, strict=True)
    ]
    kwargs = model.ZeroMeanUnitVarianceKwargs(axes=["channel", *SPACE])
    return model.InputTensorDescr(
        id="image",
        description="transmitted light (brightfield), in grey values",
        axes=[model.BatchAxis(), model.ChannelAxis(channel_names=["brightfield"]), *space],
        test_tensor=model.FileDescr(source=folder / "image.npy"),
        sample_tensor=model.FileDescr(source=folder / "image.tif"),
        data=model.IntervalOrRatioDataDescr(type="float32"),
        preprocessing=[model.ZeroMeanUnitVarianceDescr(kwargs=kwargs)],
    )


def _describe_output(model: Any, net: SpecializedRepMode, folder: Path) -> Any:
    space = [
        model.SpaceOutputAxisWithHalo(
            id=axis,
            unit="micrometer",
            scale=scale,
            halo=HALO[axis],
            size=model.SizeReference(tensor_id="image", axis_id=axis),
        )
        for axis, scale in zip(SPACE, net.spacing, strict=True)
    ]
    return model.OutputTensorDescr(
        id="prediction",
        description="fluorescence, in z-scores",
        axes=[model.BatchAxis(), model.ChannelAxis(channel_names=list(net.tasks)), *space],
        test_tensor=model.FileDescr(source=folder / "prediction.npy"),
        sample_tensor=model.FileDescr(source=folder / "prediction.tif"),
        data=model.IntervalOrRatioDataDescr(type="float32"),
    )
