/* quern opt: a model through chosen passes, printed as IR text: to standard output with all
 * constants inline, to a file with the large ones beside it. */
#include <stdlib.h>
#include <string.h>
#include "command.h"

/* Writes path and, where there are large constants, path's name with .bin added. */
static qn_status write_module(const qn_module *m, const char *path) {
  char *text = NULL, *side = NULL;
  size_t text_size = 0, side_size = 0;
  FILE *to = open_memstream(&text, &text_size), *to_side = open_memstream(&side, &side_size);
  if (!to || !to_side) return qn_io_error(path, "no memory for the text");
  const char *slash = strrchr(path, '/');
  char name[4096];
  snprintf(name, sizeof name, "%s.bin", slash ? slash + 1 : path);
  qn_print(to, m, &(qn_print_options){.side = to_side, .side_name = name});
  fclose(to);
  fclose(to_side);
  qn_status status = QN_OK;
  if (side_size) {
    snprintf(name, sizeof name, "%s.bin", path);
    status = qn_write_file(name, side, side_size);
  }
  if (status == QN_OK) status = qn_write_file(path, text, text_size);
  free(text);
  free(side);
  return status;
}

/* The passes of --passes; without it what --quantize or --config ask for. */
static qn_status run_passes(const qn_options *o, qn_module *m) {
  qn_pass_options passes;
  qn_quantization q;
  qn_calibration calibration;
  QN_TRY(qn_get_pass_options(o, &passes));
  bool asked = o->quantize || o->config || o->calibrate.count || o->input_range.count;
  if (!o->passes) return asked ? qn_quantize(o, m) : QN_OK;
  QN_TRY(qn_get_quantization(o, m, &q));
  passes.scheme = &q.scheme;
  QN_TRY(qn_set_input_ranges(m, &q.ranges));
  QN_TRY(qn_open_calibration(o, m, &q.files, &calibration, &passes));
  return qn_run_passes(m, o->passes, &passes);
}

static qn_status optimize(const qn_options *o, const char *path, qn_module *m) {
  if (o->output.count > 1)
    return qn_io_error("quern", "opt takes one output, got also '%s'", o->output.at[1]);
  QN_TRY(qn_load_model(path, m));
  QN_TRY(run_passes(o, m));
  if (o->output.count && strcmp(o->output.at[0], "-") != 0) return write_module(m, o->output.at[0]);
  qn_print(stdout, m, &(qn_print_options){0});
  return QN_OK;
}

qn_status command_opt(const qn_options *o) {
  const char *path;
  QN_TRY(qn_one_operand(o, &path));
  qn_module *m = qn_new_module();
  qn_status status = optimize(o, path, m);
  qn_free_module(m);
  return status;
}
