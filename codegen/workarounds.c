/* Code of which LLVM 19 to 22 is known to make something else than it says, avoided. Each was found
 * by test/codegen/run-cortex-m.test, which shows when it may go.
 *
 * MVE's gathers and scatters: where a loop's counter is also multiplied for an address, pass
 * arm-mve-gather-scatter-lowering multiplies the counter itself and leaves the comparison at the
 * loop's end as it was; the loop never ends.
 *
 * MVE's conversions between integers and fixed point (an int converted to float and multiplied by
 * 2^-n, or the reverse): instruction selection makes n a value, not an immediate number. When the
 * block needs the number n elsewhere too, what is encoded is the register that holds it. */
#include <llvm-c/Core.h>
#include <llvm-c/Support.h>
#include <string.h>
#include "unit.h"

void qn_avoid_gathers(void) {
  static const char *const words[] = {"quern", "-enable-arm-maskedgatscat=false"};
  LLVMParseCommandLineOptions(2, words, "");
}

static bool is_vector(LLVMValueRef value) {
  return LLVMGetTypeKind(LLVMTypeOf(value)) == LLVMVectorTypeKind;
}

/* value, with a fence in front of the builder's place that ISel does not look through. */
static LLVMValueRef add_fence(qn_unit *u, LLVMBuilderRef b, LLVMValueRef value) {
  static const char name[] = "llvm.arithmetic.fence";
  LLVMTypeRef type = LLVMTypeOf(value);
  unsigned id = LLVMLookupIntrinsicID(name, sizeof name - 1);
  LLVMValueRef fence = LLVMGetIntrinsicDeclaration(u->module, id, &type, 1);
  return LLVMBuildCall2(b, LLVMIntrinsicGetType(u->context, id, &type, 1), fence, &value, 1, "");
}

static bool converts_to_int(LLVMValueRef i) {
  LLVMOpcode code = LLVMGetInstructionOpcode(i);
  if (code == LLVMFPToSI || code == LLVMFPToUI) return true;
  LLVMValueRef called = code == LLVMCall ? LLVMGetCalledValue(i) : NULL;
  size_t size;
  return called && LLVMIsAFunction(called) &&
         strncmp(LLVMGetValueName2(called, &size), "llvm.fpto", 9) == 0;
}

static void fence_conversion(qn_unit *u, LLVMBuilderRef b, LLVMValueRef i) {
  LLVMOpcode code = LLVMGetInstructionOpcode(i);
  if (!is_vector(i)) return;
  if (code == LLVMSIToFP || code == LLVMUIToFP) {
    LLVMPositionBuilderBefore(b, LLVMGetNextInstruction(i));
    LLVMValueRef fence = add_fence(u, b, i);
    LLVMReplaceAllUsesWith(i, fence);
    LLVMSetOperand(fence, 0, i);
  } else if (converts_to_int(i)) {
    LLVMPositionBuilderBefore(b, i);
    LLVMSetOperand(i, 0, add_fence(u, b, LLVMGetOperand(i, 0)));
  }
}

void qn_fence_conversions(qn_unit *u) {
  if (strncmp(LLVMGetTarget(u->module), "thumbv8.1m", 10) != 0) return;
  LLVMBuilderRef b = LLVMCreateBuilderInContext(u->context);
  for (LLVMValueRef f = LLVMGetFirstFunction(u->module); f; f = LLVMGetNextFunction(f)) {
    for (LLVMBasicBlockRef k = LLVMGetFirstBasicBlock(f); k; k = LLVMGetNextBasicBlock(k)) {
      LLVMValueRef next;
      for (LLVMValueRef i = LLVMGetFirstInstruction(k); i; i = next) {
        next = LLVMGetNextInstruction(i);
        fence_conversion(u, b, i);
      }
    }
  }
  LLVMDisposeBuilder(b);
}
