"""Compress the weights of a trained network, and measure what it cost. Knows nothing of any user interface.

Python 3.14 has a standard package of the same name (PEP 784), which gzip and bz2 import from. Where it exists, this package
serves its submodules as well, by looking for them where the standard one does.
"""

import sysconfig
from pathlib import Path

_standard = Path(sysconfig.get_path("stdlib"), "compression")
if _standard.is_dir() and str(_standard) not in __path__:
    __path__.append(str(_standard))
