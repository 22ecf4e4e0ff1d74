/* Results of elementwise ops of int8 on x86: vectors of operands, widened to int32 lanes, and of
 * results, narrowed. */
#ifndef QN_ELEMENTWISE_X86_H
#define QN_ELEMENTWISE_X86_H

#include "x86.h"

enum { QN_WALK_RANK = 3, QN_WALK_OPERANDS = 2 };

/* Rows of dim[2] results, dim[0] * dim[1] of them, y_step[] bytes apart, and where the first one
 * is; operand i is walked by step[i][]: 0 where it repeats. */
typedef struct {
  int32_t dim[QN_WALK_RANK], step[QN_WALK_OPERANDS][QN_WALK_RANK], y_step[QN_WALK_RANK - 1];
  int32_t first[QN_WALK_OPERANDS], y_first;
  int32_t flipped[QN_WALK_OPERANDS]; /* stored as unsigned bytes; where one is, lanes are of all x +
                                        128 */
} qn_x86_walk;

/* False: more dims, or rows that are too short for vectors. */
bool qn_plan_walk(const qn_broadcast *w, qn_x86_walk *out);
/* Of one operand. */
qn_x86_walk qn_walk_along(int32_t count);
/* Nothing repeats: operands and results are one row. */
bool qn_is_one_row(const qn_x86_walk *w);

bool qn_is_raised(const qn_x86_walk *w); /* lanes are of x + 128 */

/* results of a vector: stored values, not yet narrowed, of `operands` vectors of them. */
typedef LLVMValueRef qn_lane_function(qn_build *b, const void *of, const LLVMValueRef *operands);

/* arguments: as many operands, and the result, which may be one that does not repeat. */
void qn_emit_elementwise(qn_build *b, const qn_isa *isa, const qn_clamping *clamping,
                         const qn_x86_walk *walk, int operands, qn_lane_function *results,
                         const void *of, const LLVMValueRef *arguments);

#endif
