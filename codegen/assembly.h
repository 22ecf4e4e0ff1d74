/* Functions written as assembly text: hot loops that need every register, which LLVM would spill.
 * Each is a leaf, may be called by any job's code, and is in the module once. */
#ifndef QN_ASSEMBLY_H
#define QN_ASSEMBLY_H

#include "build.h"

typedef struct {
  qn_arena *arena;
  char *text;
  size_t size, room;
} qn_assembly;

/* Appends lines; separators are newlines. */
void qn_write_lines(qn_assembly *a, const char *format, ...) QN_PRINTF(2, 3);

/* The internal function `name` of that type with the text as its whole body, entry to return, which
 * obeys the target's calling convention, calls nothing and takes frame_bytes of stack. */
LLVMValueRef qn_add_assembly(qn_build *b, const char *name, LLVMTypeRef type, const qn_assembly *a,
                             int64_t frame_bytes);
/* One that was added before, or NULL. */
LLVMValueRef qn_find_assembly(qn_build *b, const char *name);
/* A call of a function of the module. */
LLVMValueRef qn_call_function(qn_build *b, LLVMValueRef function, LLVMValueRef *arguments,
                              int count);

#endif
