from bundle.stacks.channel import TASK_COLORS, channel_colors


def test_every_structure_has_its_own_colour():
    assert len(set(TASK_COLORS.values())) == len(TASK_COLORS) == 12
    assert channel_colors(list(TASK_COLORS)) == list(TASK_COLORS.values())


def test_other_names_take_what_is_left():
    colors = channel_colors(["mine", "dna", "yours"])
    assert colors[1] == TASK_COLORS["dna"]
    assert len(set(colors)) == 3
    assert len(channel_colors([f"task {number}" for number in range(30)])) == 30
