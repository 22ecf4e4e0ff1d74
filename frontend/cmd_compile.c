/* quern compile: a model file -> an object (or assembly, LLVM IR, planned IR) and a C header. */
#include <string.h>
#include "command.h"

enum { PLANNED_IR = 3 }; /* the last alternative of --emit; the others are qn_emit */

/* What is written, in this order: make looks at the object's time. */
enum { DEPFILE, HEADER, MAIN, OUTPUTS };

/* path with its last suffix replaced. */
static const char *with_suffix(qn_arena *a, const char *path, const char *suffix) {
  const char *slash = strrchr(path, '/');
  const char *dot = strrchr(slash ? slash : path, '.');
  int stem = (int)(dot && dot != path ? dot - path : (ptrdiff_t)strlen(path));
  return qn_format(a, "%.*s%s", stem, path, suffix);
}

/* NULL: no header is written. Beside a pipe or a device there is no place for one. */
static const char *header_path(const qn_options *o, qn_arena *a, int kind) {
  const char *output = o->output.at[0];
  if (o->header) return o->header;
  return kind == QN_EMIT_OBJ && qn_is_plain_file(output) ? with_suffix(a, output, ".h") : NULL;
}

static qn_status print_ir(qn_module *m, qn_output *out) {
  qn_text text;
  QN_TRY(qn_open_text(out->path, &text));
  qn_print(text.to, m, &(qn_print_options){0});
  qn_close_text(&m->arena, &text, out);
  return QN_OK;
}

/* The object and its header. */
static qn_status make_object(const qn_options *o, qn_module *m, qn_func *f, int kind,
                             qn_output *outputs, qn_object *object) {
  qn_compile_options options;
  qn_budgets budgets;
  QN_TRY(qn_get_compile_options(o, m, &options));
  options.emit = (qn_emit)kind;
  QN_TRY(qn_compile_within(o, m, f, true, &options, &budgets, object));
  QN_TRY(qn_check_budgets(&budgets, m, f, &options, object));
  outputs[MAIN].data = object->bytes;
  outputs[MAIN].size = object->size;
  outputs[HEADER].data = object->header;
  outputs[HEADER].size = strlen(object->header);
  return QN_OK;
}

/* Those that are asked for, without gaps; how many. */
static int list_outputs(const qn_output *all, qn_output *out) {
  int count = 0;
  for (int i = 0; i < OUTPUTS; i++)
    if (all[i].path) out[count++] = all[i];
  return count;
}

static qn_status compile(const qn_options *o, const char *path, qn_module *m) {
  int kind = 0;
  if (o->emit) QN_TRY(qn_choose("--emit", NULL, o->emit, &kind));
  if (o->output.count != 1) return qn_io_error("quern", "compile needs one output, -o FILE");
  qn_output list[OUTPUTS],
      all[OUTPUTS] = {[DEPFILE] = {.what = "the rule of make", .path = o->depfile},
                      [HEADER] = {.what = "the header", .path = header_path(o, &m->arena, kind)},
                      [MAIN] = {.what = "the output", .path = o->output.at[0]}};
  qn_func *f;
  qn_object object = {0};
  QN_TRY(qn_prepare(path, o, m, &f));
  QN_TRY(qn_check_outputs(list, list_outputs(all, list), m->arena.files));
  if (kind == PLANNED_IR)
    QN_TRY(print_ir(m, &all[MAIN]));
  else
    QN_TRY(make_object(o, m, f, kind, all, &object));
  if (o->depfile) QN_TRY(qn_make_rule(&m->arena, all[MAIN].path, m->arena.files, &all[DEPFILE]));
  QN_TRY(qn_write_outputs(list, list_outputs(all, list)));
  bool tell = o->verbose || o->summary || o->json;
  if (tell && kind != PLANNED_IR) qn_print_summary(m, f, all[MAIN].path, &object, o->json);
  return QN_OK;
}

qn_status command_compile(const qn_options *o) { return qn_on_operand(o, compile); }
