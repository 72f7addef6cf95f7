"""Records what happened: the activity trail, logs, notices. Makes no decisions."""
