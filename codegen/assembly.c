/* Assembly text -> naked functions: LLVM adds nothing to them, and everything else treats them as
 * functions. Their stack frames, which the back end cannot know, are told to stack.c. */
#include "assembly.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void qn_write_lines(qn_assembly *a, const char *format, ...) {
  char lines[1024];
  va_list arguments;
  va_start(arguments, format);
  size_t size = (size_t)vsnprintf(lines, sizeof lines, format, arguments);
  va_end(arguments);
  if (a->size + size + 1 > a->room) {
    a->room = 2 * (a->size + size + 1);
    char *text = qn_alloc(a->arena, a->room);
    if (a->size > 0) memcpy(text, a->text, a->size);
    a->text = text;
  }
  memcpy(a->text + a->size, lines, size);
  a->size += size;
  a->text[a->size++] = '\n';
}

LLVMValueRef qn_find_assembly(qn_build *b, const char *name) {
  return LLVMGetNamedFunction(b->u->module, name);
}

LLVMValueRef qn_add_assembly(qn_build *b, const char *name, LLVMTypeRef type, const qn_assembly *a,
                             int64_t frame_bytes) {
  qn_unit *u = b->u;
  static const char clobbers[] = "~{memory}";
  LLVMValueRef function = LLVMAddFunction(u->module, name, type);
  qn_set_function_attributes(u, function);
  LLVMSetLinkage(function, LLVMInternalLinkage);
  LLVMSetAlignment(function, 4); /* addresses relative to pc count on it */
  qn_add_attribute(u, function, LLVMAttributeFunctionIndex, "naked");
  qn_add_attribute(u, function, LLVMAttributeFunctionIndex, "noinline");
  LLVMBuilderRef builder = LLVMCreateBuilderInContext(u->context);
  LLVMPositionBuilderAtEnd(builder, LLVMAppendBasicBlockInContext(u->context, function, "entry"));
  LLVMTypeRef nothing = LLVMFunctionType(u->nothing, NULL, 0, 0);
  LLVMValueRef body = LLVMGetInlineAsm(nothing, a->text, a->size, clobbers, sizeof clobbers - 1, 1,
                                       0, LLVMInlineAsmDialectATT, 0);
  LLVMBuildCall2(builder, nothing, body, NULL, 0, "");
  LLVMBuildUnreachable(builder);
  LLVMDisposeBuilder(builder);
  qn_frame *frame = qn_alloc(&u->m->arena, sizeof *frame);
  *frame = (qn_frame){qn_format(&u->m->arena, "%s", name), frame_bytes, u->assembly_frames};
  u->assembly_frames = frame;
  return function;
}

LLVMValueRef qn_call_function(qn_build *b, LLVMValueRef function, LLVMValueRef *arguments,
                              int count) {
  return LLVMBuildCall2(b->b, LLVMGlobalGetValueType(function), function, arguments,
                        (unsigned)count, "");
}
