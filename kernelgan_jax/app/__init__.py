"""The command: flags, files, threads, reports and figures around the library."""
