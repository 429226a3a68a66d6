"""The last state of a training run, from which the same command, or one that differs in what may differ, goes on."""

import logging
import random
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ignite import distributed
from ignite.engine import Engine, Events
from monai.data import CacheDataset

from bundle.archive import UnreadableError, load_data
from bundle.errors import BundleError
from bundle.files import written_whole
from bundle.network import RepMode

logger = logging.getLogger(__name__)


MAX_SEED = 2**31


def get_random_state() -> dict[str, Any]:
    """Return the state of the random generators of Python, NumPy, torch and each GPU."""
    name, keys, position, has_gauss, cached_gauss = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, np.asarray(keys).tolist(), int(position), int(has_gauss), float(cached_gauss)),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Set the generators as `get_random_state` found them; GPUs only where there are as many as then."""
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    name, keys, position, has_gauss, cached_gauss = state["numpy"]
    np.random.set_state((name, np.array(keys, dtype=np.uint32), position, has_gauss, cached_gauss))
    torch.set_rng_state(state["torch"].cpu())
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([device_state.cpu() for device_state in state["cuda"]])


class TransformSeed:
    """Seeds the training transforms from torch's generator as each epoch starts, as DataLoader workers are.

    MONAI's transforms hold generators of their own; seeded so, they follow from the state that a checkpoint carries.

    Args:
        dataset: the training dataset.
    """

    def __init__(self, dataset: CacheDataset) -> None:
        self.dataset = dataset

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.EPOCH_STARTED, self)

    def __call__(self, engine: Engine) -> None:  # noqa: ARG002 - ignite passes the engine
        """Draw a seed and set it."""
        self.dataset.transform.set_random_state(seed=int(torch.randint(MAX_SEED, ())))


OUTPUTS = LAST, BEST, LOG = ("last.pt", "model.pt", "metrics.csv")
KEYS = {"run", "network", "optimizer", "scaler", "epoch", "best_metric", "best_metric_epoch", "random_state"}
OPTIONS = {"tasks", "base_width", "spacing", "zscore_order", "seed"}  # the others have their place in the config
ANEW = "start anew with --resume False --overwrite True"


def describe_run(network: RepMode, optimizer: torch.optim.Optimizer, seed: int | None) -> dict[str, Any]:
    """Say what stays the same for all of a run: the network's description, the kind of optimizer and the seed.

    Everything else, such as the learning rate, is as the command at hand says; target statistics follow from the
    stacks.
    """
    description = network.description.to_dict()
    del description["target_statistics"]
    return {**description, "optimizer": type(optimizer).__name__, "seed": seed}


class RunFolder:
    """The folder of a run, and the state in it that the run goes on from.

    Args:
        output_dir: the folder.
        network: the network that is to be trained.
        optimizer: its optimizer.
        seed: of weights, patches and flips.
        resume: whether to go on from `last.pt` where there is one.
        overwrite: whether a new run may replace what another left there.

    Attributes:
        state: what `last.pt` holds, once `open` has read it; None for a run that starts anew.
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

    def open(self) -> None:
        """Read the state to go on from, and check, before any work, that the run may write into the folder.

        Raises:
            BundleError: `last.pt` is of another run or cannot be read, or a new run would overwrite files unasked.
        """
        if self.resume and (self.path / LAST).exists():
            self.state = self._read()
            return
        present = [name for name in OUTPUTS if (self.path / name).exists()]
        if present and not self.overwrite:
            raise BundleError(
                f"{self.path} holds {', '.join(present)} of another run; give a new --output_dir, or --overwrite True."
            )

    def clear(self) -> None:
        """Remove what a run left that is replaced."""
        for name in OUTPUTS:
            (self.path / name).unlink(missing_ok=True)

    def _read(self) -> dict[str, Any] | None:
        """Read a last.pt that fits the run; None where its run ended before it had finished anything."""
        state = self._load()
        if state["epoch"] == 0 and not (self.path / BEST).exists() and not self._logged():
            return None
        found, wanted = state["run"], self.described
        differing = [key for key in {**found, **wanted} if found.get(key) != wanted.get(key)]
        if differing:
            was, asked = (", ".join(f"{key} {_shown(run.get(key))}" for key in differing) for run in (found, wanted))
            options = ", ".join(f"--{key}" for key in differing if key in OPTIONS)
            same = f"the same {options}" if options else "the same"
            raise BundleError(
                f"{self.path / LAST} was trained with {was}, but this run asks for {asked}; give {same}, or another "
                f"--output_dir, or {ANEW}."
            )
        return state

    def _logged(self) -> bool:
        """Tell whether an epoch was logged."""
        log = self.path / LOG
        return log.exists() and len(log.read_text(encoding="utf-8").splitlines()) > 1

    def _load(self) -> dict[str, Any]:
        path = self.path / LAST
        try:
            state = load_data(path)
            missing = KEYS - set(state)
        except (UnreadableError, TypeError) as error:
            raise BundleError(
                f"{path} cannot be read as the last state of a training run ({error}); move it away, or {ANEW}."
            ) from error
        if missing:
            raise BundleError(
                f"{path} lacks {', '.join(sorted(missing))}, as states of earlier versions do, and no run can go on "
                f"from it; move it away, or {ANEW}."
            )
        return dict(state)


def _shown(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


class LastCheckpoint:
    """Keeps all that a killed run needs to go on exactly, and puts it back when the run goes on.

    It holds what the run is (`describe_run`), the network, optimizer, gradient scaler, epoch, best validation so far
    and random state. It belongs last among the trainer's handlers, so that what it keeps includes the epoch's
    validation and logs.

    Args:
        folder: where `last.pt` goes, and the state to go on from.
        network: the network, without a wrapper around it.
        optimizer: its optimizer; learning rate and other settings stay as they are when its state is put back.
        evaluator: the evaluator of the validation, which knows the best metric so far.
        interval: epochs between two states; the last epoch is always kept.
    """

    def __init__(
        self,
        folder: RunFolder,
        network: RepMode,
        optimizer: torch.optim.Optimizer,
        evaluator: Engine,
        interval: int = 1,
    ) -> None:
        self.folder = folder
        self.network = network
        self.optimizer = optimizer
        self.evaluator = evaluator
        self.interval = interval

    def attach(self, engine: Engine) -> None:
        """Attach to the trainer."""
        engine.add_event_handler(Events.STARTED, self.start)
        engine.add_event_handler(Events.EPOCH_COMPLETED, self.save)

    def save(self, engine: Engine) -> None:
        """Write the state after an epoch whose turn it is."""
        epoch, last_epoch = engine.state.epoch, engine.state.max_epochs
        if epoch % self.interval == 0 or epoch == last_epoch:
            self._write(engine)

    def _write(self, engine: Engine) -> None:
        if distributed.get_rank() != 0:
            return
        best = self.evaluator.state
        state = {
            "run": self.folder.described,
            "network": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": engine.scaler.state_dict() if engine.scaler is not None else None,
            "epoch": engine.state.epoch,
            "best_metric": best.best_metric,
            "best_metric_epoch": best.best_metric_epoch,
            "random_state": get_random_state(),
        }
        with written_whole(self.folder.path / LAST, overwrite=True) as temporary:
            torch.save(state, temporary)

    def start(self, engine: Engine) -> None:
        """Put back the state of an earlier run; a new run keeps its own, lest it be killed in its first epoch."""
        if self.folder.state is None:
            self.folder.clear()
            self._write(engine)
            return
        state, self.folder.state = self.folder.state, None
        self._restore(engine, state)
        if state["epoch"] >= engine.state.max_epochs:
            logger.info(
                "The run in %s is complete (%d epochs): nothing to do; give a larger --max_epochs to train on.",
                self.folder.path,
                state["epoch"],
            )
        else:
            logger.info("Going on after epoch %d of %s", state["epoch"], self.folder.path / LAST)

    def _restore(self, engine: Engine, state: dict[str, Any]) -> None:
        """Put back a state; what the command says of optimizer and target statistics stays."""
        statistics = self.network.target_statistics
        self.network.load_state_dict(state["network"])
        self.network.set_target_statistics(statistics)
        settings = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": settings})
        if engine.scaler is not None and state["scaler"] is not None:
            engine.scaler.load_state_dict(state["scaler"])
        engine.state.epoch = state["epoch"]
        engine.state.iteration = state["epoch"] * engine.state.epoch_length
        self.evaluator.state.best_metric = state["best_metric"]
        self.evaluator.state.best_metric_epoch = state["best_metric_epoch"]
        set_random_state(state["random_state"])
