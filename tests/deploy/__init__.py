"""docs/deploy.md, word for word, in a Debian made for it: `make deploy`."""
