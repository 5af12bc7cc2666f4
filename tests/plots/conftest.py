import pytest

from einfall import plots


@pytest.fixture
def ax():
    """Axes of a figure; whatever a test draws on them is rendered at its end without a warning."""
    sheet = plots.figure(6, 3)
    axes = sheet.subplots()
    yield axes
    sheet.draw_without_rendering()
