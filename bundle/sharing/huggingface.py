"""What goes to Hugging Face: what is packed in MONAI's layout, with a card at its top and safetensors."""

import json
import re
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from bundle import ROOT
from bundle.archive import load_data
from bundle.checkpoint import load_network, save_network
from bundle.sharing import import_extra
from bundle.sharing.contents import METADATA, TERMS, WEIGHTS, Contents, read_contents, write_licences
from bundle.sharing.package import seal, write_folder

CARD = "docs/README.md"
LICENCES = "LICENSE.md"  # beside LICENSE, that of the code; the hub knows either name
SAFETENSORS = "models/model.safetensors"
LINK = re.compile(r"(\]\()(?![a-z]+:|#|/)([^)]+\))")  # to a file beside the card, from text or a picture
TAGS = ["monai", "microscopy", "brightfield", "fluorescence", "virtual-staining", "label-free", "3d", "biology"]


def hub_contents(root: Path = ROOT) -> Contents:
    """Read what goes to the hub: what is packed, the card as its first page, and the weights as safetensors.

    Args:
        root: the bundle's folder.

    Raises:
        BundleError: a part is missing or does not fit the others, or a library is not installed.
    """
    contents = read_contents(root)
    contents["README.md"] = write_card(contents[CARD].decode(), json.loads(contents[METADATA]))
    contents[LICENCES] = write_licences(contents[TERMS].decode())
    contents[SAFETENSORS] = _as_safetensors(root / WEIGHTS)
    return seal(dict(sorted(contents.items())))


def write_card(text: str, metadata: Mapping[str, Any]) -> bytes:
    """Write the model card with the hub's header; links lead to where the files lie, seen from the top.

    Args:
        text: of the card, as it lies in docs.
        metadata: of the bundle, whose eval_metrics and weights_license the hub shows.

    Raises:
        BundleError: huggingface_hub is not installed.
    """
    hub = import_extra("huggingface_hub")
    results = [
        hub.EvalResult(
            task_type="image-to-image",
            dataset_type="simulated",
            dataset_name="simulated cells, test split",
            metric_type=metric,
            metric_value=value,
        )
        for metric, value in metadata["eval_metrics"].items()
    ]
    data = hub.ModelCardData(
        model_name=metadata["name"],
        eval_results=results,
        license="other",  # the hub's word for one that is not in its list
        license_name=metadata["weights_license"],
        license_link=LICENCES,
        library_name="monai",
        pipeline_tag="image-to-image",
        tags=TAGS,
    )
    body = LINK.sub(r"\1docs/\2", text)
    return f"---\n{data.to_yaml()}\n---\n\n{body}".encode()


def _as_safetensors(path: Path) -> bytes:
    """Give the weights as safetensors, as precise as they are."""
    halves = any(isinstance(value, torch.Tensor) and value.dtype == torch.float16 for value in load_data(path).values())
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "model.safetensors"
        save_network(load_network(path), file, torch.float16 if halves else torch.float32)
        return file.read_bytes()


def upload(contents: Contents, repository: str, version: str, private: bool) -> str:
    """Upload to the hub, as the user whom `hf auth login` has stored, and tag the version.

    Args:
        contents: what goes there.
        repository: its name, USER/NAME; made when missing.
        version: of the bundle.
        private: whether a repository that is made is private.

    Returns:
        The address of the commit.

    Raises:
        BundleError: huggingface_hub is not installed.
    """
    api = import_extra("huggingface_hub").HfApi()
    api.create_repo(repository, private=private, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        write_folder(contents, Path(folder))
        commit = api.upload_folder(repo_id=repository, folder_path=folder, commit_message=f"Version {version}")
    api.create_tag(repository, tag=version, exist_ok=True)
    return str(commit)
