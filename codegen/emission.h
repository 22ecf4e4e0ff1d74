/* What the files share that write the main function: emit.c, decoding.c. */
#ifndef QN_EMISSION_H
#define QN_EMISSION_H

#include "build.h"
#include "variants.h"

typedef struct {
  qn_unit *u;
  LLVMBuilderRef b;
  LLVMValueRef run;     /* NAME_run */
  LLVMValueRef decoded; /* inside it: the address of the decoded weights */
  int input_count;
  qn_variants variants;
} qn_emission;

static inline LLVMValueRef qn_number(LLVMTypeRef type, int64_t n) {
  return LLVMConstInt(type, (unsigned long long)n, 1);
}

static inline LLVMValueRef qn_at_offset(qn_emission *e, LLVMValueRef base, int64_t offset) {
  if (offset == 0) return base;
  LLVMValueRef index = qn_number(e->u->size, offset);
  return LLVMBuildInBoundsGEP2(e->b, e->u->i8, base, &index, 1, "");
}

/* -- emit.c: inside NAME_run, but for constants that init does not decode. */
LLVMValueRef qn_weight_address(qn_emission *e, const void *data, int64_t bytes);
LLVMValueRef qn_address_of(qn_emission *e, const qn_place *place);

/* -- decoding.c */
/* In NAME_run: the layer, panel by panel. *out_kernel: the function that computes one. */
qn_status qn_emit_panels(qn_emission *e, const qn_panels *s, const char **out_kernel) QN_MUST_CHECK;
/* In NAME_init: decodes to the start of `decoded`, makes tuned kernels' constants there and checks
 * the panels of run. *out_code: what init returns. */
qn_status qn_emit_init_decoding(qn_emission *e, LLVMValueRef init, LLVMValueRef decoded,
                                LLVMValueRef *out_code) QN_MUST_CHECK;

#endif
