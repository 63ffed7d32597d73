"""Upstream's source archives as Debian keeps them, for what no other registry has.

apt-get fetches and verifies them with lists of its own, from the mirror that this machine uses
for packages. It needs neither root nor a deb-src line in the machine's configuration.
"""

import shutil
import tarfile
from pathlib import Path

from compat.outside import BuildError, run


def unpack_source(package: str, version: str, suite: str, directory: Path) -> None:
    """Fill `directory` with the source of a Debian package, as its authors published it.

    Args:
        version: Debian's, with the revision: "1.7.1-2".
        suite: A release of Debian that has this version: "bookworm", "sid".

    Raises:
        BuildError: No Debian here, or it does not have this version any more.
    """
    targets = ["apt-get", "indextargets", "--format", "$(REPO_URI)"]
    mirrors = run([*targets, "Created-By: Packages", "Origin: Debian"]).split()
    if not mirrors:
        raise BuildError("no Debian mirror in the configuration of apt")
    work = directory / "apt"
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    (work / "sources.list").write_text(f"deb-src {mirrors[0]} {suite} main\n")
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "-",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "APT::Sandbox::User": "",
    }
    apt_get = [
        "apt-get",
        *(word for key, value in options.items() for word in ("-o", f"{key}={value}")),
    ]
    run([*apt_get, "update"])
    # Only what its authors made: mirrors have been seen without Debian's own part.
    run([*apt_get, "source", "--download-only", "--tar-only", f"{package}={version}"], cwd=work)
    (archive,) = work.glob("*.orig.tar.*")
    with tarfile.open(archive) as packed:
        packed.extractall(work / "unpacked", filter="data")
    (top,) = (work / "unpacked").iterdir()
    for path in top.iterdir():
        path.rename(directory / path.name)
    shutil.rmtree(work)
