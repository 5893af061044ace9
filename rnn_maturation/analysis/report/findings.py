"""List all findings in the order of the report; each is defined together with the function that measures it."""

from rnn_maturation.analysis.report.activity import ACTIVITY, SELECTIVITY
from rnn_maturation.analysis.report.behavior import BEHAVIOR
from rnn_maturation.analysis.report.dynamics import DYNAMICS
from rnn_maturation.analysis.report.learning import LEARNING
from rnn_maturation.analysis.report.population import POPULATION

GROUPS = (LEARNING, ACTIVITY, SELECTIVITY, BEHAVIOR, POPULATION, DYNAMICS)
FINDINGS = tuple(finding for group in GROUPS for finding in group.findings)
