/* runtime/, embedded as bitcode, -> an LLVM module for the target at hand.
 *
 * The bitcode was made for 64-bit x86 without any optimisation (clang's passes would write pointer
 * sizes into it), from sources that use fixed-width types only, so it means the same on every
 * little-endian target once triple and data layout are replaced and the attributes that name an x86
 * processor are gone.
 *
 * Functions of the runtime are of three kinds: the kernels qn_kernel_* and static functions, always
 * inlined so that the constants of one call reach every loop; other qn_* functions (decoders),
 * ordinary; and helpers such as memcpy, which the back end may call by that very name. */
#include <llvm-c/BitReader.h>
#include <llvm-c/Linker.h>
#include <llvm-c/Transforms/PassBuilder.h>
#include <string.h>
#include "unit.h"

extern const char qn_runtime_bitcode[], qn_runtime_bitcode_end[]; /* runtime_bitcode.S */

static bool starts_with(const char *text, const char *head) {
  return strncmp(text, head, strlen(head)) == 0;
}

static bool is_helper(LLVMValueRef function) {
  size_t size;
  const char *name = LLVMGetValueName2(function, &size);
  return LLVMGetLinkage(function) == LLVMExternalLinkage && !LLVMIsDeclaration(function) &&
         !starts_with(name, "qn_");
}

static bool is_inlined(LLVMValueRef function) {
  size_t size;
  const char *name = LLVMGetValueName2(function, &size);
  unsigned noinline_kind = LLVMGetEnumAttributeKindForName("noinline", 8);
  if (LLVMGetEnumAttributeAtIndex(function, LLVMAttributeFunctionIndex, noinline_kind))
    return false;
  return LLVMGetLinkage(function) == LLVMInternalLinkage || starts_with(name, "qn_kernel_");
}

void qn_add_attribute(qn_unit *u, LLVMValueRef function, unsigned index, const char *name) {
  unsigned kind = LLVMGetEnumAttributeKindForName(name, strlen(name));
  LLVMAddAttributeAtIndex(function, index, LLVMCreateEnumAttribute(u->context, kind, 0));
}

static void add_text_attribute(qn_unit *u, LLVMValueRef function, const char *name,
                               const char *value) {
  LLVMAddAttributeAtIndex(function, LLVMAttributeFunctionIndex,
                          LLVMCreateStringAttribute(u->context, name, (unsigned)strlen(name), value,
                                                    (unsigned)strlen(value)));
}

/* All of clang's attributes that are text: names of processors, frame pointers and the like. */
static void strip_attributes(qn_unit *u, LLVMValueRef function) {
  unsigned count = LLVMGetAttributeCountAtIndex(function, LLVMAttributeFunctionIndex);
  LLVMAttributeRef *at = qn_alloc(&u->m->arena, count * sizeof *at);
  LLVMGetAttributesAtIndex(function, LLVMAttributeFunctionIndex, at);
  for (unsigned i = 0; i < count; i++) {
    if (!LLVMIsStringAttribute(at[i])) continue;
    unsigned size;
    const char *name = LLVMGetStringAttributeKind(at[i], &size);
    LLVMRemoveStringAttributeAtIndex(function, LLVMAttributeFunctionIndex, name, size);
  }
}

void qn_set_function_attributes(qn_unit *u, LLVMValueRef function) {
  qn_add_attribute(u, function, LLVMAttributeFunctionIndex, "nounwind");
  add_text_attribute(u, function, "no-builtins", "");      /* no loop becomes a call of memcpy */
  add_text_attribute(u, function, "warn-stack-size", "0"); /* the back end reports every frame */
  /* Of a frame that is aligned when it is made, the report does not say how many registers of
   * unknown size are in it (stack.c). Their loads and stores need no more than the elements'
   * alignment. */
  if (qn_can(u, QN_NEEDS_rvv)) add_text_attribute(u, function, "no-realign-stack", "");
  if (u->options->optimize != QN_OPTIMIZE_SIZE) return;
  qn_add_attribute(u, function, LLVMAttributeFunctionIndex, "optsize");
}

static qn_status parse(qn_unit *u, LLVMModuleRef *out) {
  size_t size = (size_t)(qn_runtime_bitcode_end - qn_runtime_bitcode);
  LLVMMemoryBufferRef buffer =
      LLVMCreateMemoryBufferWithMemoryRange(qn_runtime_bitcode, size, "runtime", 0);
  LLVMBool failed = LLVMParseBitcodeInContext2(u->context, buffer, out);
  LLVMDisposeMemoryBuffer(buffer);
  if (failed) return qn_bug("the runtime's bitcode: %s", u->failure ? u->failure : "unreadable");
  char *triple = LLVMGetTargetMachineTriple(u->machine);
  LLVMSetTarget(*out, triple);
  LLVMDisposeMessage(triple);
  LLVMSetModuleDataLayout(*out, u->layout);
  for (LLVMValueRef f = LLVMGetFirstFunction(*out); f; f = LLVMGetNextFunction(f)) {
    strip_attributes(u, f);
    if (!LLVMIsDeclaration(f)) qn_set_function_attributes(u, f);
  }
  return QN_OK;
}

qn_status qn_parse_runtime(qn_unit *u, LLVMModuleRef *out) {
  QN_TRY(parse(u, out));
  for (LLVMValueRef f = LLVMGetFirstFunction(*out); f; f = LLVMGetNextFunction(f)) {
    if (LLVMIsDeclaration(f)) continue;
    if (is_helper(f)) {
      size_t size;
      const char *name = qn_format(&u->m->arena, "qn_own_%s", LLVMGetValueName2(f, &size));
      LLVMSetValueName2(f, name, strlen(name));
    } else if (is_inlined(f)) {
      qn_add_attribute(u, f, LLVMAttributeFunctionIndex, "alwaysinline");
    }
    LLVMSetLinkage(f, LLVMInternalLinkage);
  }
  return QN_OK;
}

qn_status qn_optimize_module(qn_unit *u, LLVMModuleRef module, const char *first) {
  static const char *const levels[] = {"default<O2>", "default<O3>", "default<Os>"};
  const char *passes = qn_format(&u->m->arena, "%s,%s", first, levels[u->options->optimize]);
  LLVMPassBuilderOptionsRef options = LLVMCreatePassBuilderOptions();
  LLVMPassBuilderOptionsSetLoopVectorization(options, 1);
  LLVMPassBuilderOptionsSetSLPVectorization(options, 1);
  LLVMPassBuilderOptionsSetLoopInterleaving(options, 1);
  LLVMErrorRef error = LLVMRunPasses(module, passes, u->machine, options);
  LLVMDisposePassBuilderOptions(options);
  if (!error) return u->failure ? qn_bug("optimising: %s", u->failure) : QN_OK;
  char *why = LLVMGetErrorMessage(error);
  qn_status status = qn_bug("optimising: %s", why);
  LLVMDisposeErrorMessage(why);
  return status;
}

qn_status qn_add_helper(qn_unit *u, const char *name, bool *out_found) {
  LLVMModuleRef module;
  QN_TRY(parse(u, &module));
  LLVMValueRef helper = LLVMGetNamedFunction(module, name);
  *out_found =
      helper && LLVMGetLinkage(helper) == LLVMExternalLinkage && !LLVMIsDeclaration(helper);
  if (!*out_found) {
    LLVMDisposeModule(module);
    return QN_OK;
  }
  for (LLVMValueRef f = LLVMGetFirstFunction(module); f; f = LLVMGetNextFunction(f)) {
    if (f != helper && !LLVMIsDeclaration(f)) LLVMSetLinkage(f, LLVMInternalLinkage);
  }
  qn_status status = qn_optimize_module(u, module, "globaldce");
  if (status != QN_OK) {
    LLVMDisposeModule(module);
    return status;
  }
  if (LLVMLinkModules2(u->module, module))
    return qn_bug("linking helper '%s': %s", name, u->failure);
  LLVMSetLinkage(LLVMGetNamedFunction(u->module, name), LLVMInternalLinkage);
  return QN_OK;
}
