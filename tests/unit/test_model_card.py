"""The model card has what the Model Zoo's template asks for."""

import json
import re
from pathlib import Path

import pytest
import yaml

from bundle.sharing.huggingface import TAGS

ROOT = Path(__file__).parents[2]
HEADINGS = [  # of the zoo's docs/readme_template.md, commands being its additional usage steps
    "Model Overview",
    "Authors",
    "Tags",
    "Model Description",
    "Data",
    "Performance",
    "System Configuration",
    "Limitations",
    "MONAI Bundle Commands",
    "Citation Info",
    "References",
    "License",
]


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """The text under each heading of the card, in their order."""
    text = (ROOT / "docs" / "README.md").read_text(encoding="utf-8")
    text = re.sub(r"^```.*?^```", lambda code: code[0].replace("#", ""), text, flags=re.MULTILINE | re.DOTALL)
    parts = re.split(r"^#+ (.+)$", text, flags=re.MULTILINE)[1:]
    return {heading: body.strip() for heading, body in zip(parts[::2], parts[1::2], strict=True)}


def test_the_headings_of_the_zoos_template_are_there_in_order_with_text(sections: dict[str, str]) -> None:
    assert [heading for heading in sections if heading in HEADINGS] == HEADINGS
    assert [heading for heading in HEADINGS[1:] if not sections[heading]] == []


def test_authors_tags_and_citation_say_what_metadata_hub_and_citation_file_say(sections: dict[str, str]) -> None:
    metadata = json.loads((ROOT / "configs" / "metadata.json").read_text(encoding="utf-8"))
    assert sections["Authors"].startswith(metadata["authors"])
    assert ["monai", *(tag.lower().replace(" ", "-") for tag in sections["Tags"].split(", "))] == TAGS
    cited = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))["preferred-citation"]
    assert f"title={{{cited['title']}}}" in sections["Citation Info"]
    names = " and ".join(f"{author['family-names']}, {author['given-names']}" for author in cited["authors"])
    assert f"author={{{names}}}" in sections["Citation Info"]
