"""Does what was built do what the program does? `make binary` and `make deb` run it on the file and on the folder."""
