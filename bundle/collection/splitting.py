"""Which stack goes into which split, as the paper has it: 75/25 a structure, 10 % of the training for validation."""

from collections.abc import Mapping, Sequence

import numpy as np

TEST_SHARE = 0.25
VALIDATION_SHARE = 0.10  # of what is not for testing
DNA_COUNTS = {"train": 54, "validation": 6, "test": 20}


def split_stacks(stacks: Mapping[str, Sequence[str]], seed: int) -> dict[str, str]:
    """Give each stack its split; of two stacks of a structure one is for testing, of three one for validation.

    Args:
        stacks: names of the stacks of each structure.
        seed: of the shuffling.
    """
    splits: dict[str, str] = {}
    for number, task in enumerate(sorted(stacks)):
        order = np.random.default_rng([seed, number]).permutation(len(stacks[task]))
        count = len(order)
        test = max(round(TEST_SHARE * count), int(count > 1))
        validation = max(round(VALIDATION_SHARE * (count - test)), int(count > 2))
        for place, index in enumerate(order):
            split = "test" if place < test else "validation" if place < test + validation else "train"
            splits[stacks[task][index]] = split
    return splits


def draw_dna(splits: Mapping[str, str], with_dna: Sequence[str], seed: int) -> dict[str, str]:
    """Draw the stacks of the DNA set from those of the structures, each within the split it has already.

    Args:
        splits: what `split_stacks` gave.
        with_dna: names of the stacks that have such a channel.
        seed: of the drawing.

    Returns:
        The split of each that is drawn: 54, 6 and 20 of training, validation and test, or as many as there are.
    """
    generator = np.random.default_rng(seed)
    drawn: dict[str, str] = {}
    for split, count in DNA_COUNTS.items():
        pool = sorted(name for name in with_dna if splits[name] == split)
        for index in sorted(generator.permutation(len(pool))[:count]):
            drawn[pool[index]] = split
    return drawn
