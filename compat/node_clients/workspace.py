"""Our JavaScript beside the packages that it needs: node looks for them beside the script."""

import hashlib
import shutil
from pathlib import Path

from compat.outside import cached, run
from compat.runtimes import require

FOLDER = Path(__file__).parent


def node_modules() -> Path:
    """The packages of package-lock.json, installed once."""
    npm = require("npm")
    digest = hashlib.sha256((FOLDER / "package-lock.json").read_bytes()).hexdigest()

    def install(directory: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(FOLDER / name, directory)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory)

    return cached(f"node_clients-{digest[:16]}", install) / "node_modules"


def lay_out(directory: Path, packages: Path, *scripts: Path) -> Path:
    """Lay main.mjs and the clients' scripts beside the packages; gives main.mjs."""
    (directory / "node_modules").symlink_to(packages)
    for script in (FOLDER / "main.mjs", *scripts):
        shutil.copy(script, directory)
    return directory / "main.mjs"
