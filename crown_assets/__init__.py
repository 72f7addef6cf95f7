"""The domain code as software-defined assets, a workspace per department. definitions.py is the only entry point."""
