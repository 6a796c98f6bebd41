"""The scripts of `packaging/` are no package: tests find them as they find each other."""

import sys
from pathlib import Path

PACKAGING = Path(__file__).parents[2] / "packaging"
if str(PACKAGING) not in sys.path:
    sys.path.insert(0, str(PACKAGING))
