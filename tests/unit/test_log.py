import logging

import pytest

from bundle.log import show_news_only


@pytest.fixture
def shown():
    """What a handler of the root shows from here on."""
    root, seen = logging.getLogger(), []
    handler = logging.StreamHandler()
    handler.emit = lambda record: seen.append(record.getMessage())
    before = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    yield seen
    root.removeHandler(handler)
    root.setLevel(before)


def say():
    """Log as a run over three files does."""
    ours = logging.getLogger("bundle.stacks.stack")
    for name in ("a.tif", "a.tif", "b.tif", "c.tif"):
        ours.info("%s: axes ZYX", name)
        ours.warning("%s has no pixel size", name)
    for windows in (64, 32):
        ours.warning("Memory ran out: windows of %d voxels", windows)
    logging.getLogger("ignite.engine.engine.SupervisedTrainer").info("Epoch[1] Complete.")
    logging.getLogger("else").info("twice")
    logging.getLogger("else").info("twice")


def test_each_thing_is_said_once(shown):
    show_news_only(verbose=False)
    say()
    assert shown == [
        "a.tif: axes ZYX",
        "a.tif has no pixel size",
        "b.tif: axes ZYX",
        "The same holds for other files; --verbose True names each.",
        "c.tif: axes ZYX",
        "Memory ran out: windows of 64 voxels",
        "Memory ran out: windows of 32 voxels",
        "twice",
        "twice",
    ]


def test_everything_is_said_where_it_is_asked_for(shown):
    show_news_only(verbose=False)
    show_news_only(verbose=True)
    say()
    assert len(shown) == 13
    assert "Epoch[1] Complete." in shown


def test_another_run_says_it_again(shown):
    for _ in range(2):
        show_news_only(verbose=False)
        logging.getLogger("bundle.predicting").info("1 of 1 stacks predicted")
    assert shown == ["1 of 1 stacks predicted"] * 2
