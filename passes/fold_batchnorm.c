/* batch_norm(conv(x, w, b)) -> conv(x, w', b'); conv is a conv2d, a depthwise_conv2d or a dense.
 *
 *   s  = gamma / sqrt(var + epsilon)           per output channel
 *   w' = w * s,  b' = (b - mean) * s + beta    b is 0 where there is none
 *
 * Requires: w, b and the statistics are f32 constants; the convolution has no activation and no
 * other user. Leaves: the convolution in the batch_norm's place and under its name, with new
 * constants name.w and name.b (the old ones may have other users). Computed in double, rounded
 * once to float; where a result would not be finite, nothing is folded. */
#include <math.h>
#include "match.h"
#include "passes.h"

typedef struct {
  const float *w, *b, *mean, *var, *gamma, *beta;
  int64_t count, channels; /* of w; of the result */
  bool channel_is_last;    /* in w; else it is the first dim */
  double epsilon;
} folding;

static double factor(const folding *s, int64_t channel) {
  return s->gamma[channel] / sqrt(s->var[channel] + s->epsilon);
}

static bool match(const qn_reads *reads, qn_op *bn, folding *out) {
  qn_value *y = bn->in[0];
  if (y->kind != QN_RESULT || !qn_reads_alone(reads, bn, y)) return false;
  qn_op *conv = y->def;
  if (conv->code != QN_OP_conv2d && conv->code != QN_OP_depthwise_conv2d &&
      conv->code != QN_OP_dense)
    return false;
  if (*qn_activation_of(conv) != QN_ACTIVATION_none) return false;
  bool has_bias = conv->in_count > 2;
  *out = (folding){.w = qn_reals(conv->in[1]),
                   .b = has_bias ? qn_reals(conv->in[2]) : NULL,
                   .mean = qn_reals(bn->in[1]),
                   .var = qn_reals(bn->in[2]),
                   .gamma = qn_reals(bn->in[3]),
                   .beta = qn_reals(bn->in[4]),
                   .count = qn_count(&conv->in[1]->type),
                   .channels = y->type.dim[y->type.rank - 1],
                   .channel_is_last = conv->code == QN_OP_depthwise_conv2d,
                   .epsilon = bn->a.batch_norm.epsilon};
  return out->w && (out->b || !has_bias) && out->mean && out->var && out->gamma && out->beta;
}

/* false: something is not finite */
static bool compute(const folding *s, float *w, float *b) {
  bool finite = true;
  int64_t per_channel = s->count / s->channels;
  for (int64_t i = 0; i < s->count; i++) {
    w[i] = (float)(s->w[i] * factor(s, s->channel_is_last ? i % s->channels : i / per_channel));
    finite = finite && isfinite(w[i]);
  }
  for (int64_t c = 0; c < s->channels; c++) {
    double bias = s->b ? s->b[c] : 0;
    b[c] = (float)((bias - s->mean[c]) * factor(s, c) + s->beta[c]);
    finite = finite && isfinite(b[c]);
  }
  return finite;
}

static void fold(qn_module *m, qn_func *f, const qn_reads *reads, qn_op *bn) {
  folding s;
  if (!match(reads, bn, &s)) return;
  float *w = qn_alloc(&m->arena, (size_t)s.count * sizeof *w);
  float *b = qn_alloc(&m->arena, (size_t)s.channels * sizeof *b);
  if (!compute(&s, w, b)) return;
  qn_absorb(f, bn, bn->in[0]->def);
  const char *name = bn->out->name;
  qn_type bias_type = qn_make_type(QN_f32, 1, &s.channels);
  bn->in[1] = qn_add_const(m, qn_format(&m->arena, "%s.w", name), &bn->in[1]->type, w);
  bn->in[2] = qn_add_const(m, qn_format(&m->arena, "%s.b", name), &bias_type, b);
  bn->in_count = 3;
}

qn_status pass_fold_batchnorm(qn_module *m, const qn_pass_options *options) {
  (void)options;
  for (qn_func *f = m->funcs; f; f = f->next) {
    qn_arena work = {0};
    qn_reads reads;
    qn_count_reads(&work, f, &reads);
    for (qn_op *op = f->first; op; op = op->next) {
      if (op->code == QN_OP_batch_norm) fold(m, f, &reads, op);
    }
    qn_free_arena(&work);
  }
  return QN_OK;
}
