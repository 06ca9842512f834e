"""Studies: one file that asks a question of several sweeps, and the page that answers it from their records."""

from restool.studies.page import write_page
from restool.studies.run import StudyResult, run_study
from restool.studies.spec import Published, StudyFile, Sweep, read_study

__all__ = ["Published", "StudyFile", "StudyResult", "Sweep", "read_study", "run_study", "write_page"]
