"""What is measured in tests is kept in a folder of their own."""

import os
import tempfile

os.environ["SHRINKSCOPE_CACHE"] = tempfile.mkdtemp(prefix="shrinkscope-tests-")
