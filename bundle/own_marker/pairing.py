"""Which image belongs to which target, by their names."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence

TOKEN = re.compile(r"[^\W\d_]+|\d+")
Difference = tuple[tuple[tuple[str, ...], tuple[str, ...]], ...]
"""How a target's name differs from its image's: what was taken away, and what stands in its place."""


def pair_names(images: Sequence[str], targets: Sequence[str]) -> list[tuple[int, int]]:
    """Pair names by the one difference that most pairs share, such as "_BF" in the place of "_GFP"; none where equal.

    Names are compared word by word and number by number; capitals and what stands between do not matter.

    Args:
        images: names of the images, without folders and endings.
        targets: names of the targets.

    Returns:
        Pairs of indices (image, target), each index once at most, in the order of the images.
    """
    image_words, target_words = ([_words(name) for name in names] for names in (images, targets))
    differences = {
        (row, column): _difference(image, target)
        for row, image in enumerate(image_words)
        for column, target in enumerate(target_words)
    }
    best: list[tuple[int, int]] = []
    counts = Counter(differences.values())
    for difference in sorted(counts, key=lambda each: (-counts[each], _size(each))):
        alike = [pair for pair, each in differences.items() if each == difference]
        pairs = _one_to_one(alike)
        if not best:
            best, chosen = pairs, difference
        elif pairs and len(pairs) == len(best) and _size(difference) == _size(chosen):
            return []  # nothing tells which of the two is meant
    return best


def _words(name: str) -> tuple[str, ...]:
    return tuple(TOKEN.findall(name.casefold()))


def _difference(image: tuple[str, ...], target: tuple[str, ...]) -> Difference:
    steps = difflib.SequenceMatcher(None, image, target, autojunk=False).get_opcodes()
    return tuple((image[a:b], target[c:d]) for kind, a, b, c, d in steps if kind != "equal")


def _size(difference: Difference) -> tuple[int, int]:
    """Tell how large a difference is: the numbers in it, then all words."""
    words = [word for step in difference for side in step for word in side]
    return sum(word.isdigit() for word in words), len(words)


def _one_to_one(pairs: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Keep the pairs whose image and target stand in no other pair."""
    images, targets = Counter(image for image, _ in pairs), Counter(target for _, target in pairs)
    return [(image, target) for image, target in pairs if images[image] == targets[target] == 1]
