"""Build hook: compiles the code that every record and every request runs through, where it can.

Two compilers, as there are two kinds of such code:

- Cython makes `_compiled_record_walk`, a copy of `pykbroker/protocol/record_walk.py` with C types,
  which looks at each record. It carries the hash of its source, so that
  `pykbroker.protocol.compiled` can tell whether it is of today's, and is there in editable installs
  too.
- mypyc compiles `MODULES` as they are, between the socket and the log, by their type hints. They
  take the place of their sources, so only a wheel has them: who edits a module runs what it says.
  What differs there: `raise ... from` sets no cause, and a value must be of the type that mypy
  believes it to have.

    python hatch_build.py      makes the copy for this checkout, as an editable install does

Where there is no C compiler the build goes on and says so: the broker then runs the sources. To
have it so on purpose, set PYKBROKER_PURE_PYTHON=1.
"""

import os
import platform
import shutil
import subprocess
import sys
import tempfile
from importlib.util import source_hash
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

SOURCE = Path("pykbroker/protocol/record_walk.py")
COPY_NAME = f"_compiled_{SOURCE.stem}"
# Two libraries of one size, which two processors compile at the same time.
MODULES = {
    "pykbroker.compiled": (
        "answer_writer",
        "connection",
        "dispatch",
        "handlers/produce",
        "leadership",
        "metadata/image",
        "protocol/framing",
        "protocol/primitives",
        "protocol/produce_layout",
        "protocol/record_batch",
    ),
    "pykbroker.compiled_storage": (
        "storage/batch_scan",
        "storage/index_file",
        "storage/leader_epoch_cache",
        "storage/log_producers",
        "storage/offset_index",
        "storage/partition_log",
        "storage/producer_state",
        "storage/segment",
        "storage/segment_chain",
        "storage/time_index",
        "storage/transaction_index",
        "storage/validation",
    ),
}
# What mypy --strict has to say is said by CI, where all that is imported is installed.
SETUP = """
from mypyc.build import mypycify
from setuptools import setup

options = ["--config-file=", "--ignore-missing-imports"]
libraries = {libraries!r}
paths = [path for paths, _ in libraries for path in paths]
modules = mypycify([*options, *paths], separate=libraries, opt_level="1", debug_level="0")
setup(name="pykbroker", packages=[], ext_modules=modules)
"""
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
                for path, place in compile_modules(root, Path(self._folder)).items():
                    build_data["force_include"][str(path)] = str(place)
            build_data["pure_python"] = False
            build_data["infer_tag"] = True
        except NotCompiledError as error:
            self.app.display_warning(f"pykbroker will run in Python, not compiled: {error}")
        else:
            self.app.display_info("pykbroker is compiled")

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        """Remove what was compiled for a wheel, which has it now."""
        if version != "editable":
            shutil.rmtree(self._folder)


def compile_modules(root: Path, work: Path) -> dict[Path, Path]:
    """Compile `MODULES` in a folder.

    Returns:
        Where each compiled module is, and where it belongs in a wheel.

    Raises:
        NotCompiledError: They cannot be compiled here, or are not to be.
    """
    _check_possible()
    tree, library = work / "tree", work / "library"
    package = tree / "pykbroker"
    no_binaries = shutil.ignore_patterns("*.so", "*.pyd", "__pycache__")
    shutil.copytree(root / "pykbroker", package, ignore=no_binaries)
    libraries = [
        ([f"pykbroker/{module}.py" for module in modules], name)
        for name, modules in MODULES.items()
    ]
    (tree / "setup.py").write_text(SETUP.format(libraries=libraries))
    command = [sys.executable, "setup.py", "-q", "build_ext", f"--build-lib={library}"]
    command.append(f"--parallel={len(MODULES)}")
    result = subprocess.run(  # noqa: S603 - our own program
        command, cwd=tree, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    if result.returncode:
        last_lines = "\n".join(result.stdout.splitlines()[-5:])
        raise NotCompiledError(f"mypyc has failed:\n{last_lines}")
    return {path: path.relative_to(library) for path in library.rglob("*") if path.is_file()}


def _check_possible() -> None:
    if os.environ.get("PYKBROKER_PURE_PYTHON", "0") != "0":
        raise NotCompiledError("PYKBROKER_PURE_PYTHON is set")
    if platform.python_implementation() != "CPython" or sys.maxsize < 2**32:
        raise NotCompiledError("it is made for CPython of 64 bits only")


def compile_copy(root: Path, target: Path) -> Path:
    """Compile the copy into a folder.

    Raises:
        NotCompiledError: It cannot be compiled here, or is not to be.
    """
    _check_possible()
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
