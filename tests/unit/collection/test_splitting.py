"""The paper's splits."""

from bundle.collection.splitting import draw_dna, split_stacks

STACKS = {task: [f"{task}_{number}" for number in range(count)] for task, count in (("a", 80), ("b", 40), ("c", 1))}


def count(splits, split):
    return sum(each == split for each in splits.values())


def test_a_quarter_is_for_testing_and_a_tenth_of_the_rest_for_validation():
    splits = split_stacks(STACKS, 42)
    of_a = {name: split for name, split in splits.items() if name.startswith("a_")}
    assert [count(of_a, split) for split in ("train", "validation", "test")] == [54, 6, 20]
    assert splits["c_0"] == "train"
    assert splits == split_stacks(STACKS, 42)
    assert splits != split_stacks(STACKS, 43)


def test_a_structure_more_changes_nothing_of_those_before_it():
    assert {**split_stacks(STACKS, 42), **split_stacks({**STACKS, "d": ["d_0"]}, 42)} == split_stacks(
        {**STACKS, "d": ["d_0"]}, 42
    )


def test_the_dna_set_is_drawn_within_the_splits():
    splits = split_stacks(STACKS, 42)
    drawn = draw_dna(splits, sorted(splits), 42)
    assert [count(drawn, split) for split in ("train", "validation", "test")] == [54, 6, 20]
    assert all(splits[name] == split for name, split in drawn.items())
    assert {name[0] for name in drawn} >= {"a", "b"}
    assert draw_dna(splits, ["c_0"], 42) == {"c_0": "train"}
