"""The program's entry: what must be fast is answered before anything is imported."""

import os
import sys
from collections.abc import MutableMapping

from agentctl import __version__

# A launcher leaves it in the folder that it unpacks.
MARKER = ".unpacked"


def main() -> int:
    """Runs the command line; the exit code."""
    if getattr(sys, "frozen", False):
        # In a frozen program each child process starts here again.
        import multiprocessing

        multiprocessing.freeze_support()
        clean_environment(os.environ)
        hold_folder(os.path.dirname(sys.executable))  # noqa: PTH120 - imports less
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        try:
            print(f"agentctl {__version__}", flush=True)
        except OSError:
            # What is wrong with stdout is told below.
            pass
        else:
            return 0
    if arguments[:1] == ["--load-worker"]:
        from agentctl.core.knowledge.loaders.worker import serve

        return serve(arguments[1:])
    if arguments[:1] == ["--match-worker"]:
        from agentctl.core.agents.tools.line_matcher import serve as match

        return match(float(arguments[1]))
    if arguments[:1] == ["--python-worker"]:
        from agentctl.core.agents.sandbox.python_worker import main as work

        return work(arguments[1:])
    from agentctl.cli import run

    return run(arguments)


def clean_environment(environ: MutableMapping[str, str]) -> None:
    """Takes out what a frozen program tells itself: children are to see the user's environment."""
    for name in [each for each in environ if each.startswith("_PYI_")]:
        del environ[name]
    for name in ("LD_LIBRARY_PATH", "LIBPATH"):
        before = environ.pop(f"{name}_ORIG", None)
        if before is not None:
            environ[name] = before
        elif environ.get(name) == getattr(sys, "_MEIPASS", None):
            environ.pop(name, None)


def hold_folder(folder: str) -> None:
    """While this process lives, no launcher takes away the folder that it has unpacked."""
    try:
        descriptor = os.open(os.path.join(folder, MARKER), os.O_RDONLY)  # noqa: PTH118 - imports less
    except OSError:
        # It is a folder that the user has unpacked.
        return
    # On Windows a file that is open cannot be removed; elsewhere it takes a lock.
    if sys.platform != "win32":
        import fcntl

        fcntl.flock(descriptor, fcntl.LOCK_SH)


if __name__ == "__main__":
    sys.exit(main())
