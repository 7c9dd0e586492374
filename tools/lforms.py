"""Put the packed LHC-Forms (an independent form filler of the US National Library of Medicine) where the tests look.

    python tools/lforms.py

It comes as npm packs it, is checked against the hash below, and is unpacked to `.lforms`. It is an oracle for tests in
a browser, never a dependency: nothing of it is packed into the wheel or run outside the tests.
"""

from __future__ import annotations

import base64
import hashlib
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

PACKAGE = "lforms@40.1.3"
SHA512 = "WLruTm+BcVnafC0rSAQ3/cNqhxvclBUxyBG68aub/uha2NaK9H8ZZcEXTTuORuGzzCt0wa7fvhuieZtcDIdPzQ=="
TARGET = Path(__file__).parent.parent / ".lforms"


def main() -> int:
    """Fetch, check, unpack; without npm it says so and that is no error."""
    if shutil.which("npm") is None:
        print("npm is not there: the comparison with LHC-Forms is skipped", file=sys.stderr)
        return 0
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", PACKAGE, "--silent", "--pack-destination", folder], check=True, capture_output=True
        )
        packed = next(Path(folder).glob("*.tgz"))
        found = base64.b64encode(hashlib.sha512(packed.read_bytes()).digest()).decode()
        if found != SHA512:
            print(f"{PACKAGE} is not the file that was reviewed: its hash is {found}", file=sys.stderr)
            return 1
        partial = TARGET.with_suffix(".part")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir()
        subprocess.run(["tar", "-xzf", packed, "-C", partial], check=True)
        shutil.rmtree(TARGET, ignore_errors=True)
        partial.replace(TARGET)
    return 0


if __name__ == "__main__":
    sys.exit(main())
