/* quern opt: a model through chosen passes, printed as IR text: to standard output with all
 * constants inline, to a file with the large ones beside it. */
#include <string.h>
#include "command.h"

/* Writes path and, where there are large constants, path's name with .bin added; what is no file
 * gets them inline. */
static qn_status write_module(qn_module *m, const char *path) {
  const char *beside = qn_format(&m->arena, "%s.bin", path), *slash = strrchr(beside, '/');
  bool has_side = qn_is_plain_file(path);
  qn_output list[] = {{.what = "the output", .path = path},
                      {.what = "its constants", .path = beside}};
  qn_text text, side;
  QN_TRY(qn_open_text(path, &text));
  QN_TRY(qn_open_text(beside, &side));
  qn_print_options options = {.side = has_side ? side.to : NULL,
                              .side_name = slash ? slash + 1 : beside};
  qn_print(text.to, m, &options);
  qn_close_text(&m->arena, &text, &list[0]);
  qn_close_text(&m->arena, &side, &list[1]);
  int count = list[1].size ? 2 : 1;
  QN_TRY(qn_check_outputs(list, count, m->arena.files));
  return qn_write_outputs(list, count);
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

qn_status command_opt(const qn_options *o) { return qn_on_operand(o, optimize); }
