/* Least squares by normal equations, for passes that fit weights. */
#ifndef QN_NORMAL_H
#define QN_NORMAL_H

#include "../ir/ir.h"

/* Moments of rows x[columns] and what belongs to them, y[outputs]. After qn_close_normal xx and xy
 * are about the means:  xx[i,k] = mean(x_i x_k) - x[i] x[k],  xy[o,k] = mean(y_o x_k) - y[o] x[k].
 */
typedef struct {
  int32_t columns, outputs;
  int64_t count;
  double *xx, *xy, *x, *y; /* [columns, columns], [outputs, columns], [columns], [outputs] */
  double *pending;         /* rows whose products are not in xx yet */
  int32_t waiting;
} qn_normal;
void qn_open_normal(qn_arena *a, int32_t columns, int32_t outputs, qn_normal *out);
void qn_add_row(qn_normal *s, const float *x, const float *y);
void qn_close_normal(qn_normal *s);

/* Cholesky: a = transposed(r) r, r [n,n] upper; its lower triangle is not touched. False when a is
 * not positive definite. */
bool qn_factor(int32_t n, const double *a, double *r);
/* x, on entry the right side of  transposed(r) r x = b,  becomes the solution. */
void qn_solve(int32_t n, const double *r, double *x);

#endif
