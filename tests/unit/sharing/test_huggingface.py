"""What would go to Hugging Face."""

import importlib
import json
import logging

import pytest
import yaml

from bundle.checkpoint import load_network
from bundle.commands.push import push
from bundle.errors import BundleError
from bundle.sharing.contents import METADATA, TERMS
from bundle.sharing.huggingface import LICENCES, SAFETENSORS, hub_contents
from bundle.sharing.manifest import MANIFEST

command = importlib.import_module("bundle.commands.push")
hub = pytest.importorskip("huggingface_hub")


@pytest.fixture(scope="module")
def contents(small_clone):
    return hub_contents(small_clone)


def test_the_weights_are_there_as_safetensors_too(contents, small_clone, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(contents[SAFETENSORS])
    found, expected = load_network(tmp_path / "model.safetensors"), load_network(small_clone / "models" / "model.pt")
    assert found.fingerprint == expected.fingerprint
    assert f"  {SAFETENSORS}" in contents[MANIFEST].decode()


def test_the_cards_header_is_valid_and_its_links_lead_to_files(contents):
    card = hub.ModelCard(contents["README.md"].decode())
    assert (card.data.library_name, card.data.pipeline_tag) == ("monai", "image-to-image")
    name = json.loads(contents[METADATA])["weights_license"]
    assert (card.data.license, card.data.license_name, card.data.license_link) == ("other", name, LICENCES)
    assert contents[TERMS] in contents[LICENCES]
    assert b"research use, no commercial" in contents[LICENCES]
    assert f"  {LICENCES}" in contents[MANIFEST].decode()
    metrics = {result.metric_type: result.metric_value for result in card.data.eval_results}
    assert metrics == json.loads(contents[METADATA])["eval_metrics"]
    header, text = contents["README.md"].decode().removeprefix("---\n").split("\n---\n", 1)
    fields = yaml.safe_load(header)
    assert set(fields) == {
        *("library_name", "license", "license_name", "license_link"),
        *("model-index", "pipeline_tag", "tags"),
    }
    assert "monai" in fields["tags"]
    assert yaml.safe_load(hub.ModelCardData(**fields).to_yaml()) == fields  # it checks the results, too
    assert text.lstrip().startswith("# Model Overview")
    assert "](docs/training.md)" in text
    assert "](https://" in text
    assert "docs/https" not in text


def test_a_dry_run_lists_every_file_and_uploads_nothing(contents, monkeypatch, caplog):
    monkeypatch.setattr(command, "hub_contents", lambda: contents)
    monkeypatch.setattr(command, "upload", lambda *_: pytest.fail("it uploads"))
    with caplog.at_level(logging.INFO):
        push("huggingface", repository="me/cells")
    assert [path for path in contents if not any(line.endswith(f"  {path}") for line in caplog.messages)] == []
    assert "would go to https://huggingface.co/me/cells" in caplog.messages[-1]


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"to": "ftp"}, "give --to one of huggingface"),
        ({"to": "huggingface", "dry_run": False}, "give --repository USER/"),
        ({"to": "huggingface", "repository": "cells"}, "repository is 'cells'"),
    ],
)
def test_what_cannot_be_pushed_is_said(contents, monkeypatch, options, said):
    monkeypatch.setattr(command, "hub_contents", lambda: contents)
    with pytest.raises(BundleError, match=said):
        push(**options)
