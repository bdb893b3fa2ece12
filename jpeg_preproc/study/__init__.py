"""Models × corruptions × restorers, measured: what JPEG costs and what restoring gives back."""

from jpeg_preproc.study.jobs import JobsRun, measure_jobs, measure_recovery
from jpeg_preproc.study.prepare import Job, RunOptions

__all__ = ["Job", "JobsRun", "RunOptions", "measure_jobs", "measure_recovery"]
