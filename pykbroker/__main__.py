"""`python -m pykbroker` is the same as the command `pykbroker`."""

from pykbroker.cli import main

if __name__ == "__main__":
    main()
