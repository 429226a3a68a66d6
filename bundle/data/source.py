"""Which stack of which file: the path, and the scene and time point where a file holds several."""

import re
from dataclasses import dataclass
from pathlib import Path

SELECTED = re.compile(r"(?P<path>.+)\[(?:scene=(?P<scene>\d+))?,?(?:timepoint=(?P<timepoint>\d+))?\]", re.DOTALL)


@dataclass(frozen=True)
class StackSource:
    """One stack of a file; as text it is the path, then what was chosen: `cells.czi[scene=1,timepoint=3]`.

    Attributes:
        path: the file (for OME-Zarr a folder).
        scene: index of the scene from 0; None = the only one.
        timepoint: index of the time point from 0; None = the only one.
    """

    path: Path
    scene: int | None = None
    timepoint: int | None = None

    @classmethod
    def parse(cls, text: "str | Path | StackSource") -> "StackSource":
        """Read the text form; a plain path is one, too."""
        if isinstance(text, StackSource):
            return text
        found = SELECTED.fullmatch(str(text))
        if found is None or found["scene"] is found["timepoint"] is None:
            return cls(Path(text))
        scene, timepoint = (None if found[name] is None else int(found[name]) for name in ("scene", "timepoint"))
        return cls(Path(found["path"]), scene, timepoint)

    def __str__(self) -> str:
        chosen = {"scene": self.scene, "timepoint": self.timepoint}
        shown = ",".join(f"{name}={index}" for name, index in chosen.items() if index is not None)
        return f"{self.path}[{shown}]" if shown else str(self.path)

    @property
    def ending(self) -> str:
        """What tells the outputs of one file's stacks apart: `_s001_t003`, empty where nothing was chosen."""
        parts = [
            f"_{letter}{index:03d}" for letter, index in (("s", self.scene), ("t", self.timepoint)) if index is not None
        ]
        return "".join(parts)
