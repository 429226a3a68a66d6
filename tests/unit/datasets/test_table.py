"""Tables as people save them hold the same rows."""

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bundle.datasets.table import listed_file, read_table
from bundle.errors import BundleError

COLUMNS = ("split", "image", "image_channel")
PLAIN = "split,image,image_channel\ntrain,day 1/ä.tif,\ntest,b.tif,DAPI\n"
CELLS = [
    {"split": "train", "image": "day 1/ä.tif", "image_channel": ""},
    {"split": "test", "image": "b.tif", "image_channel": "DAPI"},
]


def known_cells(path, content):
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    _, rows = read_table(path, COLUMNS)
    return [{name: row.cells[name] for name in COLUMNS} for row in rows]


@pytest.mark.parametrize(
    "content",
    [
        PLAIN,
        PLAIN.replace(",", ";"),
        PLAIN.replace(",", "\t"),
        PLAIN.replace(",", "|"),
        PLAIN.replace("\n", "\r\n"),
        PLAIN.replace("\n", "\r"),
        PLAIN.replace(",", ", ").replace("\n", " \n"),
        PLAIN.replace("split,image,image_channel", "Split , IMAGE,Image Channel"),
        "\n\n" + PLAIN.replace("\n", "\n,,\n\n") + ",,\n",
        PLAIN.replace("\n", ",,\n"),
        PLAIN.replace("\n", ",note\n", 1).replace("DAPI", 'DAPI,"x, y"'),
        PLAIN.replace("DAPI", "DAPI,a note,another"),
        PLAIN.replace("b.tif", '" b.tif "').replace("train,", '"train" ,'),
        PLAIN.replace("\n", ",Note\n", 1).replace("DAPI", 'DAPI,"first\nsecond"'),
        "sep=;\n" + PLAIN.replace(",", ";"),
        '"sep=|"\r\n' + PLAIN.replace(",", "|").replace("\n", "\r\n"),
        codecs.BOM_UTF8 + PLAIN.encode(),
        PLAIN.encode("utf-16"),
        codecs.BOM_UTF16_BE + PLAIN.encode("utf-16-be"),
        PLAIN.replace(",", "\t").encode("utf-16-le"),
        PLAIN.encode("utf-16-be"),
        PLAIN.encode("utf-32"),
        PLAIN.replace(",", ";").encode("cp1252"),
    ],
)
def test_however_a_table_was_saved_it_holds_the_same(tmp_path, content):
    assert known_cells(tmp_path / "t.csv", content) == CELLS


def test_lines_are_those_that_an_editor_counts(tmp_path):
    (tmp_path / "t.csv").write_text("sep=,\nsplit,image\n\n,\ntrain,a.tif\n")
    header, (row,) = read_table(tmp_path / "t.csv", COLUMNS)
    assert (header, row.line) == (["split", "image"], 5)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("split,image,image\ntrain,a,b\n", "2 columns 'image'"),
        ('split,image,image_channel\ntrain,"a.tif,\ntest,b.tif,\n', "line 3 .* never closed"),
        ('split,image,image_channel\ntrain,a.tif,"\ntest,b.tif,\n', "line 3 .* never closed"),
        (b"PK\x03\x04\x14\x00\x06\x00\x08\x00", "save it as CSV in UTF-8"),
        (b"\xff\xfe\x00spli", "save it as CSV in UTF-8"),
        ("split,image\ntrain," + "a" * 200_000, "Line 2 of .*field larger"),
    ],
)
def test_what_would_be_misread_is_a_sentence(tmp_path, content, expected):
    with pytest.raises(BundleError, match=expected) as caught:
        known_cells(tmp_path / "t.csv", content)
    assert "t.csv" in str(caught.value)


TEXT = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), max_size=12).map(
    lambda text: text.strip().strip("\ufeff\xa0").strip()
)


@given(rows=st.lists(st.tuples(TEXT, TEXT, TEXT).filter(any), max_size=6), delimiter=st.sampled_from(",;\t|"))
def test_quoted_cells_come_back_whatever_they_hold(tmp_path_factory, rows, delimiter):
    quoted = [["split", "image", "image_channel"], *([cell.replace('"', '""') for cell in row] for row in rows)]
    text = "".join(delimiter.join(f'"{cell}"' for cell in row) + "\n" for row in quoted)
    found = known_cells(tmp_path_factory.mktemp("t") / "t.csv", text)
    assert [tuple(row.values()) for row in found] == rows


def test_a_listed_file_may_be_written_as_on_windows(tmp_path):
    (tmp_path / "day1").mkdir()
    (tmp_path / "day1" / "a.tif").touch()
    (tmp_path / "odd\\name.tif").touch()
    table = tmp_path / "t.csv"
    assert listed_file(table, r"day1\a.tif") == tmp_path / "day1" / "a.tif"
    assert listed_file(table, r".\day1\a.tif[scene=2]").as_posix().endswith("day1/a.tif[scene=2]")
    assert listed_file(table, r"odd\name.tif") == tmp_path / "odd\\name.tif"
    assert listed_file(table, "/abs/a.tif").as_posix() == "/abs/a.tif"
