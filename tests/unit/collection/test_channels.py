"""Channels by the names in the metadata, or by a table."""

import pytest

from bundle.collection.channels import find_channels, read_channel_table
from bundle.errors import BundleError


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["CMDRP", "EGFP", "H3342", "Bright_2"], [3, 1, 2, 0]),
        (["TL Brightfield", "mTagRFPT", "Hoechst 33342", "CellMask Deep Red"], [0, 1, 2, 3]),
        (["EGFP", "TransLight"], [1, 0]),
    ],
)
def test_names_tell_the_channels(names, expected):
    found = find_channels("a.czi", names, {})
    assert [found[role] for role in ("brightfield", "structure", "dna", "membrane") if role in found] == expected


def test_a_table_comes_first_and_takes_names_and_indices(tmp_path):
    (tmp_path / "t.csv").write_text("file,brightfield,structure,dna\nsub/a.czi,2,EGFP,\n")
    table = read_channel_table(tmp_path / "t.csv")
    assert find_channels("a.czi", ["EGFP", "Bright", "other"], table) == {"brightfield": 2, "structure": 0}
    with pytest.raises(BundleError, match="the brightfield '2', but it has EGFP, Bright"):
        find_channels("a.czi", ["EGFP", "Bright"], table)


def test_what_does_not_tell_is_a_sentence(tmp_path):
    with pytest.raises(BundleError, match=r"no channel named as structure among Bright, x; .*--channels"):
        find_channels("a.czi", ["Bright", "x"], {})
    with pytest.raises(BundleError, match=r"several channels that may be its structure \(EGFP, mCherry\)"):
        find_channels("a.czi", ["Bright", "EGFP", "mCherry"], {})
    (tmp_path / "t.csv").write_text("file,structure\na.czi,1\n")
    with pytest.raises(BundleError, match=r"lacks the column\(s\) brightfield"):
        read_channel_table(tmp_path / "t.csv")
