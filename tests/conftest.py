"""What is measured in tests is kept in a folder of their own, and no test is judged by a clock."""

import os
import tempfile

from hypothesis import HealthCheck, settings

os.environ["SHRINKSCOPE_CACHE"] = tempfile.mkdtemp(prefix="shrinkscope-tests-")
settings.register_profile("no clock", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("no clock")
