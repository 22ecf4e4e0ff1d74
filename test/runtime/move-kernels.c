/* pad, concat, strided copy and copy of elements of 1, 2, 4 and 8 bytes against direct definitions
 * over random shapes. */
#include "kernels.h"
#include "check.h"

static const int32_t sizes[] = {1, 2, 4, 8};

typedef struct {
  int32_t at[QN_KERNEL_RANK];
} place;

/* The place of element i of a dense tensor. */
static place place_of(const int32_t *dim, int32_t i) {
  place p;
  for (int d = QN_KERNEL_RANK - 1; d >= 0; d--) {
    p.at[d] = i % dim[d];
    i /= dim[d];
  }
  return p;
}

static int32_t count_of(const int32_t *dim) {
  int32_t count = 1;
  for (int d = 0; d < QN_KERNEL_RANK; d++) count *= dim[d];
  return count;
}

static void same(const char *what, const int8_t *got, const int8_t *want, int32_t bytes) {
  for (int32_t i = 0; i < bytes; i++) expect(what, i, got[i], want[i]);
}

static void check_pad(void) {
  qn_pad_params p = {.elem_bytes = sizes[pick(0, 3)], .fill = pick(INT32_MIN, INT32_MAX)};
  for (int d = 0; d < QN_KERNEL_RANK; d++) {
    p.in_dim[d] = pick(1, 3);
    p.before[d] = pick(0, 2);
    p.out_dim[d] = p.before[d] + p.in_dim[d] + pick(0, 1);
  }
  int32_t bytes = p.elem_bytes, in_count = count_of(p.in_dim), out_count = count_of(p.out_dim);
  int64_t fill = p.fill;
  int8_t *x = bytes_of((size_t)(in_count * bytes)), *y = buffer((size_t)(out_count * bytes));
  int8_t *want = buffer((size_t)(out_count * bytes));
  for (int32_t i = 0; i < out_count; i++) memcpy(want + i * bytes, &fill, (size_t)bytes);
  for (int32_t i = 0; i < in_count; i++) {
    place from = place_of(p.in_dim, i);
    int32_t to = 0;
    for (int d = 0; d < QN_KERNEL_RANK; d++) to = to * p.out_dim[d] + from.at[d] + p.before[d];
    memcpy(want + to * bytes, x + i * bytes, (size_t)bytes);
  }
  const void *in[] = {x};
  qn_kernel_pad(&p, in, y, NULL);
  same("pad", y, want, out_count * bytes);
  free(x), free(y), free(want);
}

static void check_concat(void) {
  qn_concat_params p = {.count = pick(1, QN_KERNEL_OPERANDS), .outer = pick(1, 4)};
  const void *in[QN_KERNEL_OPERANDS];
  int32_t row = 0, at = 0;
  for (int i = 0; i < p.count; i++) {
    p.row_bytes[i] = pick(1, 20);
    row += p.row_bytes[i];
    in[i] = bytes_of((size_t)(p.row_bytes[i] * p.outer));
  }
  int8_t *y = buffer((size_t)(row * p.outer)), *want = buffer((size_t)(row * p.outer));
  for (int o = 0; o < p.outer; o++)
    for (int i = 0; i < p.count; at += p.row_bytes[i], i++)
      memcpy(want + at, (const int8_t *)in[i] + o * p.row_bytes[i], (size_t)p.row_bytes[i]);
  qn_kernel_concat(&p, in, y, NULL);
  same("concat", y, want, row * p.outer);
}

/* A transposed, stepped and offset view of a dense tensor of 4*5*3 elements. */
static void check_strided_copy(void) {
  static const int32_t stride[] = {15, 3, 1, 0}, size[] = {4, 5, 3, 2};
  qn_strided_copy_params p = {.elem_bytes = sizes[pick(0, 3)]};
  for (int d = 0; d < QN_KERNEL_RANK; d++) p.dim[d] = 1;
  int first = pick(0, 3);
  for (int i = 0; i < 4; i++) {
    int source = (first + i) % 4, d = i + 2, step = pick(1, 2);
    int begin = source == 3 ? 0 : pick(0, size[source] - 1);
    p.offset += begin * stride[source];
    p.dim[d] = pick(1, (size[source] - 1 - begin) / step + 1);
    p.stride[d] = step * stride[source];
    if (pick(0, 3) == 0) { /* backwards */
      p.offset += (p.dim[d] - 1) * p.stride[d];
      p.stride[d] = -p.stride[d];
    }
  }
  int32_t bytes = p.elem_bytes, count = count_of(p.dim);
  int8_t *x = bytes_of((size_t)(60 * bytes)), *y = buffer((size_t)(count * bytes));
  int8_t *want = buffer((size_t)(count * bytes));
  for (int32_t i = 0; i < count; i++) {
    place to = place_of(p.dim, i);
    int32_t from = p.offset;
    for (int d = 0; d < QN_KERNEL_RANK; d++) from += to.at[d] * p.stride[d];
    memcpy(want + i * bytes, x + from * bytes, (size_t)bytes);
  }
  const void *in[] = {x};
  qn_kernel_strided_copy(&p, in, y, NULL);
  same("strided_copy", y, want, count * bytes);
  free(x), free(y), free(want);
}

static void check_copy(void) {
  qn_copy_params p = {pick(1, 50)};
  int8_t *x = bytes_of((size_t)p.bytes), *y = buffer((size_t)p.bytes);
  const void *in[] = {x};
  qn_kernel_copy(&p, in, y, NULL);
  same("copy", y, x, p.bytes);
  qn_kernel_copy(&p, in, x, NULL);
  same("copy onto itself", x, y, p.bytes);
  free(x), free(y);
}

int main(void) {
  for (int i = 0; i < 300; i++) {
    check_pad();
    check_concat();
    check_strided_copy();
    check_copy();
  }
  return finish("moves");
}
