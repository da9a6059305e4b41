"""``kubectl payments``: releases of payment environments from the command line.

The package needs only Python and kubectl, so that ``make plugin`` packs it into one file; a test holds that.
Everything that decides or draws is pure; ``kubectl.py`` alone starts processes.
"""
