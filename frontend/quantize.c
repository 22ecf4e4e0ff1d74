/* A float model, as it was read -> a model of stored integers behind quantize and dequantize, which
 * the default pipeline then makes integer ops of.
 *
 * What is observed must be what is quantized: so batch norms, pads and activations are folded
 * first, and a file of statistics fits only the model that these passes leave. */
#include "command.h"

static const char float_pipeline[] =
    "fold-batchnorm,fuse-pad,fuse-activation,pool-to-mean,fold-constants,dce";

qn_status qn_prepare_float(qn_module *m, const qn_pass_options *passes) {
  if (!qn_main_func(m))
    return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  qn_pass_options options = *passes;
  options.keep_stored = true;
  return qn_run_passes(m, float_pipeline, &options);
}

/* Ranges may be written into the model instead. */
static bool has_range(const qn_module *m) {
  for (const qn_op *op = qn_main_func(m)->first; op; op = op->next)
    if (op->out->has_range) return true;
  return false;
}

qn_status qn_quantize(const qn_options *o, qn_module *m) {
  qn_pass_options passes;
  qn_quantization q;
  qn_calibration calibration;
  QN_TRY(qn_get_quantization(o, m, &q));
  if (!q.on && o->calibrate.count)
    return qn_io_error("quern", "--calibrate without --quantize, --config or a section 'quantize'");
  if (!q.on) return QN_OK;
  QN_TRY(qn_get_pass_options(o, &passes));
  QN_TRY(qn_prepare_float(m, &passes));
  QN_TRY(qn_check_quantizable(m, &q.scheme));
  passes.scheme = &q.scheme;
  QN_TRY(qn_open_calibration(o, m, &q.files, &calibration, &passes));
  bool ranges_only = q.files.count == 0 && has_range(m);
  return qn_run_passes(m, ranges_only ? "insert-qdq" : "calibrate,insert-qdq", &passes);
}
