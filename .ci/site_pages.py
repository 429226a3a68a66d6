"""What the site has beside docs/: pages made of the files at the root and of docstrings, and links that lead there."""

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PAGES = {"README.md": "start.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
PUBLIC = (
    "bundle.predictor.Predictor",
    "bundle.predictor.Prediction",
    "bundle.checkpoint.load_network",
    "bundle.network.repmode.RepMode",
)
LINK = re.compile(r'(?P<before>\]\(|src=")(?P<target>[^)\s"#:]+)(?P<after>[^)"]*[)"])')


def on_files(files: Files, config: Any) -> Files:
    """Add the pages that are made."""
    for source, page in PAGES.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=_with_links(text, ".", page)))
    api = "\n\n".join(["# API", *(f"::: {name}" for name in PUBLIC)])
    files.append(File.generated(config, "api.md", content=api))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Let links out of docs/ lead to the pages made of what they name."""
    if page.file.src_uri in PAGES.values():
        return markdown
    return _with_links(markdown, posixpath.dirname(f"docs/{page.file.src_uri}"), page.file.src_uri)


def _with_links(text: str, folder: str, page: str) -> str:
    """Rewrite the links of a page that was written for the repository.

    Args:
        text: its Markdown.
        folder: where it lies in the repository.
        page: what the site calls it.
    """

    def rewrite(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(folder, link["target"]))
        if not (ROOT / target).exists():
            return link[0]  # mkdocs tells of it
        inside = target.removeprefix("docs/") if target.startswith("docs/") else PAGES.get(target)
        if inside is None:  # code and folders are no pages: by name, for the reader's clone
            return f"](start.md{link['after'][-1]}" if link["before"] == "](" else link[0]
        return f"{link['before']}{posixpath.relpath(inside, posixpath.dirname(page) or '.')}{link['after']}"

    return LINK.sub(rewrite, text)
