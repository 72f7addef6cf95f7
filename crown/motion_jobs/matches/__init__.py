"""Which layer fills which slot of a template, and what is doubtful about it. No decisions of people."""
