"""Image files and folders of them, restored."""

from jpeg_preproc.files.plan import Job, Plan, plan_jobs
from jpeg_preproc.files.restore import FileRestorer, RestoreSummary, output_held, restore_files

__all__ = [
    "FileRestorer",
    "Job",
    "Plan",
    "RestoreSummary",
    "output_held",
    "plan_jobs",
    "restore_files",
]
