"""The analyses of the paper, and further ones; most return labeled results and write figures below figure/."""

from rnn_maturation.analysis.activity import Get_H, compute_H
from rnn_maturation.analysis.behavior import odrd_distractor_analysis, saccade_distribut_analysis
from rnn_maturation.analysis.conditions import gen_task_info
from rnn_maturation.analysis.decoding import Decoder_analysis, realneuron_Decoder_analysis
from rnn_maturation.analysis.dpca import neuron_dPCA, real_neuron_dPCA
from rnn_maturation.analysis.dynamics.delay_generalization import delay_generalization_analysis
from rnn_maturation.analysis.dynamics.eigenvalues import eigenvalue_growth_analysis
from rnn_maturation.analysis.dynamics.end_states import end_state_analysis
from rnn_maturation.analysis.dynamics.fixed_points import fixed_point_analysis
from rnn_maturation.analysis.dynamics.lesions import lesion_analysis
from rnn_maturation.analysis.dynamics.perturbation import perturbation_analysis
from rnn_maturation.analysis.overview import print_basic_info
from rnn_maturation.analysis.pca import neuron_PCA, real_neuron_PCA
from rnn_maturation.analysis.period import neuron_period_activity_analysis
from rnn_maturation.analysis.psth import (
    gen_PSTH_log,
    plot_epoch_mean_growth,
    plot_period_ttest_heatmap,
    plot_PSTH,
    plot_PSTH_neuron_selected,
)
from rnn_maturation.analysis.report.report import reproduction_report
from rnn_maturation.analysis.sample_neuron import sample_neuron_by_trial
from rnn_maturation.analysis.seldir import seldir_analysis
from rnn_maturation.analysis.selectivity import generate_neuron_info
from rnn_maturation.analysis.tuning import tunning_analysis
from rnn_maturation.stages import evenly_thinned, kept_to_disk, nearest_to_target, spread_over

__all__ = [
    "print_basic_info",
    "gen_task_info",
    "compute_H",
    "Get_H",
    "generate_neuron_info",
    "gen_PSTH_log",
    "plot_PSTH",
    "plot_PSTH_neuron_selected",
    "plot_epoch_mean_growth",
    "plot_period_ttest_heatmap",
    "tunning_analysis",
    "sample_neuron_by_trial",
    "neuron_dPCA",
    "real_neuron_dPCA",
    "neuron_PCA",
    "real_neuron_PCA",
    "Decoder_analysis",
    "realneuron_Decoder_analysis",
    "seldir_analysis",
    "neuron_period_activity_analysis",
    "odrd_distractor_analysis",
    "saccade_distribut_analysis",
    "fixed_point_analysis",
    "eigenvalue_growth_analysis",
    "delay_generalization_analysis",
    "end_state_analysis",
    "lesion_analysis",
    "perturbation_analysis",
    "reproduction_report",
    "evenly_thinned",
    "kept_to_disk",
    "nearest_to_target",
    "spread_over",
]
