"""Models × corruptions × restorers, measured: what JPEG costs and what restoring gives back."""

from jpeg_preproc.study.jobs import Job, JobsRun, RunOptions, measure_jobs, measure_recovery

__all__ = ["Job", "JobsRun", "RunOptions", "measure_jobs", "measure_recovery"]
