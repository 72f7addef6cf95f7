"""What all commands share: options, output, the open database, runs of jobs."""
