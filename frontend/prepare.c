/* A model file through the default pipeline, and options as the folders below understand them. */
#include <ctype.h>
#include <string.h>
#include "command.h"

static qn_status find_contract(const char *name, qn_contract *out) {
  static const char words[] =
#define QN_CONTRACT(name, doc) "|" #name
#include "../runtime/contracts.def"
      ;
  int index = 0;
  if (name) QN_TRY(qn_choose("--contract", words + 1, name, &index));
  *out = (qn_contract)index;
  return QN_OK;
}

qn_status qn_one_operand(const qn_options *o, const char **out) {
  if (o->operands.count == 0) return qn_io_error("quern", "'%s' needs a model file", o->command);
  if (o->operands.count > 1)
    return qn_io_error("quern", "'%s' takes one model file, got also '%s'", o->command,
                       o->operands.at[1]);
  *out = o->operands.at[0];
  return QN_OK;
}

qn_status qn_on_operand(const qn_options *o,
                        qn_status (*work)(const qn_options *o, const char *path, qn_module *m)) {
  const char *path;
  QN_TRY(qn_one_operand(o, &path));
  qn_module *m = qn_new_module();
  qn_status status = work(o, path, m);
  qn_free_module(m);
  return status;
}

qn_status qn_get_pass_options(const qn_options *o, qn_pass_options *out) {
  *out = (qn_pass_options){.print_after_all = o->print_after_all,
                           .verify_each = !o->no_verify,
                           .remarks = o->verbose,
                           .watch = o->watch};
  return find_contract(o->contract, &out->contract);
}

qn_options qn_plain_options(const qn_options *o) {
  qn_options plain = *o;
  plain.quantize = "float";
  plain.config = plain.io = plain.recover = plain.max_drop = plain.calibrate_labels = NULL;
  plain.calibrate.count = plain.input_range.count = 0;
  plain.watch = NULL;
  return plain;
}

qn_status qn_prepare(const char *path, const qn_options *o, qn_module *m, qn_func **out) {
  qn_pass_options passes;
  QN_TRY(qn_get_pass_options(o, &passes));
  QN_TRY(qn_load_model(path, m));
  qn_name_model(m, path);
  m->hash = qn_hash_module(m);
  if (o->watch) QN_TRY(o->watch->after(o->watch->of, m, "as read"));
  QN_TRY(qn_quantize(o, m));
  QN_TRY(qn_run_passes(m, qn_default_pipeline, &passes));
  *out = qn_main_func(m);
  if (!*out)
    return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  return QN_OK;
}

static qn_status check_name(const char *name) {
  bool good = isalpha((unsigned char)name[0]) || name[0] == '_';
  for (const char *p = name; *p; p++) good = good && (isalnum((unsigned char)*p) || *p == '_');
  if (!good || strlen(name) > QN_MAX_NAME)
    return qn_io_error("quern", "--name '%s' is not a C identifier", name);
  return QN_OK;
}

static qn_status find_target(const char *name, const qn_target **out) {
  *out = qn_find_target(name ? name : "host");
  if (*out) return QN_OK;
  const char *names[64];
  int count = 0;
  for (const qn_target *t = qn_targets; t->name && count < 63; t++) names[count++] = t->name;
  names[count] = NULL;
  const char *nearest = qn_nearest(name, names);
  return qn_io_error("quern", "no target '%s'%s%s%s; see `quern help targets`", name,
                     nearest ? ", did you mean '" : "", nearest ? nearest : "", nearest ? "'" : "");
}

/* NULL for auto. */
static qn_status find_codec(const char *name, const qn_codec **out) {
  static const char words[] = "auto"
#define QN_CODEC(name, scratch_bytes, work, doc) "|" #name
#include "../runtime/codecs.def"
      ;
  int index = 0;
  QN_TRY(qn_choose("--codec", words, name, &index));
  *out = qn_find_codec(name);
  return QN_OK;
}

/* How the row is used: its FPU, its code's position. */
static qn_status set_target(const qn_options *o, qn_compile_options *out) {
  int hard = -1;
  QN_TRY(find_target(o->target, &out->target));
  const qn_target *t = out->target;
  if (o->float_abi) QN_TRY(qn_choose("--float-abi", NULL, o->float_abi, &hard));
  bool can_soft = t->soft || strcmp(t->floats, "soft") == 0,
       can_hard = strcmp(t->floats, "hard") == 0;
  if ((hard == 0 && !can_soft) || (hard == 1 && !can_hard))
    return qn_io_error("quern", "target '%s' has no %s float ABI, only %s", t->name, o->float_abi,
                       *t->floats ? t->floats : "the host's");
  out->soft = hard == 0 && t->soft;
  out->pic = o->pic || (t->pic && !o->no_pic);
  return QN_OK;
}

/* Sections whose names mean more to assemblers and linkers than where they lie. */
static qn_status check_section(const char *prefix) {
  static const char *const special[] = {".bss",    ".sbss",     ".tbss", ".tdata",   ".text",
                                        ".note",   ".init",     ".fini", ".preinit", ".debug",
                                        ".ctors",  ".dtors",    ".rel",  ".group",   ".symtab",
                                        ".strtab", ".shstrtab", NULL};
  bool good = prefix[0] == '.' || prefix[0] == '_' || isalpha((unsigned char)prefix[0]);
  for (const char *p = prefix; *p; p++)
    good = good && (isalnum((unsigned char)*p) || *p == '_' || *p == '.');
  if (!good || strlen(prefix) > QN_MAX_NAME)
    return qn_io_error("quern", "--weights-section '%s' is not a section's name", prefix);
  for (int i = 0; special[i]; i++)
    if (strncmp(prefix, special[i], strlen(special[i])) == 0)
      return qn_io_error("quern", "--weights-section '%s': sections %s* are not for constants",
                         prefix, special[i]);
  return QN_OK;
}

static qn_status plan(qn_module *m) {
  return qn_run_passes(m, "plan-memory", &(qn_pass_options){.verify_each = true});
}

static qn_status plan_and_tell(qn_module *m) {
  return qn_run_passes(m, "plan-memory", &(qn_pass_options){.verify_each = true, .remarks = true});
}

qn_status qn_get_compile_options(const qn_options *o, qn_module *m, qn_compile_options *out) {
  int optimize = QN_OPTIMIZE_BALANCED, floats = 0, weights = QN_WEIGHTS_RAW;
  if (o->optimize) QN_TRY(qn_choose("--optimize", NULL, o->optimize, &optimize));
  if (o->floats) QN_TRY(qn_choose("--floats", NULL, o->floats, &floats));
  if (o->weights) QN_TRY(qn_choose("--weights", NULL, o->weights, &weights));
  const qn_codec *codec = NULL;
  if (o->codec) QN_TRY(find_codec(o->codec, &codec));
  *out = (qn_compile_options){.name = o->name ? o->name : m->name,
                              .optimize = (qn_optimize)optimize,
                              .weights = (qn_weights)weights,
                              .codec = codec,
                              .fused = floats == 1,
                              .split = o->split_memory,
                              .selftest = o->selftest,
                              .weights_section = o->weights_section,
                              .plan = o->verbose ? plan_and_tell : plan};
  if (o->tuned) {
    qn_tuning *tuning = qn_alloc(&m->arena, sizeof *tuning);
    QN_TRY(qn_read_tuning(&m->arena, o->tuned, tuning));
    out->tuning = tuning;
  }
  QN_TRY(check_name(out->name));
  if (out->weights_section) QN_TRY(check_section(out->weights_section));
  return set_target(o, out);
}
