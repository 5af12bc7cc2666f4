"""Runs the notebooks beside this file and keeps what their cells give: `make notebooks`."""

import os
from pathlib import Path

import nbformat
from nbclient import NotebookClient

os.environ["COLUMNS"] = "80"  # of what is printed, on every screen alike

for path in sorted(Path(__file__).parent.glob("*.ipynb")):
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, record_timing=False).execute()
    notebook.metadata["language_info"] = {"name": "python"}  # whatever its version
    nbformat.write(notebook, path)
    print(path.name)
