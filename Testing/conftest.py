"""Fixtures shared by all suites."""

from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

# nothing in these suites depends on how fast the machine is
settings.register_profile("untimed", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("untimed")

REAL_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real scans beside the checkout; the test is skipped where it is absent."""
    if not REAL_DATA.is_dir():
        pytest.skip("real scans are not here (expected at ../shared/data)")
    return REAL_DATA
