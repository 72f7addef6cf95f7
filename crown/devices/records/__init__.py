"""What is known of devices: inventory, lifecycle, alerts, roll-ups; read and changed by commands and assets."""
