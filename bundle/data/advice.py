"""What a user can do about a stack that is not understood, in the words of the command or file that names the stack."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Advice:
    """The ends of the readers' sentences.

    Attributes:
        spacing: how a wrong voxel size is put right.
        default_spacing: how one is given where the file has none.
        axes: how the axes are named.
        channel: how a channel is chosen.
        scene: how a scene is chosen; `{last}` is the last one's index.
        timepoint: likewise for a time point.
    """

    spacing: str
    default_spacing: str
    axes: str
    channel: str
    scene: str
    timepoint: str


ADVICE = {
    "options": Advice(
        spacing='give the true voxel size in micrometres as --spacing "[Z,Y,X]"',
        default_spacing='give the true voxel size in micrometres as --spacing "[Z,Y,X]"',
        axes='name the axes of the file\'s array with --axes, such as --axes "{axes}"',
        channel="choose one by name or index with --channel",
        scene='give --scene an index from 0 to {last}, or "all"',
        timepoint='give --timepoint an index from 0 to {last}, or "all"',
    ),
    "manifest": Advice(
        spacing="save the file anew as an OME-TIFF with its true voxel size",
        default_spacing='give the true voxel size in micrometres as --default_spacing "[Z,Y,X]"',
        axes="save it anew as an OME-TIFF whose axes are named ({axes})",
        channel="choose one by name or index in the column {column} of dataset.csv",
        scene="write which one behind the file's name in dataset.csv, [scene=0] to [scene={last}]",
        timepoint="write which one behind the file's name in dataset.csv, [timepoint=0] to [timepoint={last}]",
    ),
}
