"""What was measured before, kept in a folder between starts: arrays by content, the least recently used thrown out first.

The folder is $SHRINKSCOPE_CACHE, or shrinkscope in the user's cache folder. It may be deleted at any time. Files are NPZ, read
without pickle; one that is damaged counts as missing.
"""

import hashlib
import logging
import os
import threading
import zipfile
from collections.abc import Iterator, MutableMapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

LIMIT = 200_000_000  # bytes
MADE_BY = f"1 torch {torch.__version__}"  # the first figure counts changes in what is kept

log = logging.getLogger(__name__)


def folder() -> Path:
    """Where it is kept."""
    chosen = os.environ.get("SHRINKSCOPE_CACHE")
    return Path(chosen) if chosen else Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "shrinkscope"


class Disk(MutableMapping[str, dict[str, NDArray[Any]]]):
    """A mapping from words to arrays by name. For several threads and processes; a folder that cannot be written holds nothing."""

    def __init__(self, place: Path, limit: int = LIMIT) -> None:
        self.place, self.limit = place, limit
        self._lock = threading.Lock()

    def _file(self, key: str) -> Path:
        return self.place / f"{hashlib.blake2b(f'{MADE_BY} {key}'.encode(), digest_size=16).hexdigest()}.npz"

    def __getitem__(self, key: str) -> dict[str, NDArray[Any]]:
        file = self._file(key)
        try:
            with np.load(file, allow_pickle=False) as found:
                arrays = {name: found[name] for name in found.files}
            os.utime(file)
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            if not isinstance(error, FileNotFoundError):
                log.warning("%s could not be read and counts as missing: %s", file, error)
            raise KeyError(key) from None
        return arrays

    def __setitem__(self, key: str, arrays: dict[str, NDArray[Any]]) -> None:
        file = self._file(key)
        part = file.with_suffix(f".{os.getpid()}-{threading.get_ident()}")
        try:
            self.place.mkdir(parents=True, exist_ok=True)
            with part.open("wb") as out:
                np.savez_compressed(out, allow_pickle=False, **arrays)
            part.replace(file)
            self._tidy()
        except OSError as error:
            log.warning("Nothing is kept between starts: %s", error)

    def _tidy(self) -> None:
        with self._lock:
            files = sorted(((f, f.stat()) for f in self.place.glob("*.npz")), key=lambda pair: pair[1].st_mtime)
            held = sum(stat.st_size for _, stat in files)
            for file, stat in files[:-1]:
                if held <= self.limit:
                    return
                file.unlink(missing_ok=True)
                held -= stat.st_size

    def __delitem__(self, key: str) -> None:
        self._file(key).unlink(missing_ok=True)

    def __iter__(self) -> Iterator[str]:
        raise TypeError("keys are kept only as hashes")

    def __len__(self) -> int:
        return len(list(self.place.glob("*.npz")))
