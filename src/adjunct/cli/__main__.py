"""`python -m adjunct.cli`."""

from adjunct.cli import main

main()
