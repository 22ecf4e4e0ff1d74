/* What drops weights, makes them fewer different ones or splits layers (prune, prune_channels,
 * cluster, low_rank), as strongly as the user asks and accuracy allows.
 *
 * With strength s of 0..1 a layer loses s times the parts that were asked for, and its codebook has
 * 256^(1 - s) entries times what was asked for to the power of s. The whole strength is tried
 * first; where that costs more than --max-drop on samples that are held back (judge.c), the
 * greatest one that does not is sought by bisection. */
#include <math.h>
#include "command.h"

enum { STEPS = 5 };

bool qn_is_lossy(const qn_scheme *s) {
  return s->prune > 0 || s->prune_channels > 0 || s->cluster > 0 || s->low_rank > 0;
}

static qn_scheme weaken(const qn_scheme *asked, double strength) {
  qn_scheme s = *asked;
  s.prune *= (float)strength;
  s.prune_channels *= (float)strength;
  s.low_rank *= (float)strength;
  if (s.cluster) s.cluster = (int32_t)round(256 * pow(s.cluster / 256.0, strength));
  if (strength == 0) s.cluster = 0;
  return s;
}

static qn_status try_strength(const qn_judge *j, double strength, qn_verdict *out) {
  qn_scheme s = weaken(&j->q->scheme, strength);
  QN_TRY(qn_try_scheme(j, &s, out));
  fprintf(stderr, "squeeze:");
  if (s.prune > 0) fprintf(stderr, " prune %.3f,", (double)s.prune);
  if (s.prune_channels > 0) fprintf(stderr, " prune_channels %.3f,", (double)s.prune_channels);
  if (s.cluster > 0) fprintf(stderr, " cluster %d,", s.cluster);
  if (s.low_rank > 0) fprintf(stderr, " low_rank %.4f,", (double)s.low_rank);
  fprintf(stderr, " drop %.2f points, %.1f dB: %s\n", out->drop, out->sqnr,
          out->drop <= j->q->max_drop ? "holds" : "too much");
  return QN_OK;
}

static qn_status bisect(const qn_judge *j, double *out) {
  double holds = 0, fails = 1;
  qn_verdict v;
  *out = 1;
  QN_TRY(try_strength(j, 1, &v));
  if (v.drop <= j->q->max_drop) return QN_OK;
  QN_TRY(try_strength(j, 0, &v));
  if (v.drop > j->q->max_drop)
    return qn_io_error("quern",
                       "even without pruning, clusters and low rank, %.2f points are lost on the "
                       "samples held back, --max-drop is %.2f",
                       v.drop, j->q->max_drop);
  for (int i = 0; i < STEPS; i++) {
    double strength = (holds + fails) / 2;
    QN_TRY(try_strength(j, strength, &v));
    if (v.drop <= j->q->max_drop)
      holds = strength;
    else
      fails = strength;
  }
  *out = holds;
  return QN_OK;
}

qn_status qn_search_strength(const qn_options *o, qn_module *m, qn_quantization *q) {
  qn_judge judge;
  double strength = 1;
  qn_module *again = qn_new_module();
  qn_status status = qn_open_judge(o, q, m->src.name, &m->arena, again, &judge);
  if (status == QN_OK) status = bisect(&judge, &strength);
  qn_free_module(again);
  q->scheme = weaken(&q->scheme, strength);
  return status;
}
