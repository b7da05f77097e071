"""A pytest plugin, `-p faking.tomorrow`: the clock of the process that loads it is a day ahead."""

import time

_today = time.time
time.time = lambda: _today() + 86_400
