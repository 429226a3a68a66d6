"""Ask PyPI for known advisories of the versions in requirements.lock; where it does not answer, say so and end well.

Some mirrors answer for packages but not for versions, which is what advisories belong to: pip-audit would pass over
all of them.
"""

import json
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

LOCK = Path(__file__).parents[1] / "requirements.lock"
SECONDS = 10


def answers(requirement: str) -> bool:
    """Tell whether the index says anything of advisories for a version."""
    name, version = requirement.split("==")
    try:
        with urllib.request.urlopen(f"https://pypi.org/pypi/{name}/{version}/json", timeout=SECONDS) as answer:
            return "vulnerabilities" in json.load(answer)
    except (OSError, ValueError):
        return False


def main() -> None:
    """Audit, in an environment of its own: pip-audit is nothing that the tests need."""
    lines = LOCK.read_text(encoding="utf-8").splitlines()
    if not answers(next(line for line in lines if "==" in line)):
        print("Advisories were not asked for: PyPI tells none of versions from here.")
        return
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([sys.executable, "-m", "pip", "install", "--quiet", "--target", folder, "pip-audit"], check=True)
        command = [sys.executable, "-m", "pip_audit", "--strict", "--no-deps", "--disable-pip", "-r", str(LOCK)]
        sys.exit(subprocess.run(command, env={"PYTHONPATH": folder}, check=False).returncode)


if __name__ == "__main__":
    main()
