"""Lays the built folder, the units, the configuration and the documents out as a Debian package, and packs it.

`make deb` calls it with the Python that built the program: the manual is made from the command line's own help.
"""

from __future__ import annotations

import argparse
import gzip
import hashlib
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from email.utils import format_datetime
from pathlib import Path

from leadenrich import __version__

HERE = Path(__file__).parent
ROOT = HERE.parent
MAINTAINER = "The leadenrich maintainers <maintainers@leadenrich.invalid>"
UNITS = ("leadenrich.service", "leadenrich.socket")  # what Debian's scripts look after; workers are started by hand
MODES = {"etc/leadenrich/config.toml": 0o640, "etc/leadenrich/credentials": 0o700}
# The C library's own parts; all else that the program needs must be inside.
LIBC = re.compile(r"(libc|libm|libdl|librt|libpthread|libutil|ld-linux.*)\.so\.\d+")


class Incomplete(Exception):
    """The folder needs something that the package would not have."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True, help="what PyInstaller built")
    parser.add_argument("--work", type=Path, required=True, help="emptied, and used to lay it out")
    parser.add_argument("--to", type=Path, required=True, help="where the package goes")
    parser.add_argument("--revision", default="1", help="of the package of this version")
    args = parser.parse_args()
    version = f"{__version__}-{args.revision}"
    shutil.rmtree(args.work, ignore_errors=True)
    _program(args.work, args.folder)
    _system_files(args.work)
    _documents(args.work, version)
    path = args.to / f"leadenrich_{version}_{architecture()}.deb"
    _pack(args.work, path, version, glibc_of(args.folder))
    print(path)
    return 0


def architecture() -> str:
    return _told("dpkg", "--print-architecture")


def glibc_of(folder: Path) -> str:
    """The lowest version of the C library that has all that the program wants of it.

    Raises: Incomplete, where a library is needed that is neither inside nor the C library's.
    """
    inside = {path.name for path in folder.rglob("*") if path.is_file()}
    wanted: set[tuple[int, ...]] = {(2, 17)}
    for path in folder.rglob("*"):
        if not path.is_file() or path.is_symlink() or not _begins(path, b"\x7fELF"):
            continue
        told = _told("objdump", "-p", "-T", str(path))
        for needed in re.findall(r"^\s+NEEDED\s+(\S+)", told, re.MULTILINE):
            if needed not in inside and not LIBC.fullmatch(needed):
                raise Incomplete(f"{path.relative_to(folder)} needs {needed}, which is not inside")
        wanted |= {tuple(map(int, it.split("."))) for it in re.findall(r"GLIBC_(\d+(?:\.\d+)+)", told)}
    return ".".join(map(str, max(wanted)))


def _program(root: Path, folder: Path) -> None:
    """As with pip in a venv there: /opt/leadenrich/bin/leadenrich is what the unit calls."""
    shutil.copytree(folder, root / "opt/leadenrich/lib", symlinks=True)
    _link(root / "opt/leadenrich/bin/leadenrich", "../lib/leadenrich")
    _link(root / "usr/bin/leadenrich", "/opt/leadenrich/bin/leadenrich")
    for path in ("README.md", "config.example.toml"):
        _copy(ROOT / path, root / "opt/leadenrich" / path)


def _system_files(root: Path) -> None:
    examples, units = root / "usr/share/doc/leadenrich/examples", root / "usr/lib/systemd/system"
    for path in sorted((ROOT / "systemd").rglob("*")):
        if path.parent.name == "systemd" and path.suffix in (".service", ".socket"):
            _copy(path, units / path.name)
        elif path.is_file():
            _copy(path, examples / path.relative_to(ROOT / "systemd"))
    _copy(HERE / "debian/worker-group.conf", units / "leadenrich-worker@.service.d/group.conf")
    _copy(HERE / "debian/sysusers.conf", root / "usr/lib/sysusers.d/leadenrich.conf")
    _write(root / "etc/leadenrich/config.toml", configuration((ROOT / "config.example.toml").read_text("utf-8")))
    (root / "etc/leadenrich/credentials").mkdir()


def configuration(example: str) -> str:
    """The example with what it asks to be changed commented out: secrets go into /etc/leadenrich/credentials."""
    lines = example.splitlines()
    mark = [number for number, line in enumerate(lines) if "CHANGE-ME" in line or line == "[[ghl.locations]]"]
    return "\n".join(f"#{line}" if number in mark else line for number, line in enumerate(lines)) + "\n"


def _documents(root: Path, version: str) -> None:
    share = root / "usr/share"
    program = root / "opt/leadenrich/lib/leadenrich"
    for shell, path in (
        ("bash", "bash-completion/completions/leadenrich"),
        ("zsh", "zsh/vendor-completions/_leadenrich"),
        ("fish", "fish/vendor_completions.d/leadenrich.fish"),
    ):
        _write(share / path, _told(str(program), "completion", shell) + "\n")
    _zip(share / "man/man1/leadenrich.1.gz", _manual())
    documents = share / "doc/leadenrich"
    _write(documents / "copyright", _filled("copyright", {"LICENCE": _licence()}))
    _zip(documents / "changelog.gz", (ROOT / "CHANGELOG.md").read_text("utf-8"))
    head, entry = f"leadenrich ({version}) stable; urgency=medium", "  * What is new stands in changelog.gz."
    _zip(documents / "changelog.Debian.gz", f"{head}\n\n{entry}\n\n -- {MAINTAINER}  {format_datetime(_date())}\n")
    _copy(HERE / "debian/lintian-overrides", share / "lintian/overrides/leadenrich")


def _manual() -> str:
    return _told(
        str(Path(sys.executable).with_name("argparse-manpage")),
        "--module", "leadenrich.cli.parser", "--function", "build_parser", "--prog", "leadenrich",
        "--project-name", "leadenrich", "--version", __version__, "--manual-title", "leadenrich",
        "--description", "enriches HighLevel leads with their property records",
        "--format", "single-commands-section", "--include", str(HERE / "manual.roff"),
    ) + "\n"  # fmt: skip


def _licence() -> str:
    """LICENSE in the form of Debian's copyright files."""
    title, copyright_, *text = [part.strip() for part in (ROOT / "LICENSE").read_text("utf-8").split("\n\n")]
    assert title == "MIT License"
    body = "\n.\n".join(text).splitlines()
    return "\n".join(
        [f"Copyright: {copyright_.removeprefix('Copyright (c) ')}", "License: Expat", *(f" {it}" for it in body)]
    )


def _pack(root: Path, path: Path, version: str, glibc: str) -> None:
    control = root / "DEBIAN"
    size_kb = sum(it.lstat().st_size for it in root.rglob("*") if it.is_file()) // 1024
    words = {
        "VERSION": version, "ARCHITECTURE": architecture(), "MAINTAINER": MAINTAINER, "GLIBC": glibc,
        "SIZE_KB": str(size_kb), "UNITS": " ".join(UNITS),
    }  # fmt: skip
    sums = [f"{hashlib.md5(it.read_bytes()).hexdigest()}  {it.relative_to(root)}\n" for it in _files(root)]  # noqa: S324 - dpkg's
    for name in ("control", "postinst", "prerm", "postrm"):
        _write(control / name, _filled(name, words))
    _write(control / "md5sums", "".join(sums))
    _write(control / "conffiles", "".join(f"/{it.relative_to(root)}\n" for it in _files(root / "etc")))
    for it in [root, *root.rglob("*")]:
        if not it.is_symlink():
            it.chmod(MODES.get(str(it.relative_to(root)), 0o755 if _is_program(it) else 0o644))
    path.parent.mkdir(parents=True, exist_ok=True)
    _told("dpkg-deb", "--root-owner-group", "-Zxz", "--build", str(root), str(path))


def _is_program(path: Path) -> bool:
    """Folders, scripts, and the program itself; a library is none, though it may be marked as one."""
    return path.is_dir() or path.match("opt/leadenrich/lib/leadenrich") or _begins(path, b"#!")


def _begins(path: Path, mark: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(mark)) == mark


def _files(folder: Path) -> Iterator[Path]:
    return (it for it in sorted(folder.rglob("*")) if it.is_file() and not it.is_symlink())


def _filled(name: str, words: Mapping[str, str]) -> str:
    text = (HERE / "debian" / name).read_text("utf-8")
    return re.sub(r"@([A-Z_]+)@", lambda match: words[match[1]], text)


def _date() -> datetime:
    return datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), UTC)


def _copy(source: Path, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(source, path)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")


def _zip(path: Path, text: str) -> None:
    """Without name and time: the same text makes the same file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(gzip.compress(text.encode(), 9, mtime=0))


def _link(path: Path, target: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _told(*command: str) -> str:
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603 - the build's own
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
