/* Strides of dense tensors, and dims collapsed (strides.h). */
#include "strides.h"

void qn_push_dim(qn_walk *w, int64_t dim, int64_t a, int64_t b) {
  if (dim == 1) return;
  int last = w->rank - 1;
  if (last >= 0 && w->a[last] == a * dim && w->b[last] == b * dim) {
    w->dim[last] *= dim;
  } else {
    last = w->rank++;
    w->dim[last] = dim;
  }
  w->a[last] = a;
  w->b[last] = b;
}

void qn_align_walk(const qn_walk *w, int32_t *dim, int32_t *a, int32_t *b) {
  for (int i = 0; i < QN_KERNEL_RANK; i++) {
    int from = i - (QN_KERNEL_RANK - w->rank);
    dim[i] = from < 0 ? 1 : (int32_t)w->dim[from];
    a[i] = from < 0 ? 0 : (int32_t)w->a[from];
    if (b) b[i] = from < 0 ? 0 : (int32_t)w->b[from];
  }
}

void qn_dense_strides(const qn_type *t, int64_t *out) {
  int64_t stride = 1;
  for (int i = t->rank - 1; i >= 0; i--) {
    out[i] = stride;
    stride *= t->dim[i];
  }
}
