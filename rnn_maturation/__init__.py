"""Train recurrent networks on the eye-movement tasks of prefrontal research and follow how their units mature."""

import os

from rnn_maturation.task import TASKS_VARIABLE, load_tasks

# Files that register tasks are run whenever the package is imported, so that every process of a run knows these tasks.
# They are run last, so that they can import any module of the package.
load_tasks([file for file in os.environ.get(TASKS_VARIABLE, "").split(os.pathsep) if file])
