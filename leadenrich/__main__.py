"""`python -m leadenrich` is the `leadenrich` command."""

from leadenrich.cli import main

if __name__ == "__main__":
    main()
