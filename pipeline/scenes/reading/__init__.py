"""Reading headers and pixels, on the disk or at an address, and what pixels say of their own radiometry."""
