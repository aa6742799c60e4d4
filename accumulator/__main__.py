"""Run the command line for `python -m accumulator`."""

from accumulator._cli.main import main

if __name__ == "__main__":
    main()
