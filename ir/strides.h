/* Dims as kernels walk them, collapsed so that inner loops are long: adjacent dims become one where
 * every stride of the outer equals the inner's stride times its size (both 0 included). */
#ifndef QN_STRIDES_H
#define QN_STRIDES_H

#include "ir.h"

/* Dims with up to two strides each, in elements. */
typedef struct {
  int rank;
  int64_t dim[QN_MAX_RANK], a[QN_MAX_RANK], b[QN_MAX_RANK];
} qn_walk;

/* Adds an inner dim, merged into the one before where the strides allow it. */
void qn_push_dim(qn_walk *w, int64_t dim, int64_t a, int64_t b);
/* To arrays of QN_KERNEL_RANK, right aligned: unused leading dims are 1, their strides 0. b may be
 * NULL. */
void qn_align_walk(const qn_walk *w, int32_t *dim, int32_t *a, int32_t *b);
/* Of a dense tensor: t->rank of them. */
void qn_dense_strides(const qn_type *t, int64_t *out);

#endif
