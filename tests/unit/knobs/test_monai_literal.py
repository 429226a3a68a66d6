import pytest
from monai.bundle import ConfigParser

from bundle.knobs.words import as_literal


@pytest.mark.parametrize(
    "text", ["$import.tif", "@x", "%y.json", "well #3.tif", "$'a'\"b\\", "$__import__('os')", "µ#m", "plain", "#"]
)
def test_the_parser_gives_back_what_was_written(text):
    parser = ConfigParser({"x": 1, "one": as_literal(text), "several": as_literal([text, "other"])})
    assert parser.get_parsed_content("one") == text
    assert parser.get_parsed_content("several") == [text, "other"]
