"""The summary of this department."""

from crown.flow.summary import Department

MOTION_JOBS = Department("motion_jobs", "Motion jobs", "No batch is submitted yet.")
