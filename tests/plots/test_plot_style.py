import subprocess
import sys
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st
from matplotlib.colors import to_rgb

from einfall.plots import style
from einfall.plots.configs import CONFIGS


@given(st.integers(1, 24))
def test_names_look_different_in_colour_or_hatch(count):
    looks = style.looks(f"E{i}" for i in range(count))
    assert len({(look.colour, look.hatch) for look in looks.values()}) == count


def test_configurations_differ_without_colour():
    """In a print in grey two fills differ in hatch or by a tenth of the way from black to white."""
    for (_, a), (_, b) in combinations(CONFIGS.values(), 2):
        grey = [sum(w * c for w, c in zip((0.299, 0.587, 0.114), to_rgb(x.colour), strict=True))
                for x in (a, b)]  # fmt: skip
        assert a.hatch != b.hatch or abs(grey[0] - grey[1]) > 0.1


@given(st.floats(1e-14, 1e15))
def test_a_prefix_leaves_one_to_three_digits(value):
    divisor, unit = style.prefix(value, "s")
    assert 1 <= round(value / divisor, 6) <= 1000
    assert unit.endswith("s")


def test_importing_the_package_loads_no_matplotlib_and_plotting_no_pyplot():
    code = (
        "import sys, einfall; assert 'matplotlib' not in sys.modules; "
        "import einfall.plots; assert 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
