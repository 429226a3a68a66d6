"""Print one of the README's commands, so that what CI runs is what a reader types: `readme_command.py predict|test`."""

import re
import sys
from pathlib import Path


def readme_command(name: str) -> str:
    """Return the fenced command that follows the comment `<!-- command: NAME -->` in the README.

    Raises:
        ValueError: if the README has no such command.
    """
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    match = re.search(rf"<!-- command: {re.escape(name)} -->\s*```bash\n(.*?)```", readme, flags=re.DOTALL)
    if match is None:
        raise ValueError(f"README.md has no command marked <!-- command: {name} -->.")
    return match[1].strip()


if __name__ == "__main__":
    print(readme_command(sys.argv[1]))
