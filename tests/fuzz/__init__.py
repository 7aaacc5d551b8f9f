"""Every parser of bytes from outside, and two that look for bytes it cannot bear: Hypothesis and atheris.

A target is a function of bytes that names the exceptions it may raise; all others, and a broken promise, are findings.
`make test` replays `corpus/<target>/` and tries some new inputs; `make fuzz` looks on for as long as it is told, guided
by coverage, and leaves what it found in `corpus/`, where `make test` fails on it by name until it is mended.
"""
