"""The bill of materials (CycloneDX) of what is shared: the weights, and every package that the metadata name."""

import hashlib
import uuid
from collections.abc import Mapping
from typing import Any

from bundle.sharing import NAME, import_extra
from bundle.sharing.contents import WEIGHTS, Contents

VERSIONS = {"monai": "monai_version", "torch": "pytorch_version", "numpy": "numpy_version"}
LICENSE = "Apache-2.0"  # of the code


def packages(metadata: Mapping[str, Any]) -> dict[str, str]:
    """Give the exact version of every package that the metadata name, by its name on PyPI."""
    fixed = {package: metadata[key] for package, key in VERSIONS.items()}
    return dict(sorted({**fixed, **metadata["required_packages_version"]}.items()))


def write_bill(contents: Contents, metadata: Mapping[str, Any]) -> bytes:
    """Write the bill of materials as CycloneDX 1.6 in JSON, without the time or place of writing.

    Args:
        contents: what is shared, without the bill.
        metadata: of the bundle.

    Raises:
        BundleError: the library is not installed.
    """
    model, bom = import_extra("cyclonedx.model"), import_extra("cyclonedx.model.bom")
    component, output = import_extra("cyclonedx.model.component"), import_extra("cyclonedx.output.json")
    licenses = import_extra("cyclonedx.model.license")
    package_url = import_extra("packageurl").PackageURL
    kind = component.ComponentType
    digests = {path: hashlib.sha256(content).hexdigest() for path, content in contents.items()}
    weights = component.Component(
        name=WEIGHTS,
        type=kind.MACHINE_LEARNING_MODEL,
        bom_ref=WEIGHTS,
        version=metadata["version"],
        hashes=[model.HashType(alg=model.HashAlgorithm.SHA_256, content=digests[WEIGHTS])],
        licenses=[licenses.DisjunctiveLicense(name=metadata["weights_license"])],
    )
    libraries = [
        component.Component(name=name, version=version, bom_ref=str(purl), purl=purl)
        for name, version in packages(metadata).items()
        for purl in [package_url("pypi", None, name.lower(), version)]
    ]
    bundle = component.Component(
        name=NAME,
        type=kind.APPLICATION,
        bom_ref=NAME,
        version=metadata["version"],
        description=metadata["description"],
        copyright=metadata["copyright"],
        licenses=[licenses.LicenseExpression(LICENSE)],
    )
    bill = bom.Bom(
        components=[weights, *libraries],
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, repr(sorted(digests.items()))),
        metadata=bom.BomMetaData(component=bundle),
    )
    bill.register_dependency(bundle, [weights, *libraries])
    bill.metadata.timestamp = None  # the same inputs give the same bytes
    return str(output.JsonV1Dot6(bill).output_as_string(indent=2)).encode() + b"\n"
