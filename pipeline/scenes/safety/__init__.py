"""What makes an input safe to open: guards, whole files, addresses that may be asked."""
