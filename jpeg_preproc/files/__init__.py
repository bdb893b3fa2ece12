"""Image files and folders of them, restored."""

from jpeg_preproc.files.plan import Job, Plan, plan_jobs
from jpeg_preproc.files.restore import FileRestorer, RestoreSummary, restore_files

__all__ = ["FileRestorer", "Job", "Plan", "RestoreSummary", "plan_jobs", "restore_files"]
