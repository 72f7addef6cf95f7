"""How devices are asked: one module for each protocol, one interface for all."""
