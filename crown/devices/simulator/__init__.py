"""Simulated devices that speak the real protocols over TCP, with their faults."""
