/* quern report: what a model takes, layer by layer: of an object, weights, other constants, code;
 * or of a processor, instructions and cycles. */
#include "sizes.h"
#include "speed.h"

static qn_status report_speed(const qn_options *o, const char *path, qn_module *m) {
  qn_func *f;
  QN_TRY(qn_prepare(path, o, m, &f));
  qn_compile_options options;
  QN_TRY(qn_get_compile_options(o, m, &options));
  if (!o->json && !qn_has_costs(options.target))
    return qn_io_error("quern", "target '%s' has no table of costs: rows of ARM and RISC-V have",
                       options.target->name);
  qn_object object;
  QN_TRY(qn_compile(m, &options, &object));
  qn_print_speed(f, options.target, &object, o->json);
  return QN_OK;
}

static qn_status report(const qn_options *o, const char *path, qn_module *m) {
  if (!o->sizes && !o->speed)
    return qn_io_error("quern", "report needs what to report: --sizes or --speed");
  if (o->speed) return report_speed(o, path, m);
  qn_size_report r = {.m = m, .path = path};
  QN_TRY(qn_measure_source(path, &r.source));
  qn_func *f;
  QN_TRY(qn_prepare(path, o, m, &f));
  qn_compile_options options;
  QN_TRY(qn_get_compile_options(o, m, &options));
  qn_object object;
  QN_TRY(qn_compile(m, &options, &object));
  r.f = f;
  r.object = &object;
  qn_print_sizes(&r, o->json);
  return QN_OK;
}

qn_status command_report(const qn_options *o) { return qn_on_operand(o, report); }
