/* Functions that the main function calls: one for each distinct kernel and what is constant of its
 * call. */
#ifndef QN_VARIANTS_H
#define QN_VARIANTS_H

#include "unit.h"

/* One specialised kernel, or one job's function. */
typedef struct qn_variant {
  const qn_job *job; /* or NULL */
  qn_call call;
  uint32_t present; /* operands that are not absent */
  uint32_t shared;  /* operands that overlap the result */
  uint32_t same;    /* of a kernel: operands that are where the result is, and no argument */
  bool scratch;
  LLVMValueRef function;
  LLVMTypeRef type;
  struct qn_variant *next;
} qn_variant;

typedef struct {
  qn_unit *u;
  LLVMBuilderRef b;
  qn_variant *first;
  int count;
} qn_variants;

/* The function for `wanted`, whose function, type and next are not set; made when it is the first
 * of its kind. Its arguments are addresses: operands that are present, and for a kernel not `same`,
 * in order; the result; a job's constants; scratch. The builder is left anywhere. */
qn_status qn_find_variant(qn_variants *list, const qn_variant *wanted,
                          const qn_variant **out) QN_MUST_CHECK;

/* -- constants and functions of the object's own */
LLVMValueRef qn_add_constant(qn_unit *u, const char *name, LLVMValueRef value);
LLVMValueRef qn_add_bytes(qn_unit *u, const char *name, const void *bytes, size_t size);
/* With an entry, where the builder is put. */
LLVMValueRef qn_add_function(qn_unit *u, LLVMBuilderRef b, const char *name, LLVMTypeRef type);

#endif
