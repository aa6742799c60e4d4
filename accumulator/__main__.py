"""Run the command line: `python -m accumulator`."""

from accumulator._cli.replay import main

if __name__ == "__main__":
    main()
