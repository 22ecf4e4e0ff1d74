/* targets.def as a table, and LLVM's machine for a row. */
#include <llvm-c/Target.h>
#include <stdio.h>
#include <string.h>
#include "unit.h"

const qn_target qn_targets[] = {
#define QN_TARGET(name, triple, cpu, features, floats, soft, code, pic, flash, doc)                \
  {name, triple, cpu, features, doc, floats, soft, code, pic, flash},
#include "targets.def"
    {NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, false, false}};

const qn_target *qn_find_target(const char *name) {
  for (const qn_target *t = qn_targets; t->name; t++) {
    if (strcmp(t->name, name) == 0) return t;
  }
  return NULL;
}

static void initialise_targets(void) {
#define INITIALISE(arch)                                                                           \
  LLVMInitialize##arch##TargetInfo();                                                              \
  LLVMInitialize##arch##Target();                                                                  \
  LLVMInitialize##arch##TargetMC();                                                                \
  LLVMInitialize##arch##AsmPrinter();                                                              \
  LLVMInitialize##arch##AsmParser();
  INITIALISE(X86)
  INITIALISE(AArch64)
  INITIALISE(ARM)
  INITIALISE(RISCV)
  qn_avoid_gathers();
}

/* The row's triple; without the FPU, gnueabihf and eabihf lose their last letters. */
static char *triple_of(const qn_target *target, bool soft) {
  char *triple = LLVMCreateMessage(target->triple);
  size_t size = strlen(triple);
  if (soft && size > 2 && strcmp(triple + size - 2, "hf") == 0) triple[size - 2] = 0;
  return triple;
}

static char *features_of(const qn_target *target, bool soft) {
  const char *more = soft && target->soft ? target->soft : "";
  char text[256];
  snprintf(text, sizeof text, "%s%s%s", target->features, *target->features && *more ? "," : "",
           more);
  return LLVMCreateMessage(text);
}

static LLVMCodeModel code_model(const qn_target *target) {
  return strcmp(target->code, "medium") == 0 ? LLVMCodeModelMedium : LLVMCodeModelDefault;
}

qn_status qn_open_machine(const qn_compile_options *options, LLVMTargetMachineRef *out) {
  initialise_targets();
  const qn_target *target = options->target;
  bool host = !target->triple[0];
  char *triple = host ? LLVMGetDefaultTargetTriple() : triple_of(target, options->soft);
  char *cpu = host ? LLVMGetHostCPUName() : LLVMCreateMessage(target->cpu);
  char *features = host ? LLVMGetHostCPUFeatures() : features_of(target, options->soft);
  LLVMTargetRef found;
  char *why = NULL;
  qn_status status = QN_OK;
  *out = NULL;
  if (LLVMGetTargetFromTriple(triple, &found, &why))
    status = qn_bug("target '%s': %s", target->name, why);
  else
    *out =
        LLVMCreateTargetMachine(found, triple, cpu, features,
                                options->optimize == QN_OPTIMIZE_SPEED ? LLVMCodeGenLevelAggressive
                                                                       : LLVMCodeGenLevelDefault,
                                options->pic ? LLVMRelocPIC : LLVMRelocStatic, code_model(target));
  if (status == QN_OK && !*out)
    status = qn_bug("target '%s': LLVM has no machine for it", target->name);
  LLVMDisposeMessage(why);
  LLVMDisposeMessage(features);
  LLVMDisposeMessage(cpu);
  LLVMDisposeMessage(triple);
  return status;
}

typedef struct {
  char arch[16]; /* the triple's first part */
  bool can[QN_CAPABILITY_COUNT];
} abilities;

static qn_status find_abilities(const qn_target *row, abilities *out) {
  const qn_compile_options options = {.target = row, .pic = true};
  qn_unit u = {.options = &options};
  QN_TRY(qn_open_machine(&options, &u.machine));
  char *triple = LLVMGetTargetMachineTriple(u.machine);
  snprintf(out->arch, sizeof out->arch, "%.*s", (int)strcspn(triple, "-"), triple);
  LLVMDisposeMessage(triple);
  for (int i = 0; i < QN_CAPABILITY_COUNT; i++) out->can[i] = qn_can(&u, (qn_capability)i);
  LLVMDisposeTargetMachine(u.machine);
  return QN_OK;
}

/* A feature that is "+name" among the row's is "-name" among this machine's. */
static bool lacks_feature(const qn_target *row) {
  char *here = LLVMGetHostCPUFeatures();
  bool lacks = false;
  for (const char *at = row->features; (at = strchr(at, '+')); at++) {
    char off[32];
    snprintf(off, sizeof off, "-%.*s", (int)strcspn(at + 1, ","), at + 1);
    size_t size = strlen(off);
    for (const char *in = here; (in = strstr(in, off)); in += size)
      lacks |= !in[size] || in[size] == ',';
  }
  LLVMDisposeMessage(here);
  return lacks;
}

qn_status qn_can_run(const qn_target *row, bool *out) {
  abilities here, there;
  *out = true;
  if (!row->triple[0]) return QN_OK;
  QN_TRY(find_abilities(qn_find_target("host"), &here));
  QN_TRY(find_abilities(row, &there));
  *out = strcmp(here.arch, there.arch) == 0 && !lacks_feature(row);
  for (int i = 0; i < QN_CAPABILITY_COUNT; i++) *out &= here.can[i] || !there.can[i];
  return QN_OK;
}
