import pytest

from bundle.own_marker.verdict import Training, judge


def row(r2):
    return {"mse": 1 - r2, "r2": r2, "pearson": max(r2, 0) ** 0.5}


STEADY = Training(0.4, [0.6, 0.5, 0.5])


@pytest.mark.parametrize(
    ("network", "baseline", "headline"),
    [
        ([0.5, 0.6], [0.2, 0.3], "The marker was learnt"),
        ([0.21], [0.2], "no better than a plain filter"),
        ([-0.1], [-0.2], "was not learnt"),
    ],
)
def test_the_headline_follows_the_numbers(network, baseline, headline):
    words = judge(list(map(row, network)), list(map(row, baseline)), STEADY, blocks=False)
    assert headline in words[0]
    assert f"R2 {sum(network) / len(network):.2f}" in words[1]
    assert "predicting the mean none (R2 0, MSE 1)" in words[1]


def test_what_the_numbers_are_worth_is_said():
    assert "block of the only stack" in judge([row(0.5)], [row(0.2)], STEADY, blocks=True)[2]
    assert "one stack that" in judge([row(0.5)], [row(0.2)], STEADY, blocks=False)[2]
    assert "means over 2 stacks" in judge([row(0.5)] * 2, [row(0.2)] * 2, STEADY, blocks=False)[2]


def test_advice_follows_the_training():
    falling, overfitted = Training(0.4, [0.6, 0.5]), Training(0.1, [0.6, 0.6])
    assert "--max_epochs" in judge([row(0.5)], [row(0.2)], falling, blocks=False)[3]
    assert "more stacks" in judge([row(0.5)], [row(0.2)], overfitted, blocks=False)[3]
    assert len(judge([row(0.5)], [row(0.2)], STEADY, blocks=False)) == 3
    assert "registration" in judge([row(0.1)], [row(0.2)], STEADY, blocks=False)[3]
