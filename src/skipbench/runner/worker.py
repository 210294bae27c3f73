"""The worker process: waits for cells on a connection, runs each, sends its record back.

It is a process group of its own, so that the runner can stop a cell together with whatever the cell has started.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import warnings
from multiprocessing.connection import Connection

from skipbench.environment import current_environment
from skipbench.runner.cell_run import CellRunner
from skipbench.runner.messages import Finished, Hello, PlannedCell


def main(descriptor: int, parent: int) -> None:
    """Serve cells until the connection closes."""
    threading.Thread(target=_leave_with, args=(parent,), daemon=True).start()
    warnings.simplefilter("ignore")  # what users should know is in the record; a thousand cells would repeat the rest
    runner = CellRunner()
    with Connection(descriptor) as connection:
        connection.send(Hello(current_environment()))
        while True:
            try:
                planned: PlannedCell = connection.recv()
            except EOFError:
                return
            connection.send(Finished(runner.run(planned)))


def _leave_with(parent: int) -> None:
    """End this process and what its cell has started when the runner is gone, even if it was killed: nobody would take the record."""
    while os.getppid() == parent:
        time.sleep(0.5)
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
