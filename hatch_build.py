"""Build hook: compiles `pykbroker/protocol/record_walk.py`, where there is a C compiler.

    python hatch_build.py      compiles for this checkout, as an editable install does

The copy is called `_compiled_record_walk`, so that the source stays what is imported under its own
name, and carries the hash of its source, so that `pykbroker.protocol.compiled` can tell whether it
is of today's. Without it the broker runs the source: the build goes on and says so. To have it so
on purpose, set PYKBROKER_PURE_PYTHON=1.
"""

import os
import platform
import shutil
import sys
import tempfile
from importlib.util import source_hash
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("pykbroker/protocol/record_walk.py")
COPY_NAME = f"_compiled_{SOURCE.stem}"
# Each look at the data is checked against its end, and a negative position is none from the end.
# Types come from the .pxd alone.
DIRECTIVES = {
    "annotation_typing": False,
    "boundscheck": True,
    "language_level": 3,
    "wraparound": False,
}


class NotCompiledError(Exception):
    """There is no compiled copy; the message says why."""


class CustomBuildHook(BuildHookInterface):  # type: ignore[misc]  # hatchling is not looked into
    """Puts the compiled copy into a wheel, or beside its source for an editable install."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Compile before the files are gathered."""
        root = Path(self.root)
        try:
            if version == "editable":
                compile_copy(root, root / SOURCE.parent)
            else:
                self._folder = tempfile.mkdtemp()
                copy = compile_copy(root, Path(self._folder))
                build_data["force_include"][str(copy)] = str(SOURCE.with_name(copy.name))
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        except NotCompiledError as error:
            self.app.display_warning(f"records will be checked in Python, not compiled: {error}")
        else:
            self.app.display_info("records will be checked by compiled code")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for a wheel, which has it now."""
        if version != "editable":
            shutil.rmtree(self._folder)


def compile_copy(root: Path, target: Path) -> Path:
    """Compile the copy into a folder.

    Raises:
        NotCompiledError: It cannot be compiled here, or is not to be.
    """
    if os.environ.get("PYKBROKER_PURE_PYTHON", "0") != "0":
        raise NotCompiledError("PYKBROKER_PURE_PYTHON is set")
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        raise NotCompiledError("it is made for CPython of 64 bits only")
    try:
        from Cython.Build import cythonize
        from Cython.Compiler.Errors import CompileError
        from setuptools import Distribution, Extension
        from setuptools.command.build_ext import build_ext
        from setuptools.errors import BaseError, CCompilerError
    except ImportError as error:
        raise NotCompiledError(f"{error.name} is not installed") from error

    with tempfile.TemporaryDirectory() as work:
        package = Path(work, SOURCE.parent)
        package.mkdir(parents=True)
        for folder in (package, package.parent):
            (folder / "__init__.py").touch()
        source = (root / SOURCE).read_bytes()
        copy = package / f"{COPY_NAME}.py"
        copy.write_bytes(source + f"\nSOURCE_HASH = {source_hash(source)!r}\n".encode())
        shutil.copy((root / SOURCE).with_suffix(".pxd"), copy.with_suffix(".pxd"))
        module = ".".join((*SOURCE.parent.parts, COPY_NAME))
        try:
            extensions = cythonize(
                [Extension(module, [str(copy)], extra_compile_args=["-O2", "-g0"])],
                compiler_directives=DIRECTIVES,
                quiet=True,
            )
            command = build_ext(Distribution({"ext_modules": extensions}))
            command.build_lib = str(Path(work, "lib"))
            command.build_temp = str(Path(work, "temp"))
            command.ensure_finalized()
            command.run()
        except (BaseError, CCompilerError, CompileError, OSError) as error:
            raise NotCompiledError(str(error)) from error
        built = Path(command.get_ext_fullpath(module))
        # A running broker keeps the file that it has mapped.
        replacement = target / f"{built.name}.new"
        shutil.copy(built, replacement)
        return replacement.rename(target / built.name)


if __name__ == "__main__":
    here = Path(__file__).parent
    print(compile_copy(here, here / SOURCE.parent))
