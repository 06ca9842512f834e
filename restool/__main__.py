"""`python -m restool`."""

from restool.cli import main

if __name__ == "__main__":
    main()
