"""Write where this extension is published into the three files that say so: CMakeLists.txt, the .s4ext, the .json.

    python Resources/set_repository.py https://github.com/NAME/SlicerCardiacValveLandmarks [--branch main]

Slicer's index of extensions takes no repository without "slicer" in its name. Until somebody publishes it there is no
such address, and the files say OWNER where the name of the account belongs.
`python Resources/set_repository.py` alone prints the address they have.
"""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FILES = ("CMakeLists.txt", "CardiacValveLandmarks.s4ext", "CardiacValveLandmarks.json")
_ADDRESS = re.compile(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?=\.git|#|\")")
_RAW = re.compile(r"https://raw\.githubusercontent\.com/([\w.-]+)/([\w.-]+)/([\w.-]+)/(?=Resources/)")


def addresses(root: Path) -> set[tuple[str, str]]:
    """Every (account, repository) the files name; one, when they agree."""
    found = set()
    for name in FILES:
        text = (root / name).read_text(encoding="utf-8")
        found |= set(_ADDRESS.findall(text)) | {(account, repository) for account, repository, _ in _RAW.findall(text)}
    return found


def write(root: Path, account: str, repository: str, branch: str) -> None:
    for name in FILES:
        text = (root / name).read_text(encoding="utf-8")
        text = _ADDRESS.sub(f"https://github.com/{account}/{repository}", text)
        text = _RAW.sub(f"https://raw.githubusercontent.com/{account}/{repository}/{branch}/", text)
        text = re.sub(r'(?m)^(scmrevision |  "scm_revision": ")[\w.-]+', rf"\g<1>{branch}", text)
        (root / name).write_text(text, encoding="utf-8", newline="\n")


def main(arguments: list[str], root: Path = ROOT) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("address", nargs="?", help="https://github.com/NAME/REPOSITORY")
    parser.add_argument("--branch", default="main")
    options = parser.parse_args(arguments)
    if options.address is not None:
        given = re.fullmatch(r"https://github\.com/([\w.-]+)/([\w.-]+?)(?:\.git)?/?", options.address)
        if given is None:
            parser.error(f"expected https://github.com/NAME/REPOSITORY, found {options.address}")
        if "slicer" not in given[2].lower():
            parser.error(f'expected a repository with "slicer" in its name, as Slicer\'s index wants, found {given[2]}')
        write(root, *given.groups(), options.branch)
    for account, repository in sorted(addresses(root)):
        print(f"https://github.com/{account}/{repository}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
