"""`python -m skipbench` is the command `skipbench`."""

from skipbench.cli import main

if __name__ == "__main__":
    main()
