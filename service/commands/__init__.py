"""The commands of the command line, one module each, and the options that several take; `service.cli` declares them."""
