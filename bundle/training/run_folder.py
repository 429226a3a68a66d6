"""The folder of a training run: what it may write there, and the state in it that the run goes on from."""

import logging
import zipfile
from pathlib import Path
from typing import Any

import torch
from ignite import distributed

from bundle.archive import UnreadableError, load_data
from bundle.claims import CLAIMS, Claims
from bundle.errors import BundleError
from bundle.files import flush, remove_left_behind, written_whole
from bundle.network import RepMode
from bundle.network.description import OF_STACKS

logger = logging.getLogger(__name__)

LAST, PREVIOUS = "last.pt", "last_but_one.pt"
OUTPUTS = LAST, PREVIOUS, BEST, LOG = (LAST, PREVIOUS, "model.pt", "metrics.csv")
KEYS = {"run", "network", "optimizer", "scaler", "epoch", "best_metric", "best_metric_epoch", "ranks"}
OPTIONS = {"tasks", "base_width", "spacing", "zscore_order", "seed"}  # the others have their place in the config
ANEW = "start anew with --resume False --overwrite True"
RUN = "run"


def describe_run(network: RepMode, optimizer: torch.optim.Optimizer, seed: int | None) -> dict[str, Any]:
    """Say what stays the same for all of a run: the network's description, the kind of optimizer and the seed.

    Everything else, such as the learning rate, is as the command at hand says; what is known of the stacks follows from
    them.
    """
    description = network.description.to_dict()
    described = {name: value for name, value in description.items() if name not in OF_STACKS}
    return {**described, "optimizer": type(optimizer).__name__, "seed": seed}


class RunFolder:
    """The folder of a run, and the state in it that the run goes on from.

    The last two states are kept: should the newest be damaged, the run goes on from the one before.

    Args:
        output_dir: the folder.
        network: the network that is to be trained.
        optimizer: its optimizer.
        seed: of weights, patches and flips.
        resume: whether to go on from `last.pt` where there is one.
        overwrite: whether a new run may replace what another left there.

    Attributes:
        state: the state to go on from, once `open` has read it; None for a run that starts anew.
    """

    def __init__(
        self,
        output_dir: str | Path,
        network: RepMode,
        optimizer: torch.optim.Optimizer,
        seed: int | None,
        resume: bool = True,
        overwrite: bool = False,
    ) -> None:
        self.path = Path(output_dir)
        self.described = describe_run(network, optimizer, seed)
        self.resume = resume
        self.overwrite = overwrite
        self.state: dict[str, Any] | None = None
        self.claims = Claims(self.path / CLAIMS)

    def open(self) -> None:
        """Read the state to go on from, and check, before any work, that the run may write into the folder.

        Raises:
            BundleError: another run is at work there, the states are of another run or cannot be read, or a new run
                would overwrite files unasked.
        """
        if distributed.get_rank() == 0:
            self._claim()
            self.claims.release_all()
        if self.resume and self._states():
            self.state = self._read()
            return
        present = [name for name in OUTPUTS if (self.path / name).exists()]
        if present and not self.overwrite:
            raise BundleError(
                f"{self.path} holds {', '.join(present)} of another run; give a new --output_dir, or --overwrite True."
            )

    def begin(self) -> None:
        """Claim the folder until `end`, and remove what killed runs left half-written.

        Raises:
            BundleError: another run has begun there meanwhile.
        """
        self._claim()
        remove_left_behind(self.path)

    def end(self) -> None:
        """Let go of the folder."""
        self.claims.release_all()

    def _claim(self) -> None:
        if not self.claims.wait_for_holder(RUN):
            raise BundleError(
                f"A run is at work in {self.path} already ({self.claims.holder(RUN) or 'it has just ended'}); wait for "
                "it, or give another --output_dir."
            )

    def clear(self) -> None:
        """Remove what a run left that is replaced."""
        for name in OUTPUTS:
            (self.path / name).unlink(missing_ok=True)

    def write(self, state: dict[str, Any]) -> None:
        """Write a state as the newest; the newest before it stays as the one before.

        Whenever the process is killed, one of the two is there whole.

        Raises:
            BundleError: the disk is full or the folder cannot be written to; the states before stay.
        """
        last = self.path / LAST
        try:
            with written_whole(last, overwrite=True) as temporary:
                torch.save(state, temporary)
                flush(temporary)
                if last.exists():
                    last.replace(self.path / PREVIOUS)
        except (OSError, RuntimeError) as error:  # torch's writer has an error of its own for a full disk
            raise BundleError(
                f"The state of the run cannot be written into {self.path} ({_reason(error)}); make room there, and "
                "give the same command again, which goes on from the last state."
            ) from error

    def _states(self) -> list[Path]:
        """The states that are there, the newest first."""
        return [path for path in (self.path / LAST, self.path / PREVIOUS) if path.exists()]

    def _read(self) -> dict[str, Any] | None:
        """Read a state that fits the run; None where its run ended before it had finished anything."""
        path, state = self._load()
        begun = state["epoch"] or state.get("iteration")
        if not begun and not (self.path / BEST).exists() and not self._logged():
            return None
        found, wanted = state["run"], self.described
        differing = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
        if differing:
            was, asked = (", ".join(f"{key} {_shown(run.get(key))}" for key in differing) for run in (found, wanted))
            options = ", ".join(f"--{key}" for key in differing if key in OPTIONS)
            same = f"the same {options}" if options else "the same"
            raise BundleError(
                f"{path} was trained with {was}, but this run asks for {asked}; give {same}, or another "
                f"--output_dir, or {ANEW}."
            )
        return state

    def _logged(self) -> bool:
        """Tell whether an epoch was logged."""
        log = self.path / LOG
        return log.exists() and len(log.read_text(encoding="utf-8").splitlines()) > 1

    def _load(self) -> tuple[Path, dict[str, Any]]:
        """Read the newest state that can be read."""
        newest, *before = self._states()
        try:
            return newest, _load_state(newest)
        except BundleError as error:
            for path in before:
                state = _load_state(path)
                logger.warning("%s The run goes on from the state before it, %s.", error, path.name)
                return path, state
            raise


def _load_state(path: Path) -> dict[str, Any]:
    """Read a state, with a check of every byte.

    Raises:
        BundleError: it is damaged, or lacks something.
    """
    try:
        state = load_data(path)
        missing = KEYS - set(state)
        with zipfile.ZipFile(path) as archive:
            if archive.testzip() is not None:
                raise UnreadableError("it is damaged")
    except (UnreadableError, TypeError, OSError, zipfile.BadZipFile) as error:
        raise BundleError(
            f"{path} cannot be read as the last state of a training run ({error}); move it away, or {ANEW}."
        ) from error
    if missing:
        raise BundleError(
            f"{path} lacks {', '.join(sorted(missing))}, as states of earlier versions do, and no run can go on "
            f"from it; move it away, or {ANEW}."
        )
    return dict(state)


def _reason(error: Exception) -> str:
    """Say what the system says."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, OSError):
        cause = cause.__cause__ or cause.__context__
    return str(cause.strerror or cause) if isinstance(cause, OSError) else str(error).splitlines()[0]


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value
