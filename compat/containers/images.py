"""The image under test, and the image that it is made from where no registry can be reached."""

import os
import shutil
import subprocess
from pathlib import Path

from compat import outside
from compat.containers.engine import DockerError, NoEngineError, docker

ROOT = Path(__file__).parent.parent.parent
BASE_ENV = "PYKBROKER_BASE_IMAGE"
"""Environment variable: the image to build from, in place of the one found here."""

IMAGE = "pykbroker-compat"
USUAL_BASE = "python:3.13-slim"
LOCAL_BASE = "pykbroker-compat-base"
RELEASE = "bookworm"
PACKAGES = "ca-certificates,python3,python3-venv"
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")


def is_here(image: str) -> bool:
    """Whether the engine has an image."""
    try:
        docker("image", "inspect", image)
    except DockerError:
        return False
    return True


def base_image() -> str:
    """An image with Python: the chosen one, the usual one if it is here, else a Debian made here.

    Raises:
        NoEngineError: There is none, and none can be made.
    """
    chosen = os.environ.get(BASE_ENV)
    if chosen:
        return chosen
    for image in (USUAL_BASE, LOCAL_BASE):
        if is_here(image):
            return image
    if shutil.which("debootstrap") is None or os.geteuid() != 0:
        raise NoEngineError(f"no image {USUAL_BASE} here, nor debootstrap and root to make one")
    root = outside.cached(f"debian-{RELEASE}", _debian)
    with subprocess.Popen(["tar", "-C", str(root), "-c", "."], stdout=subprocess.PIPE) as packing:
        subprocess.run(
            ["docker", "import", "-", LOCAL_BASE],
            stdin=packing.stdout,
            stdout=subprocess.DEVNULL,
            check=True,
        )
    assert packing.returncode == 0
    return LOCAL_BASE


def _debian(root: Path) -> None:
    outside.run(
        ["debootstrap", "--variant=minbase", f"--include={PACKAGES}", RELEASE, root], seconds=900
    )
    # For a machine that trusts certificates of its own.
    shutil.copy(CERTIFICATES, root / CERTIFICATES.relative_to("/"))
    (root / "etc" / "pip.conf").write_text(f"[global]\ncert = {CERTIFICATES}\n")


def build_image() -> str:
    """Build the image under test from the project's Dockerfile."""
    base = base_image()
    docker("build", "--build-arg", f"BASE_IMAGE={base}", "--tag", IMAGE, str(ROOT), seconds=900)
    return IMAGE
