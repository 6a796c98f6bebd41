"""The program's entry: what must be fast is answered before anything is imported."""

import sys

from agentctl import __version__


def main() -> int:
    """Runs the command line; the exit code."""
    if getattr(sys, "frozen", False):
        # In a frozen program each child process starts here again.
        import multiprocessing

        multiprocessing.freeze_support()
    arguments = sys.argv[1:]
    if arguments in (["--version"], ["-V"]):
        sys.stdout.write(f"agentctl {__version__}\n")
        return 0
    if arguments[:1] == ["--load-worker"]:
        from agentctl.core.knowledge.loaders.worker import serve

        return serve(arguments[1:])
    if arguments[:1] == ["--python-worker"]:
        from agentctl.core.agents.sandbox.python_worker import main as work

        return work(arguments[1:])
    from agentctl.cli import run

    return run(arguments)


if __name__ == "__main__":
    sys.exit(main())
