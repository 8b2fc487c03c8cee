"""What a test needs and does not bring along: built or installed into the build folder, or the reason why not."""

import os
import shutil
import subprocess

INSTALL_SECONDS = 300


class NotInstallable(Exception):
    """Why a client cannot be tried here."""


def install(*command, folder, **environment):
    """Runs one step of an installation; raises NotInstallable with the last line it said."""
    try:
        result = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=INSTALL_SECONDS,
            env={**os.environ, **environment},
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NotInstallable(str(error)) from None
    if result.returncode:
        said = (result.stderr or result.stdout).strip().splitlines() or ["it failed"]
        raise NotInstallable(f"{' '.join(map(str, command[:4]))}: {said[-1][:300]}")


def build_go(folder, binary):
    """The Go program in `folder`, which pins its packages, as `binary`."""
    if shutil.which("go") is None:
        raise NotInstallable("no go")
    install("go", "build", "-o", binary, ".", folder=folder, GOTOOLCHAIN="local", GOFLAGS="-mod=readonly")
    return binary
