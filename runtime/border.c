/* A window at the border of an image -> a copy of it with the padding around. */
#include "border.h"
#include "fixed.h"

/* Four bytes at any address. */
typedef uint32_t __attribute__((may_alias, aligned(1))) word;

QN_INLINE void fill_bytes(int8_t *to, int32_t value, int32_t count) {
  int32_t k = 0;
  for (; k + 4 <= count; k += 4) *(word *)(void *)(to + k) = (uint32_t)(value & 255) * 0x01010101u;
  for (; k < count; k++) to[k] = (int8_t)value;
}

QN_INLINE void copy_bytes(int8_t *to, const int8_t *from, int32_t count) {
  int32_t k = 0;
  for (; k + 4 <= count; k += 4)
    *(word *)(void *)(to + k) = *(const word *)(const void *)(from + k);
  for (; k < count; k++) to[k] = from[k];
}

const int8_t *qn_find_window(const qn_border *b, const int8_t *image, int32_t iy, int32_t ix,
                             int8_t *copy) {
  int32_t first = ix * b->in_c, in_row = b->in_w * b->in_c, last = first + b->row_bytes;
  int32_t bottom = iy + (b->rows - 1) * b->dilation;
  if (iy >= 0 && bottom < b->in_h && first >= 0 && last <= in_row)
    return image + iy * in_row + first;
  int32_t from = qn_max(first, 0), count = qn_min(last, in_row) - from;
  fill_bytes(copy, b->zero, b->rows * b->row_bytes);
  for (int32_t row = 0; row < b->rows; row++) {
    int32_t y = iy + row * b->dilation;
    if (y >= 0 && y < b->in_h)
      copy_bytes(copy + row * b->row_bytes + from - first, image + y * in_row + from, count);
  }
  return copy;
}
