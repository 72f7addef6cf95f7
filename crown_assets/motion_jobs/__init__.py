"""Assets and checks of motion jobs. The domain code is in crown/motion_jobs."""
