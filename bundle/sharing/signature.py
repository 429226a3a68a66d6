"""A signature of a packed bundle, as the OpenSSF's model-signing makes and checks it."""

from pathlib import Path

from bundle.errors import BundleError
from bundle.sharing import import_extra


def sign_folder(folder: Path, key: Path, signature: Path) -> None:
    """Sign all files of a folder.

    Args:
        folder: the packed bundle.
        key: a private key (PEM) on an elliptic curve, without a password.
        signature: the file to write.

    Raises:
        BundleError: model-signing is not installed, or the key cannot be used.
    """
    signing = import_extra("model_signing.signing")
    if not key.is_file():
        raise BundleError(f"There is no key {key}; give --sign_key the PEM file of a private elliptic-curve key.")
    try:
        config = signing.Config().use_elliptic_key_signer(private_key=key)
    except (TypeError, ValueError) as error:
        raise BundleError(
            f"{key} cannot be used as a key ({error}); give --sign_key the PEM file of a private elliptic-curve key "
            "without a password."
        ) from error
    config.sign(folder, signature)


def check_signature(folder: Path, signature: Path, public_key: Path) -> None:
    """Check that a folder is what was signed.

    Raises:
        BundleError: model-signing is not installed, or the folder, the signature or the key is another.
    """
    verifying = import_extra("model_signing.verifying")
    try:
        verifying.Config().use_elliptic_key_verifier(public_key=public_key).verify(folder, signature)
    except ValueError as error:
        raise BundleError(
            f"{folder} is not what {signature} was made of by the owner of {public_key}: {error}"
        ) from error
