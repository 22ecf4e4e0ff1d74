/* One result pixel after the other, and the window of the input that each sees. */
#ifndef QN_PIXELS_H
#define QN_PIXELS_H

#include "../runtime/border.h"
#include "build.h"

/* Where a pixel's window begins: image, row and column of the input. */
typedef struct {
  LLVMValueRef image, row, column;
} qn_position;

typedef struct {
  qn_build *b;
  const qn_window *g;
  bool padded;         /* some window reaches beyond the border; then: */
  LLVMValueRef border; /* address of a qn_border */
  LLVMValueRef copies; /* room for windows, qn_window_bytes each */
} qn_pixels;

bool qn_needs_border(const qn_window *g);
int32_t qn_window_row_bytes(const qn_window *g);
int64_t qn_window_bytes(const qn_window *g); /* less than 2^31 */
qn_border qn_border_of(const qn_window *g, int32_t x_zero);

qn_position qn_first_position(qn_build *b, const qn_window *g, LLVMValueRef x);
qn_position qn_next_position(const qn_pixels *p, qn_position at);
/* yes when `when`, an i1, is set. */
qn_position qn_select_position(qn_build *b, LLVMValueRef when, qn_position yes, qn_position no);
/* The window's address and the bytes from row to row (an i32); where it reaches beyond the border,
 * those of a copy, which is number `copy`. */
void qn_emit_window(const qn_pixels *p, qn_position at, int copy, LLVMValueRef *out_window,
                    LLVMValueRef *out_step);

/* A loop over all pixels, two by two: emit(of, first, second, y) once, y the first one's results of
 * out_c bytes. When their number is odd, more than 1, the second pixel is also the first of the
 * second pair. */
void qn_emit_pairs_of_pixels(const qn_pixels *p, LLVMValueRef x, LLVMValueRef y,
                             void (*emit)(const void *of, qn_position first, qn_position second,
                                          LLVMValueRef y),
                             const void *of);

#endif
