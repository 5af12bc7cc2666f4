import pytest

from einfall import scenarios
from einfall.scenarios.fusemax import answers
from einfall.sim.accounting import ARTIFACT, PHYSICAL

SMALL = """
base: fusemax
name: small
models: [T5]
lengths: [1K, 4K]
pareto: {config: plus_binding_fusemax, seq_len: 4K, pe_dims: [64, 256]}
reference: {model: T5, seq_len: 1K}
timeline: {batch: 1, heads: 1, queries: 1024, head_dim: 64}
"""


@pytest.fixture(scope="session")
def scenario():
    return scenarios.load("fusemax")


@pytest.fixture(scope="session")
def artifact(scenario):
    return answers(scenario, ARTIFACT)


@pytest.fixture(scope="session")
def physical(scenario):
    return answers(scenario, PHYSICAL)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.yaml"
    path.write_text(SMALL)
    return path
