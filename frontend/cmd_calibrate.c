/* quern calibrate: a float model and samples -> statistics of its values; or several such files ->
 * the statistics of all their samples. */
#include <inttypes.h>
#include "command.h"

static qn_status collect(const qn_options *o, qn_module *m) {
  const char *path;
  qn_pass_options passes;
  qn_quantization q;
  qn_calibration calibration;
  qn_statistics all;
  QN_TRY(qn_one_operand(o, &path));
  if (o->input.count == 0) return qn_io_error("quern", "calibrate needs samples, -i X.npy");
  QN_TRY(qn_get_pass_options(o, &passes));
  QN_TRY(qn_load_model(path, m));
  qn_name_model(m, path);
  QN_TRY(qn_get_quantization(o, m, &q));
  passes.scheme = &q.scheme;
  QN_TRY(qn_set_input_ranges(m, &q.ranges));
  QN_TRY(qn_prepare_float(m, &passes));
  QN_TRY(qn_check_quantizable(m, &q.scheme));
  QN_TRY(qn_open_calibration(o, m, &o->input, &calibration, &passes));
  if (!passes.sampler) return qn_io_error(o->input.at[0], "is no .npy file");
  QN_TRY(qn_collect_statistics(m, passes.sampler, &all));
  return qn_write_statistics(o->output.at[0], m->name, &all);
}

static qn_status merge(const qn_options *o, qn_module *m) {
  if (o->operands.count == 0) return qn_io_error("quern", "--merge needs files of statistics");
  qn_statistics all;
  QN_TRY(qn_read_statistics(m, o->operands.at[0], &all));
  for (int i = 1; i < o->operands.count; i++) {
    qn_statistics shard;
    QN_TRY(qn_read_statistics(m, o->operands.at[i], &shard));
    QN_TRY(qn_merge_statistics(&all, &shard, o->operands.at[i]));
  }
  return qn_write_statistics(o->output.at[0], all.model, &all);
}

qn_status command_calibrate(const qn_options *o) {
  if (o->output.count != 1)
    return qn_io_error("quern", "calibrate needs one output, -o STATS.yaml");
  qn_module *m = qn_new_module();
  qn_status status = o->merge ? merge(o, m) : collect(o, m);
  qn_free_module(m);
  return status;
}
