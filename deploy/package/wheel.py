# SPDX-License-Identifier: Apache-2.0
"""Writes a Python wheel that carries programs. The same programs give the same bytes."""

import argparse
import base64
import hashlib
import os
import time
import zipfile
from pathlib import Path

NAME = "starling_swarm"
SUMMARY = "Starling: programs that ask a swarm of language models on a chain, and run its nodes"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--version", required=True)
    parser.add_argument("--machine", required=True, help="as `uname -m` has it")
    parser.add_argument("--libc", required=True, help="oldest release of glibc that will do")
    parser.add_argument("--level", type=int, default=9, help="of compression, 1 to 9")
    parser.add_argument("--output", type=Path, required=True, help="folder of the wheel")
    parser.add_argument("programs", type=Path, nargs="+")
    return parser.parse_args()


def main() -> None:
    given = arguments()
    major, minor = given.libc.split(".")[:2]
    tag = f"py3-none-manylinux_{major}_{minor}_{given.machine}"
    own = f"{NAME}-{given.version}"
    # Zip knows no time before 1980.
    epoch = max(int(os.environ["SOURCE_DATE_EPOCH"]), 315_532_800)
    date = time.gmtime(epoch)[:6]
    record = []

    path = given.output / f"{own}-{tag}.whl"
    with zipfile.ZipFile(path, "w") as wheel:

        def add(name: str, data: bytes, mode: int) -> None:
            info = zipfile.ZipInfo(name, date)
            info.create_system = 3
            info.external_attr = (0o100000 | mode) << 16
            info.compress_type = zipfile.ZIP_DEFLATED
            wheel.writestr(info, data, compresslevel=given.level)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=")
            record.append(f"{name},sha256={digest.decode()},{len(data)}")

        # pip puts these beside the interpreter, as programs.
        for program in given.programs:
            add(f"{own}.data/scripts/{program.name}", program.read_bytes(), 0o755)
        metadata = (
            "Metadata-Version: 2.1\n"
            f"Name: {NAME.replace('_', '-')}\n"
            f"Version: {given.version}\n"
            f"Summary: {SUMMARY}\n"
            "License: Apache-2.0\n"
        )
        add(f"{own}.dist-info/METADATA", metadata.encode(), 0o644)
        kind = f"Wheel-Version: 1.0\nGenerator: starling\nRoot-Is-Purelib: false\nTag: {tag}\n"
        add(f"{own}.dist-info/WHEEL", kind.encode(), 0o644)
        itself = f"{own}.dist-info/RECORD"
        add(itself, ("\n".join([*record, f"{itself},,"]) + "\n").encode(), 0o644)


if __name__ == "__main__":
    main()
