"""What is measured in tests is kept in a folder of their own, and no test is judged by a clock."""

import os
import sys
import tempfile

import plotly.graph_objects as go
import pytest
from hypothesis import HealthCheck, settings
from xdist.scheduler import LoadScopeScheduling

from app import chart

LATER = 10  # the priority of jobs in the app
os.environ.setdefault("OMP_NUM_THREADS", "1")  # tests run side by side: threads of torch that wait for one another would take minutes
os.environ["SHRINKSCOPE_CACHE"] = tempfile.mkdtemp(prefix="shrinkscope-tests-")
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")


class OneBrowser(LoadScopeScheduling):
    """Tests run on all cores, those in a browser one after the other: one browser and one server at a time."""

    def _split_scope(self, nodeid: str) -> str:
        return "browser" if nodeid.startswith("tests/browser/") else nodeid


def pytest_runtest_setup(item):
    """A browser, and the server it looks at, go before the other tests, which take all there is: they would wait for minutes."""
    if sys.platform == "linux" and "browser" not in item.path.parts:
        os.setpriority(os.PRIO_PROCESS, 0, max(LATER, os.getpriority(os.PRIO_PROCESS, 0)))


def pytest_xdist_make_scheduler(config, log):
    return OneBrowser(config, log)


@pytest.fixture(autouse=True)
def figures_are_plotlys(monkeypatch):
    """What the app draws is checked here, field by field, as it has no time to."""
    def checked(figure, *given, show=chart.show, **named):
        go.Figure(figure)
        show(figure, *given, **named)

    monkeypatch.setattr(chart, "show", checked)
