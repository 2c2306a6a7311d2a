"""The command line: a client of the API, plus starting the processes."""
