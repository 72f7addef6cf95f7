"""Users, roles, sessions and API tokens, and what each role may do. No pages, no commands, no department's rules."""
