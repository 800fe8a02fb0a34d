"""Networks, the engines that run them, the catalogue they are listed in, download and verification."""
