/* Walking tensors of any rank: the last dim is a kernel's inner loop, the others are its rows. */
#ifndef QN_WALK_H
#define QN_WALK_H

#include "fixed.h"

/* Rows of dim[]: the product of all dims but the last. */
QN_INLINE int32_t qn_row_count(const int32_t dim[QN_KERNEL_RANK]) {
  int32_t rows = 1;
  for (int32_t d = 0; d < QN_KERNEL_RANK - 1; d++) rows *= dim[d];
  return rows;
}

/* Where row number `row`, counted in row-major order, starts in a tensor with stride[]. */
QN_INLINE int32_t qn_row_offset(const int32_t dim[QN_KERNEL_RANK],
                                const int32_t stride[QN_KERNEL_RANK], int32_t row) {
  int32_t offset = 0;
  for (int32_t d = QN_KERNEL_RANK - 2; d >= 0; d--) {
    offset += row % dim[d] * stride[d];
    row /= dim[d];
  }
  return offset;
}

#endif
