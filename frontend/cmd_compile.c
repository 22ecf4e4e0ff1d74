/* quern compile: a model file -> an object (or assembly, LLVM IR, planned IR) and a C header. */
#include <stdlib.h>
#include <string.h>
#include "command.h"

/* path with its last suffix replaced. */
static const char *with_suffix(qn_arena *a, const char *path, const char *suffix) {
  const char *slash = strrchr(path, '/');
  const char *dot = strrchr(slash ? slash : path, '.');
  int stem = (int)(dot && dot != path ? dot - path : (ptrdiff_t)strlen(path));
  return qn_format(a, "%.*s%s", stem, path, suffix);
}

static qn_status write_ir(qn_module *m, const char *path) {
  char *text = NULL;
  size_t size = 0;
  FILE *to = open_memstream(&text, &size);
  if (!to) return qn_io_error(path, "no memory for the text");
  qn_print(to, m, &(qn_print_options){0});
  fclose(to);
  qn_status status = qn_write_file(path, text, size);
  free(text);
  return status;
}

static qn_status compile(const qn_options *o, const char *path, qn_module *m) {
  int kind = 0, planned_ir = 3; /* the last alternative; the others are qn_emit */
  if (o->emit) QN_TRY(qn_choose("--emit", NULL, o->emit, &kind));
  if (o->output.count != 1) return qn_io_error("quern", "compile needs one output, -o FILE");
  const char *output = o->output.at[0];

  qn_func *f;
  QN_TRY(qn_prepare(path, o, m, &f));
  if (kind == planned_ir) return write_ir(m, output);
  qn_compile_options options;
  QN_TRY(qn_get_compile_options(o, m, &options));
  options.emit = (qn_emit)kind;
  qn_object object;
  qn_budgets budgets;
  QN_TRY(qn_compile_within(o, m, f, true, &options, &budgets, &object));
  QN_TRY(qn_check_budgets(&budgets, m, f, &options, &object));
  QN_TRY(qn_write_file(output, object.bytes, object.size));
  const char *header = o->header ? o->header : with_suffix(&m->arena, output, ".h");
  if (kind == QN_EMIT_OBJ || o->header)
    QN_TRY(qn_write_file(header, object.header, strlen(object.header)));
  if (o->verbose || o->summary || o->json) qn_print_summary(m, f, output, &object, o->json);
  return QN_OK;
}

qn_status command_compile(const qn_options *o) {
  const char *path;
  QN_TRY(qn_one_operand(o, &path));
  qn_module *m = qn_new_module();
  qn_status status = compile(o, path, m);
  if (status == QN_OK && o->depfile)
    status = qn_write_depfile(o->depfile, o->output.at[0], m->arena.files);
  qn_free_module(m);
  return status;
}
