"""A Dask scheduler and workers in processes of their own."""

import json
import sys

from processes import ENVIRONMENT, Processes
from small_runs import wait_for


class Cluster:
    """A Dask scheduler and workers, real processes."""

    def __init__(self, folder, n_workers=2, **environment):
        self.file, self.folder = folder / "scheduler.json", folder
        self._processes, self._environment = Processes(), {**ENVIRONMENT, **environment}
        self.scheduler = self._start("scheduler", "--port", "0", "--host", "127.0.0.1", "--no-dashboard")
        wait_for(lambda: self.file.exists() and self.file.stat().st_size)
        self.address = json.loads(self.file.read_text())["address"]
        self.workers = [self.add_worker() for _ in range(n_workers)]

    def _start(self, *arguments):
        command = [sys.executable, "-m", "dask", *arguments, "--scheduler-file", str(self.file)]
        with open(self.folder / "dask.log", "ab") as log:
            return self._processes.start(
                command, limit=1000, env=self._environment, cwd=self.folder, stdout=log, stderr=log
            )

    def add_worker(self):
        """Start one more worker; return its process."""
        return self._start("worker", "--no-nanny", "--nthreads", "1", "--no-dashboard")

    def close(self):
        """End the scheduler and the workers."""
        self._processes.end()
