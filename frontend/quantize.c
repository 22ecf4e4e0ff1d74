/* A float model, as it was read -> a model of stored integers behind quantize and dequantize, which
 * the default pipeline then makes integer ops of.
 *
 * What is observed must be what is quantized: so batch norms, pads and activations are folded
 * first, and a file of statistics fits only the model that these passes leave. equalize is one of
 * them where the scheme asks for it. Weights of 16 bits need nothing else. The other recoveries
 * compare the quantized network, layer by layer, with the float one, which stands beside it as
 * @teacher until they are done. */
#include "command.h"

enum { FEW_LEVELS = 31 }; /* of weights, on either side of 0 */

static const char float_pipeline[] =
    "fold-batchnorm,fuse-pad,fuse-activation,pool-to-mean,fold-constants,dce";

qn_status qn_prepare_float(qn_module *m, const qn_pass_options *passes) {
  if (!qn_main_func(m))
    return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  qn_pass_options options = *passes;
  options.keep_stored = true;
  QN_TRY(qn_run_passes(m, float_pipeline, &options));
  bool equalize = options.scheme && options.scheme->recover[QN_RECOVERY_equalize];
  return equalize ? qn_run_passes(m, "equalize", &options) : QN_OK;
}

static const char *const recovery_passes[QN_RECOVERY_COUNT] = {
#define QN_RECOVERY(name, pass, doc) pass,
#include "../passes/quantize.def"
};

/* What drops weights or makes them fewer different ones; it rounds them, too. */
static const char *list_lossy(qn_arena *a, const qn_scheme *scheme) {
  bool prune = scheme->prune > 0 || scheme->prune_channels > 0;
  return qn_format(a, "%s%s", prune ? ",prune" : "", scheme->cluster ? ",cluster" : "");
}

/* Quantization and what wins accuracy back behind it. */
static const char *list_passes(qn_arena *a, const qn_scheme *scheme, bool calibrate) {
  bool dynamic = qn_is_dynamic(scheme);
  const char *list = list_lossy(a, scheme);
  for (int i = 0; i < QN_RECOVERY_COUNT; i++) {
    bool done = i == QN_RECOVERY_equalize || (i == QN_RECOVERY_round_adaptive && *list);
    if (scheme->recover[i] && !done) list = qn_format(a, "%s,%s", list, recovery_passes[i]);
  }
  bool teach = *list != 0;
  return qn_format(a, "%s%s%sinsert-qdq%s%s%s", scheme->low_rank > 0 ? "low-rank," : "",
                   calibrate && !dynamic ? "calibrate," : "", teach ? "keep-teacher," : "", list,
                   teach ? ",drop-teacher,dce" : "", dynamic ? ",fuse-dynamic,dce" : "");
}

/* Ranges may be written into the model instead. */
static bool has_range(const qn_module *m) {
  for (const qn_op *op = qn_main_func(m)->first; op; op = op->next)
    if (op->out->has_range) return true;
  return false;
}

/* Ranges of all values from those of the inputs. Noise is good for ranges; what is to be learned
 * layer by layer would be learned of noise, so that the passes behind get no samples. */
static qn_status calibrate_without_samples(const qn_options *o, qn_module *m,
                                           const qn_pass_options *passes) {
  qn_calibration calibration;
  qn_pass_options options = *passes;
  qn_open_noise(o, &calibration, &options);
  qn_note(&m->src, qn_nowhere,
          "no calibration samples: ranges are estimated with noise as input; samples do better");
  return qn_run_passes(m, "calibrate", &options);
}

/* What the user did not choose: weights of few levels need to be rounded well, and so do those that
 * are all of the error; for others what refit takes, one run of both networks, is nearly all that
 * there is to win. */
static void choose_recovery(qn_scheme *scheme) {
  bool few = qn_weight_most(scheme, NULL) <= FEW_LEVELS || scheme->step > 0;
  for (int i = 0; i < scheme->layer_count; i++) few = few || scheme->layers[i].step > 0;
  bool wide = scheme->activations == QN_ACTIVATION_FORM_int16;
  scheme->recover[QN_RECOVERY_round_adaptive] = few || wide;
  scheme->recover[QN_RECOVERY_correct_bias] = few || wide;
  scheme->recover[QN_RECOVERY_refit] = !few;
}

qn_status qn_apply_quantization(const qn_options *o, const qn_quantization *q, qn_module *m) {
  qn_pass_options passes;
  qn_calibration calibration;
  qn_scheme scheme = q->scheme;
  QN_TRY(qn_get_pass_options(o, &passes));
  passes.scheme = &scheme;
  QN_TRY(qn_set_input_ranges(m, &q->ranges));
  QN_TRY(qn_prepare_float(m, &passes));
  if (qn_is_halved(&q->scheme)) return qn_run_passes(m, "halve-weights,dce", &passes);
  QN_TRY(qn_check_quantizable(m, &q->scheme));
  QN_TRY(qn_open_calibration(o, m, &q->files, &calibration, &passes));
  if (passes.sampler && !q->recovery_chosen) choose_recovery(&scheme);
  bool ranges_only = q->files.count == 0 && has_range(m);
  bool estimate = q->files.count == 0 && !ranges_only && !qn_is_dynamic(&scheme);
  if (estimate && qn_has_input_ranges(qn_main_func(m))) {
    QN_TRY(calibrate_without_samples(o, m, &passes));
    ranges_only = true;
  }
  return qn_run_passes(m, list_passes(&m->arena, &scheme, !ranges_only), &passes);
}

/* Nothing asks for quantization; is there something that only quantization reads? */
static qn_status check_not_asked(const qn_options *o) {
  const char *flag = o->calibrate.count     ? "--calibrate"
                     : o->input_range.count ? "--input-range"
                     : o->io                ? "--io"
                     : o->recover           ? "--recover"
                                            : NULL;
  if (!flag) return QN_OK;
  return qn_io_error("quern", "%s without --quantize, --config or a section 'quantize'", flag);
}

qn_status qn_quantize(const qn_options *o, qn_module *m) {
  qn_quantization q;
  QN_TRY(qn_get_quantization(o, m, &q));
  if (!q.on) return check_not_asked(o);
  if (q.search == QN_SEARCH_auto)
    QN_TRY(qn_search_scheme(o, m, &q));
  else if (q.search != QN_SEARCH_none)
    QN_TRY(qn_search_levels(o, m, &q));
  else if (o->max_drop && qn_is_lossy(&q.scheme))
    QN_TRY(qn_search_strength(o, m, &q));
  return q.on ? qn_apply_quantization(o, &q, m) : QN_OK;
}
