/* targets.def as a table, and LLVM's machine for a row. */
#include <llvm-c/Target.h>
#include <string.h>
#include "unit.h"

const qn_target qn_targets[] = {
#define QN_TARGET(name, triple, cpu, features, float_abi, pic, doc)                                \
  {name, triple, cpu, features, doc, float_abi, pic},
#include "targets.def"
    {NULL, NULL, NULL, NULL, NULL, NULL, false}};

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
}

qn_status qn_open_machine(const qn_target *target, qn_optimize optimize,
                          LLVMTargetMachineRef *out) {
  initialise_targets();
  bool host = !target->triple[0];
  char *triple = host ? LLVMGetDefaultTargetTriple() : LLVMCreateMessage(target->triple);
  char *cpu = host ? LLVMGetHostCPUName() : LLVMCreateMessage(target->cpu);
  char *features = host ? LLVMGetHostCPUFeatures() : LLVMCreateMessage(target->features);
  LLVMTargetRef found;
  char *why = NULL;
  qn_status status = QN_OK;
  *out = NULL;
  if (LLVMGetTargetFromTriple(triple, &found, &why))
    status = qn_bug("target '%s': %s", target->name, why);
  else
    *out = LLVMCreateTargetMachine(
        found, triple, cpu, features,
        optimize == QN_OPTIMIZE_SPEED ? LLVMCodeGenLevelAggressive : LLVMCodeGenLevelDefault,
        target->pic ? LLVMRelocPIC : LLVMRelocStatic, LLVMCodeModelDefault);
  if (status == QN_OK && !*out)
    status = qn_bug("target '%s': LLVM has no machine for it", target->name);
  LLVMDisposeMessage(why);
  LLVMDisposeMessage(features);
  LLVMDisposeMessage(cpu);
  LLVMDisposeMessage(triple);
  return status;
}
