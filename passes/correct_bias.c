/* Quantized weights shift a layer's mean -> its bias takes the shift back.
 *
 * With samples (empirical), on what the layer really reads, upstream quantization included:
 *   b'[c] = b[c] + mean of (teacher's result - own result) of channel c, before activations.
 * The layers before it are corrected already.
 *
 * Without samples (analytic):  b'[c] = b[c] + sum over columns k of (w[c,k] - w'[c,k]) * E[x[k]],
 * w' the stored weights; E[x] of moments.c, which needs the ranges of the model's inputs.
 *
 * Requires: @teacher. Source: Nagel et al. 2019, arXiv 1906.04721, section 4.2. */
#include "recover.h"

/* ------------------------------------------------------------------ empirical */

static qn_status correct_by_samples(const qn_lesson *lesson, void *of) {
  (void)of;
  qn_arena a = {0};
  qn_pupil p = lesson->pupil;
  int32_t channels = p.layout.channels;
  float **answers = qn_answer(&a, lesson);
  double *shift = qn_alloc(&a, (size_t)channels * sizeof *shift);
  for (int64_t n = 0; n < lesson->samples; n++) {
    for (int64_t i = 0; i < p.layout.pixels * channels; i++)
      shift[i % channels] += (double)lesson->want[n][i] - (double)answers[n][i];
  }
  double rows = (double)lesson->samples * (double)p.layout.pixels;
  for (int32_t c = 0; c < channels; c++) shift[c] = qn_bias_at(p.op, c) + shift[c] / rows;
  qn_set_bias(&p, shift);
  qn_free_arena(&a);
  return QN_OK;
}

/* ------------------------------------------------------------------ analytic */

static void correct_by_moments(qn_pupil *p, const qn_op *twin, const qn_moments *x) {
  qn_arena a = {0};
  const qn_layout *l = &p->layout;
  const float *w = qn_reals(twin->in[1]);
  double *bias = qn_alloc(&a, (size_t)l->channels * sizeof *bias);
  for (int32_t c = 0; c < l->channels; c++) {
    double scale = qn_pupil_scale(p, c);
    bias[c] = qn_bias_at(p->op, c);
    for (int32_t k = 0; k < l->columns; k++) {
      int32_t from = c / l->outputs * l->inputs + k % l->inputs;
      double error = w[qn_weight_at(l, c, k)] - scale * qn_pupil_weight(p, c, k);
      bias[c] += error * x->mean[from % x->channels];
    }
  }
  qn_set_bias(p, bias);
  qn_free_arena(&a);
}

static qn_status correct_analytically(qn_module *m) {
  const qn_func *teacher;
  QN_TRY(qn_find_teacher(m, &teacher));
  qn_func *f = qn_main_func(m);
  qn_arena a = {0};
  qn_moment_table moments;
  qn_status status = qn_find_moments(&a, m, teacher, QN_TOGETHER_pixels, &moments);
  for (qn_op *op = f->first; status == QN_OK && op; op = op->next) {
    qn_pupil pupil;
    const qn_op *twin = qn_twin_of(teacher, f, op);
    if (!twin || !qn_pupil_of(m, f, op, &pupil) || !qn_reals(twin->in[1])) continue;
    const qn_moments *x = qn_moments_of(&moments, twin->in[0]);
    if (x) correct_by_moments(&pupil, twin, x);
  }
  qn_free_arena(&a);
  return status;
}

qn_status pass_correct_bias(qn_module *m, const qn_pass_options *options) {
  if (!options->sampler) return correct_analytically(m);
  return qn_replay(m, options, "correct-bias", correct_by_samples, NULL);
}
