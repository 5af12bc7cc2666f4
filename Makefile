# Needs make, bash and Python 3.11 or later; everything else goes into .venv. To choose the Python:
#   make demo PYTHON=/path/to/python3.12
export PYTHON

.PHONY: help demo test kernels notebooks

help:
	@echo "make demo   FuseMax's headline numbers: a table here, figures and data in out/fusemax"
	@echo "make test   everything that is checked before a change goes in"
	@echo "make kernels   the Triton kernels against references, on the CPU (installs torch and triton)"
	@echo "make notebooks   the cells of examples/ anew, with what they give (installs jupyter's kernel)"

demo:
	@bash .ci/install
	.venv/bin/einfall run fusemax --out out/fusemax

test:
	@bash .ci/run

kernels:
	@bash .ci/install dev,gpu
	TRITON_INTERPRET=1 .venv/bin/pytest tests/validate/test_validate_kernels.py

notebooks:
	@bash .ci/install notebook
	.venv/bin/python examples/execute.py
