"""What is measured in tests is kept in a folder of their own, and no test is judged by a clock."""

import os
import tempfile

from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

os.environ["SHRINKSCOPE_CACHE"] = tempfile.mkdtemp(prefix="shrinkscope-tests-")
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


class OneBrowser(LoadScopeScheduling):
    """Tests run on all cores, those in a browser one after the other: one browser and one server at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return "browser" if nodeid.startswith("tests/browser/") else nodeid


def pytest_xdist_make_scheduler(config, log):
    return OneBrowser(config, log)
