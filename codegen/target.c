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
