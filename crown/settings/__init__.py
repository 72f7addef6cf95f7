"""Every setting of the platform. A setting that nothing reads does not belong here."""
