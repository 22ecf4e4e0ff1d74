/* The registry of passes.def and the runner: a list of names -> each pass in turn, the verifier
 * after every one of them. A memory plan that the module came with is dropped. */
#include <string.h>
#include "passes.h"

const qn_pass qn_passes[] = {
#define QN_PASS(name, function, doc) {name, doc, pass_##function},
#include "passes.def"
    {NULL, NULL, NULL}};

/* fold-constants comes after fuse-int8, which wants to see that a weight is the dequantized value
 * of an int8 constant; eliminate-constants looks at integer ops, and what it replaces is left to
 * dce; plan-memory comes last, because every other pass changes lifetimes. */
const char qn_default_pipeline[] =
    "fold-batchnorm,fuse-pad,fuse-activation,fuse-int8,fold-constants,eliminate-zeros,"
    "eliminate-constants,dce,plan-memory";

static qn_status find_pass(qn_module *m, const char *name, size_t size, const qn_pass **out) {
  const char *names[sizeof qn_passes / sizeof *qn_passes];
  int count = 0;
  for (const qn_pass *p = qn_passes; p->name; p++) {
    *out = p;
    if (strlen(p->name) == size && memcmp(p->name, name, size) == 0) return QN_OK;
    names[count++] = p->name;
  }
  names[count] = NULL;
  const char *wrong = qn_strndup(&m->arena, name, size);
  const char *nearest = qn_nearest(wrong, names);
  if (nearest) return qn_io_error("--passes", "no pass '%s', did you mean '%s'?", wrong, nearest);
  return qn_io_error("--passes", "no pass '%s'; see `quern help passes`", wrong);
}

/* A plan holds for the very ops that it was made for; plan-memory makes a new one. */
void qn_drop_plan(qn_module *m) {
  for (qn_func *f = m->funcs; f; f = f->next) {
    for (qn_op *op = f->first; op; op = op->next) op->scratch = op->out->offset = -1;
  }
}

static qn_status run_pass(qn_module *m, const qn_pass *pass, const qn_pass_options *options) {
  qn_drop_plan(m);
  qn_forget_names(m);
  QN_TRY(pass->run(m, options));
  if (options->print_after_all) {
    fprintf(stderr, "// after %s\n", pass->name);
    qn_print(stderr, m, &(qn_print_options){.elide = true});
  }
  if (options->verify_each && qn_verify(m) != QN_OK) {
    qn_note(&m->src, qn_nowhere, "pass '%s' left this behind: a bug in quern", pass->name);
    return QN_EBUG;
  }
  return options->watch ? options->watch->after(options->watch->of, m, pass->name) : QN_OK;
}

/* Where the name at p ends. */
static const char *end_of_name(const char *p) { return p + strcspn(p, ","); }

qn_status qn_run_passes(qn_module *m, const char *list, const qn_pass_options *options) {
  if (!*list) return QN_OK;
  const qn_pass *pass;
  /* every name is checked before the first pass runs */
  for (const char *p = list;; p++) {
    const char *end = end_of_name(p);
    QN_TRY(find_pass(m, p, (size_t)(end - p), &pass));
    if (!*(p = end)) break;
  }
  for (const char *p = list;; p++) {
    const char *end = end_of_name(p);
    QN_TRY(find_pass(m, p, (size_t)(end - p), &pass));
    QN_TRY(run_pass(m, pass, options));
    if (!*(p = end)) break;
  }
  return QN_OK;
}
