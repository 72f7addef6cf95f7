"""How the platform asks this department where it stands."""

from crown.flow.summary import Department

MOTION_JOBS = Department("motion_jobs", "Motion jobs", "No batch is submitted yet.")
