"""What is packed of a small bundle: the same each time, whole, nothing else; manifest, bill of materials, signature."""

import hashlib
import json
import subprocess
import zipfile
from pathlib import Path

import pytest
import yaml

from bundle.errors import BundleError
from bundle.sharing import NAME, contents, import_extra
from bundle.sharing.contents import METADATA, WEIGHTS, read_contents
from bundle.sharing.manifest import MANIFEST, check_manifest
from bundle.sharing.package import BILL, package_contents, write_folder, write_zip
from bundle.sharing.signature import check_signature, sign_folder

pytest.importorskip("cyclonedx")
pytest.importorskip("model_signing")

ROOT = Path(__file__).parents[3]
TASKS = ["dna", "zo1"]


@pytest.fixture(scope="module")
def packed(small_clone):
    return package_contents(small_clone)


@pytest.fixture
def folder(packed, tmp_path):
    write_folder(packed, tmp_path / NAME)
    return tmp_path / NAME


def test_what_is_shared_is_packed_and_nothing_else(packed):
    assert {"LICENSE", "bundle/__init__.py", "docs/figures/a.png", "docs/README.md", WEIGHTS, METADATA} < set(packed)
    configs = {path for path in packed if path.startswith("configs/") and path.endswith(".json")}
    assert configs == {METADATA, "configs/evaluate.json", "configs/inference.json", "configs/train.json"}
    assert not [path for path in packed if path.endswith((".pyc", ".tif")) or "hidden" in path or path == "README.md"]


def test_the_same_inputs_give_the_same_bytes(small_clone, packed, tmp_path):
    again = package_contents(small_clone)
    assert again == packed
    for name, content in (("first", packed), ("second", again)):
        write_zip(content, tmp_path / name)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()
    with zipfile.ZipFile(tmp_path / "first") as archive:
        assert {entry.date_time[0] for entry in archive.infolist()} == {1980}
        assert archive.read(f"{NAME}/{WEIGHTS}") == packed[WEIGHTS]


@pytest.mark.parametrize("workflow", ["evaluate", "inference"])
def test_json_configs_say_what_the_yaml_says(small_clone, packed, workflow):
    expected = yaml.safe_load((small_clone / "configs" / f"{workflow}.yaml").read_text(encoding="utf-8"))
    assert json.loads(packed[f"configs/{workflow}.json"]) == expected


def test_train_json_builds_the_network_of_the_shipped_weights(packed):
    found, source = json.loads(packed["configs/train.json"]), yaml.safe_load(packed["configs/train.yaml"])
    changed = {key: value for key, value in found.items() if value != source[key]}
    assert changed == {"tasks": TASKS, "base_width": 2, "spacing": [0.5, 0.2, 0.2]}


def test_the_manifest_finds_what_was_changed(folder, packed):
    check_manifest(folder)
    lines = packed[MANIFEST].decode().splitlines()
    assert f"{hashlib.sha256(packed['LICENSE']).hexdigest()}  LICENSE" in lines
    assert len(lines) == len(packed) - 1
    for change in ("LICENSE", "new.txt"):
        before = packed.get(change)
        (folder / change).write_text("other")
        with pytest.raises(BundleError, match=f"{change} is missing, changed or new"):
            check_manifest(folder)
        (folder / change).unlink() if before is None else (folder / change).write_bytes(before)
    (folder / "LICENSE").unlink()
    with pytest.raises(BundleError, match="LICENSE is missing, changed or new"):
        check_manifest(folder)


def test_the_bill_names_every_package_and_the_weights(packed):
    validator = import_extra("cyclonedx.validation.json").JsonStrictValidator(
        import_extra("cyclonedx.schema").SchemaVersion.V1_6
    )
    assert validator.validate_str(packed[BILL].decode()) is None
    bill, metadata = json.loads(packed[BILL]), json.loads(packed[METADATA])
    versions = {part["name"]: part["version"] for part in bill["components"]}
    for package, version in metadata["required_packages_version"].items():
        assert versions[package] == version
    assert versions["torch"] == metadata["pytorch_version"]
    (weights,) = [part for part in bill["components"] if part["type"] == "machine-learning-model"]
    assert weights["hashes"] == [{"alg": "SHA-256", "content": hashlib.sha256(packed[WEIGHTS]).hexdigest()}]
    assert bill["metadata"]["component"]["version"] == metadata["version"]
    assert "timestamp" not in bill["metadata"]


def test_a_signature_holds_for_the_signed_folder_alone(folder, tmp_path):
    for number in (1, 2):
        private = subprocess.run(
            ["openssl", "ecparam", "-name", "prime256v1", "-genkey", "-noout"], capture_output=True, check=True
        ).stdout
        (tmp_path / f"{number}.pem").write_bytes(private)
        public = subprocess.run(["openssl", "ec", "-pubout"], input=private, capture_output=True, check=True).stdout
        (tmp_path / f"{number}.pub").write_bytes(public)
    signature = tmp_path / "a.sig"
    sign_folder(folder, tmp_path / "1.pem", signature)
    check_signature(folder, signature, tmp_path / "1.pub")
    with pytest.raises(BundleError, match="is not what"):
        check_signature(folder, signature, tmp_path / "2.pub")
    (folder / "LICENSE").write_text("other")
    with pytest.raises(BundleError, match="is not what"):
        check_signature(folder, signature, tmp_path / "1.pub")


@pytest.mark.parametrize(("content", "said"), [(None, "There is no key"), ("no key", "cannot be used as a key")])
def test_a_key_that_cannot_be_used_is_said(tmp_path, content, said):
    key = tmp_path / "key.pem"
    if content is not None:
        key.write_text(content)
    with pytest.raises(BundleError, match=said):
        sign_folder(tmp_path, key, tmp_path / "a.sig")


def test_metadata_that_do_not_fit_are_said(small_clone, packed, monkeypatch):
    metadata = json.loads(packed[METADATA])
    for change, said in [({"version": "9.9"}, "no entry for its version 9.9"), ({}, "other tasks")]:
        changed = json.loads(json.dumps({**metadata, **change}))
        if not change:
            changed["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "zo1", "1": "dna"}
        (small_clone / METADATA).write_text(json.dumps(changed), encoding="utf-8")
        with pytest.raises(BundleError, match=said):
            read_contents(small_clone)
    (small_clone / METADATA).write_bytes(packed[METADATA])
    monkeypatch.setattr(contents, "LARGEST", 1000)
    with pytest.raises(BundleError, match="takes no file above 1000"):
        read_contents(small_clone)


def test_a_part_that_is_missing_is_said(tmp_path):
    with pytest.raises(BundleError, match="has no LICENSE"):
        read_contents(tmp_path)


def test_a_package_that_is_missing_is_said():
    with pytest.raises(BundleError, match=r"needs the package no_such_package; pip install -e \"\.\[sharing\]\""):
        import_extra("no_such_package")
