"""Work that calls a library thousands of times a second: one thread of it at once.

Each call lets go of the interpreter and waits for it again. Threads that do so side by side get no
more done than one after the other, and spend a quarter more processor on it
(docs/decisions/0233).
"""

import threading

IN_TURN = threading.Lock()
