/* Kernels that only move elements: pad, concat, strided copy, copy. Elements are bits of 1, 2, 4
 * or 8 bytes here, whatever their type. */
#include "fixed.h"
#include "walk.h"

/* They alias every type, as memory that tensors of several types take turns in must. */
typedef uint16_t __attribute__((may_alias)) bits16;
typedef uint32_t __attribute__((may_alias)) bits32;
typedef uint64_t __attribute__((may_alias)) bits64;

QN_INLINE void copy_bytes(uint8_t *to, const uint8_t *from, int32_t count) {
  for (int32_t i = 0; i < count; i++) to[i] = from[i];
}

/* Wider elements than `bits`, of which there are none today, repeat its sign. */
QN_INLINE void fill_elements(uint8_t *to, int32_t count, int32_t elem_bytes, int32_t bits) {
  switch (elem_bytes) {
  case 1:
    for (int32_t i = 0; i < count; i++) to[i] = (uint8_t)bits;
    break;
  case 2:
    for (int32_t i = 0; i < count; i++) ((bits16 *)(void *)to)[i] = (uint16_t)bits;
    break;
  case 4:
    for (int32_t i = 0; i < count; i++) ((bits32 *)(void *)to)[i] = (uint32_t)bits;
    break;
  default:
    for (int32_t i = 0; i < count; i++) ((bits64 *)(void *)to)[i] = (uint64_t)(int64_t)bits;
    break;
  }
}

/* Element i of to = element i * step of from. */
QN_INLINE void copy_elements(uint8_t *to, const uint8_t *from, int32_t count, int32_t elem_bytes,
                             int32_t step) {
  const void *x = from;
  void *y = to;
  switch (elem_bytes) {
  case 1:
    for (int32_t i = 0; i < count; i++) to[i] = from[i * step];
    break;
  case 2:
    for (int32_t i = 0; i < count; i++) ((bits16 *)y)[i] = ((const bits16 *)x)[i * step];
    break;
  case 4:
    for (int32_t i = 0; i < count; i++) ((bits32 *)y)[i] = ((const bits32 *)x)[i * step];
    break;
  default:
    for (int32_t i = 0; i < count; i++) ((bits64 *)y)[i] = ((const bits64 *)x)[i * step];
    break;
  }
}

/* The row of the input that row `row` of the result holds, or -1 when that is all fill. */
QN_INLINE int32_t padded_row(const qn_pad_params *p, int32_t row) {
  int32_t from = 0, rows = 1, inside = 1;
  for (int32_t d = QN_KERNEL_RANK - 2; d >= 0; d--) {
    int32_t i = row % p->out_dim[d] - p->before[d];
    inside &= i >= 0 && i < p->in_dim[d];
    from += i * rows;
    rows *= p->in_dim[d];
    row /= p->out_dim[d];
  }
  return inside ? from : -1;
}

/* out = fill everywhere, then in copied to out[before ...]. */
void qn_kernel_pad(const qn_pad_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  int32_t bytes = p->elem_bytes, before = p->before[QN_KERNEL_RANK - 1];
  int32_t in_width = p->in_dim[QN_KERNEL_RANK - 1], width = p->out_dim[QN_KERNEL_RANK - 1];
  int32_t rows = qn_row_count(p->out_dim);
  for (int32_t row = 0; row < rows; row++) {
    uint8_t *y = (uint8_t *)out + row * width * bytes;
    int32_t from = padded_row(p, row);
    if (from < 0) {
      fill_elements(y, width, bytes, p->fill);
    } else {
      const uint8_t *x = (const uint8_t *)in[0] + from * in_width * bytes;
      int32_t end = before + in_width;
      fill_elements(y, before, bytes, p->fill);
      copy_bytes(y + before * bytes, x, in_width * bytes);
      fill_elements(y + end * bytes, width - end, bytes, p->fill);
    }
  }
}

/* out[o, :] = in[0][o, :] ++ in[1][o, :] ++ ...: rows of bytes. */
void qn_kernel_concat(const qn_concat_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  int32_t out_bytes = 0;
  for (int32_t i = 0; i < p->count; i++) out_bytes += p->row_bytes[i];
  uint8_t *y = out;
  for (int32_t i = 0; i < p->count; i++) {
    const uint8_t *x = in[i];
    for (int32_t o = 0; o < p->outer; o++)
      copy_bytes(y + o * out_bytes, x + o * p->row_bytes[i], p->row_bytes[i]);
    y += p->row_bytes[i];
  }
}

/* out, dense in dim[], = in[offset + sum of index * stride]: slice, transpose. */
void qn_kernel_strided_copy(const qn_strided_copy_params *p, const void *const *in, void *out,
                            void *scratch) {
  (void)scratch;
  int32_t bytes = p->elem_bytes, columns = p->dim[QN_KERNEL_RANK - 1];
  int32_t rows = qn_row_count(p->dim);
  for (int32_t row = 0; row < rows; row++) {
    int32_t from = p->offset + qn_row_offset(p->dim, p->stride, row);
    copy_elements((uint8_t *)out + row * columns * bytes, (const uint8_t *)in[0] + from * bytes,
                  columns, bytes, p->stride[QN_KERNEL_RANK - 1]);
  }
}

/* out = in[0]; they may be the same bytes. */
void qn_kernel_copy(const qn_copy_params *p, const void *const *in, void *out, void *scratch) {
  (void)scratch;
  copy_bytes(out, in[0], p->bytes);
}
