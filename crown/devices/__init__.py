"""Wireless microphones: polled, remembered, alerted, forecast."""
