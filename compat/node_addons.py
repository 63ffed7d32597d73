"""npm packages that are addons to librdkafka, built against the one of compat/librdkafka.py.

Their own install scripts would fetch a librdkafka from elsewhere: they are not run.
"""

import hashlib
import shutil
from collections.abc import Sequence
from pathlib import Path

from compat.librdkafka import installed
from compat.outside import cached, run
from compat.runtimes import require


def node_modules(folder: Path, addon: str, arguments: Sequence[str] = ()) -> Path:
    """The packages of a folder's package-lock.json, node-gyp among them, with `addon` built.

    Args:
        arguments: What this addon needs of node-gyp beyond the usual.
    """
    npm, node = require("npm"), require("node")
    librdkafka = installed()
    digest = hashlib.sha256((folder / "package-lock.json").read_bytes()).hexdigest()

    def build(directory: Path) -> None:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(folder / name, directory)
        run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=directory)
        gyp = directory / "node_modules" / "node-gyp" / "bin" / "node-gyp.js"
        # The headers that came with this node: node-gyp would fetch some.
        prefix = node.resolve().parent.parent
        include, lib = librdkafka / "include", librdkafka / "lib"
        run(
            [node, gyp, "rebuild", f"--nodedir={prefix}", *arguments],
            cwd=directory / "node_modules" / addon,
            env={
                "BUILD_LIBRDKAFKA": "0",
                "CXXFLAGS": f"-I{include} -I{include / 'librdkafka'}",
                "LDFLAGS": f"-L{lib} -Wl,-rpath,{lib}",
            },
        )

    return cached(f"{folder.name}-{digest[:16]}", build) / "node_modules"
