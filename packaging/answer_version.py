"""The frozen program's first words: `--version` is answered before PyInstaller's hooks are run."""

import os
import sys

from agentctl import __version__

if sys.argv[1:] in (["--version"], ["-V"]):
    # A reader that has left is no reason for a traceback.
    try:
        os.write(1, f"agentctl {__version__}{os.linesep}".encode())
    except OSError:
        os._exit(1)
    os._exit(0)
