"""Fixtures that every room's tests share."""

from pathlib import Path

import pytest

from tests.atlas.browsers import CHROMIUM, FIREFOX, Chromium, Firefox

SHARED = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data beside the checkout; tests that need it skip where it is absent."""
    if not SHARED.is_dir():
        pytest.skip("the shared data folder (../shared/data) is not beside this checkout")
    return SHARED


@pytest.fixture(scope="session", params=["chromium", "firefox"])
def browser(request):
    """One browser after the other, for every test of a page."""
    if {"chromium": CHROMIUM, "firefox": FIREFOX}[request.param] is None:
        pytest.skip(f"Debian's {request.param} is not installed")
    found = {"chromium": Chromium, "firefox": Firefox}[request.param]()
    yield found
    found.close()
