"""`python -m tests.cluster.load URL --rate 50 …` on the host."""

import sys

from tests.cluster.load.generator import main

sys.exit(main())
