"""``python -m muniment``: the same as the ``muniment`` command."""

from muniment.cli.app import main

if __name__ == "__main__":
    main()
