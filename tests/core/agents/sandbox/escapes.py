"""Ways out of a sandbox that code may try: one table, for whatever runs code.

`Bait.code` puts in front what an attacker may know of the host, `Bait.found` says what got out.
Never run them where there is no sandbox: one of them kills all that it can.
"""

from tests.core.agents.sandbox.bait import Bait, Escape, laid_out
from tests.core.agents.sandbox.escapes_by_processes import PROCESSES, PROTOCOL, RESOURCES
from tests.core.agents.sandbox.escapes_by_system import KERNEL, NETWORK
from tests.core.agents.sandbox.escapes_to_files import READING, WRITING

__all__ = ["ESCAPES", "Bait", "Escape", "laid_out"]

ESCAPES: list[Escape] = [
    *READING,
    *WRITING,
    *NETWORK,
    *PROCESSES,
    *RESOURCES,
    *PROTOCOL,
    *KERNEL,
]
