"""What is asked for in the plug-in's window, and its prediction."""

from dataclasses import dataclass
from typing import Any

from bundle.errors import BundleError
from bundle.predictor import OnWindow, Prediction, Predictor


@dataclass(frozen=True)
class Request:
    """One prediction that is asked for.

    Attributes:
        image: a file, or an array (Z, Y, X).
        name: what an array is called.
        is_file: whether it is a file, whose transmitted light is to be shown as well.
        checkpoint: weights.
        tasks: structures; none = all that the weights know.
        spacing: voxel size in micrometres (Z, Y, X); None = the file's.
        origin: where the first voxel lies, in micrometres (Z, Y, X).
        channel: transmitted-light channel of a file, by index or name; "" = the only one, or that whose name tells.
        adapt: as `--adapt` of `repmode predict`.
    """

    image: Any
    name: str
    is_file: bool
    checkpoint: str
    tasks: tuple[str, ...] = ()
    spacing: tuple[float, ...] | None = None
    origin: tuple[float, ...] = (0.0, 0.0, 0.0)
    channel: str = ""
    adapt: bool | str = "auto"

    def predict(self, on_window: OnWindow) -> Prediction:
        """Predict it.

        Raises:
            BundleError: the weights or the stack cannot be read or predicted.
        """
        predictor = Predictor(self.checkpoint, tasks=list(self.tasks) or None, adapt=self.adapt, progress=False)
        knobs: dict[str, Any] = {"spacing": self.spacing} if self.spacing else {}
        if self.is_file:
            knobs |= {"include_input": True, **({"channel": self.channel} if self.channel else {})}
        prediction: Prediction = predictor.predict(self.image, name=self.name, on_window=on_window, **knobs)
        return prediction


def read_spacing(text: str) -> tuple[float, ...] | None:
    """Read a voxel size in micrometres that was typed, Z Y X; None for nothing.

    Raises:
        BundleError: these are not one or three numbers above zero.
    """
    words = text.replace(",", " ").split()
    try:
        sizes = tuple(float(word) for word in words)
    except ValueError:
        sizes = ()
    if words and not (len(sizes) in (1, 3) and all(0 < size < 1e6 for size in sizes)):
        raise BundleError(f"The voxel size is {text!r}; give three numbers in µm (Z Y X), such as 0.29 0.108 0.108.")
    return (sizes * 3 if len(sizes) == 1 else sizes) or None


def time_left(seconds: float, done: int, total: int) -> str:
    """Tell how far a prediction is, and how long the rest takes at the pace so far."""
    left = round(seconds / max(1, done) * (total - done))
    return f"{done} of {total} windows, {left // 60}:{left % 60:02d} left"
