"""`crown motion`. The domain code is in crown/motion_jobs."""
