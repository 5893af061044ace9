"""Train recurrent networks on the eye-movement tasks of prefrontal research and follow how their units mature."""

import os

from rnn_maturation.task import TASKS_VARIABLE, load_tasks

# here, so that such a file can import any module of the package, and every process of a run knows its tasks
load_tasks([file for file in os.environ.get(TASKS_VARIABLE, "").split(os.pathsep) if file])
