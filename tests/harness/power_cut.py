"""A disk that may lose its power: what a file system may show after a cut, at any moment.

`PowerCutDisk` does everything that the real file layer does, syncs excepted, and keeps book of what
is durable and what is only on its way. `state` picks one of the trees that may be found after a
cut now, `states` all of them where they are few; `write_tree` makes real files of one.

The model is stricter than any one file system; it is what POSIX allows and the journaling ones do:

- A file's synced content is there. Of what was written to it since, each sector is there as it was
  at any moment since the last sync, independently of all others: so writes are torn at sectors
  and reordered, within a file and between files.
- A file's size is any that it had since its last sync. Sectors within it that were not written are
  zero: what ext4's delayed allocation shows. A truncation is a change of size like others.
- Names (create, rename, remove, mkdir) are durable when their directory was synced, and only then:
  syncing a file does not make its name durable. What was done to the names of one directory since
  reaches the disk in order, as all journals have it, up to any point; between directories, and
  between names and contents, there is no order.
- What was there when the disk was made is durable.

Sectors are atomic. Real ones have 512 bytes or more; smaller ones tear small files more finely.
"""

from __future__ import annotations

import itertools
import os
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

from pykbroker.protocol.primitives import Buffer
from pykbroker.storage.file_layer import FileHandle, FileLayer

Tree: TypeAlias = "dict[str, bytes | Tree]"

_MANY_STATES = 4096


class _File:
    """Attributes: versions: the durable content, then that after each change since."""

    def __init__(self, content: bytes = b"") -> None:
        self.versions = [content]

    def write(self, data: bytes, position: int) -> None:
        content = bytearray(self.versions[-1].ljust(position, b"\0"))
        content[position : position + len(data)] = data
        self.versions.append(bytes(content))

    def truncate(self, size_bytes: int) -> None:
        self.versions.append(self.versions[-1][:size_bytes].ljust(size_bytes, b"\0"))

    def sync(self) -> None:
        self.versions = self.versions[-1:]

    def _sectors(self, size_bytes: int, sector_bytes: int) -> list[list[bytes]]:
        """For each sector what it may hold."""
        return [
            list(
                dict.fromkeys(
                    version[start : min(start + sector_bytes, size_bytes)].ljust(
                        min(sector_bytes, size_bytes - start), b"\0"
                    )
                    for version in self.versions
                )
            )
            for start in range(0, size_bytes, sector_bytes)
        ]

    def pick(self, rng: random.Random, sector_bytes: int) -> bytes:
        if len(self.versions) == 1:
            return self.versions[0]
        kind = rng.randrange(4)
        if kind == 0:
            return rng.choice(self.versions)
        if kind == 1:
            return self.versions[-1]
        size_bytes = len(self.versions[-1] if kind == 2 else rng.choice(self.versions))
        return b"".join(map(rng.choice, self._sectors(size_bytes, sector_bytes)))

    def all(self, sector_bytes: int) -> set[bytes]:
        found: set[bytes] = set()
        for size_bytes in {len(version) for version in self.versions}:
            for sectors in itertools.product(*self._sectors(size_bytes, sector_bytes)):
                found.add(b"".join(sectors))
                assert len(found) < _MANY_STATES, "too many to try them all"
        return found


class _Directory:
    """Attributes: names: as the process sees them; pending: changes since the last sync."""

    def __init__(self) -> None:
        self.names: dict[str, _Node] = {}
        self.durable: dict[str, _Node] = {}
        self.pending: list[_Change] = []

    def change(self, *names: str, node: _Node | None = None) -> None:
        """`name` with a node makes it, without one removes it; two names rename."""
        change: _Change = (names[0], node) if node is not None else names
        self.pending.append(change)
        _apply(self.names, change)

    def sync(self) -> None:
        self.durable = dict(self.names)
        self.pending.clear()

    def pick(self, rng: random.Random) -> dict[str, _Node]:
        found = dict(self.durable)
        done = rng.choice([0, len(self.pending), rng.randint(0, len(self.pending))])
        for change in self.pending[:done]:
            _apply(found, change)
        return found

    def all(self) -> Iterator[dict[str, _Node]]:
        found = dict(self.durable)
        yield dict(found)
        for change in self.pending:
            _apply(found, change)
            yield dict(found)


_Node: TypeAlias = _File | _Directory


_Change: TypeAlias = "tuple[str | _Node, ...]"


def _apply(names: dict[str, _Node], change: _Change) -> None:
    name, *rest = change
    assert isinstance(name, str)
    if not rest:
        del names[name]
    elif isinstance(rest[0], str):
        names[rest[0]] = names.pop(name)
    else:
        names[name] = rest[0]


class _Handle(FileHandle):
    __slots__ = ("file",)

    def __init__(self, fd: int, file: _File) -> None:
        super().__init__(fd)
        self.file = file


class PowerCutDisk(FileLayer):
    """The file layer of a machine whose power may fail.

    Args:
        root: The directory that it knows of; what is in it is durable.
        sector_bytes: What is written as a whole or not at all.

    Attributes:
        on_change: Called before each change and sync, when the power may fail.
    """

    def __init__(self, root: Path, *, sector_bytes: int = 512) -> None:
        super().__init__()
        self.sector_bytes = sector_bytes
        self.on_change: Callable[[], None] = lambda: None
        self._root = os.fspath(root)
        self._tree = _as_node(root)

    def state(self, rng: random.Random) -> Tree:
        """One tree that may be found after a power cut now."""
        tree = self._pick(self._tree, rng)
        assert isinstance(tree, dict)
        return tree

    def _pick(self, node: _Node, rng: random.Random) -> bytes | Tree:
        if isinstance(node, _File):
            return node.pick(rng, self.sector_bytes)
        names = node.pick(rng)
        return {name: self._pick(inner, rng) for name, inner in names.items()}

    def states(self) -> Iterator[Tree]:
        """All trees that may be found after a power cut now."""
        for tree in self._all(self._tree):
            assert isinstance(tree, dict)
            yield tree

    def _all(self, node: _Node) -> list[bytes | Tree]:
        if isinstance(node, _File):
            return list(node.all(self.sector_bytes))
        found: list[bytes | Tree] = []
        for names in node.all():
            inner = [self._all(child) for child in names.values()]
            for contents in itertools.product(*inner):
                found.append(dict(zip(names, contents, strict=True)))
                assert len(found) < _MANY_STATES, "too many to try them all"
        return found

    def _find(self, path: Path | str) -> _Node | None:
        relative = os.path.relpath(path, self._root)
        node: _Node | None = self._tree
        for part in [] if relative == "." else relative.split(os.sep):
            assert isinstance(node, _Directory), path
            node = node.names.get(part)
        return node

    def _parent(self, path: Path | str) -> tuple[_Directory, str]:
        parent, name = os.path.split(os.fspath(path))
        node = self._find(parent)
        assert isinstance(node, _Directory), f"{parent} was made behind the file layer's back"
        return node, name

    def open(self, path: Path | str, *, create: bool = False) -> FileHandle:
        node = self._find(path)
        if node is None and create:
            self.on_change()
        handle = super().open(path, create=create)
        if node is None:
            node = _File()
            parent, name = self._parent(path)
            parent.change(name, node=node)
        assert isinstance(node, _File)
        opened = _Handle(os.dup(handle.fd), node)
        del handle
        return opened

    def pwrite(self, handle: FileHandle, data: Buffer, position: int) -> int:
        self.on_change()
        count = super().pwrite(handle, data, position)
        assert isinstance(handle, _Handle)
        handle.file.write(bytes(data[:count]), position)
        return count

    def truncate(self, handle: FileHandle, size_bytes: int) -> None:
        self.on_change()
        super().truncate(handle, size_bytes)
        assert isinstance(handle, _Handle)
        handle.file.truncate(size_bytes)

    def sync(self, handle: FileHandle) -> None:
        self.on_change()
        assert isinstance(handle, _Handle)
        handle.file.sync()

    def sync_path(self, path: Path | str) -> None:
        self.on_change()
        node = self._find(path)
        if node is None:
            raise FileNotFoundError(path)
        node.sync()

    def rename(self, source: Path | str, target: Path | str) -> None:
        self.on_change()
        super().rename(source, target)
        parent, name = self._parent(source)
        new_parent, new_name = self._parent(target)
        assert parent is new_parent, "renames between directories are not modelled"
        parent.change(name, new_name)

    def remove(self, path: Path | str) -> None:
        self.on_change()
        super().remove(path)
        parent, name = self._parent(path)
        if name in parent.names:
            parent.change(name)

    def make_directory(self, path: Path | str) -> None:
        self.on_change()
        super().make_directory(path)
        parent, name = self._parent(path)
        parent.change(name, node=_Directory())

    def remove_directory(self, path: Path) -> None:
        directory = self._find(path)
        assert isinstance(directory, _Directory)
        for name in list(directory.names):
            self.remove(path / name)
        self.on_change()
        super().remove_directory(path)
        parent, name = self._parent(path)
        parent.change(name)

    def write_file(self, path: Path | str, data: bytes) -> None:
        self.on_change()
        super().write_file(path, data)
        node = self._find(path)
        if node is None:
            node = _File()
            parent, name = self._parent(path)
            parent.change(name, node=node)
        assert isinstance(node, _File)
        if node.versions[-1]:
            node.truncate(0)
            self.on_change()
        node.write(data, 0)


def _as_node(path: Path) -> _Directory:
    directory = _Directory()
    for entry in sorted(path.iterdir()):
        directory.durable[entry.name] = (
            _as_node(entry) if entry.is_dir() else _File(entry.read_bytes())
        )
    directory.names = dict(directory.durable)
    return directory


def write_tree(tree: Tree, path: Path) -> Path:
    """Make real files of what was found after a cut; `path` must not exist."""
    os.mkdir(path)
    for name, content in tree.items():
        if isinstance(content, dict):
            write_tree(content, path / name)
            continue
        fd = os.open(path / name, os.O_WRONLY | os.O_CREAT, 0o644)
        os.write(fd, content)
        os.close(fd)
    return path
