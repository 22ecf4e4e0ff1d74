/* Windows of a convolution that reach beyond the input's border: what tuned kernels call. */
#ifndef QN_BORDER_H
#define QN_BORDER_H

#include <stdint.h>

/* Of an int8 convolution; fields are words, so that code generators can store them. A window is
 * `rows` rows of `row_bytes` bytes, which lie dilation*in_row_bytes apart in the input. */
typedef struct {
  int32_t in_h, in_w, in_c;
  int32_t rows, dilation, row_bytes;
  int32_t zero; /* what is beyond the border */
} qn_border;

/* The window whose first byte is that of row iy, column ix of the image, both maybe outside: its
 * address in the image where all of it is inside, else `copy`, filled with it, rows one after the
 * other. */
const int8_t *qn_find_window(const qn_border *b, const int8_t *image, int32_t iy, int32_t ix,
                             int8_t *copy);

#endif
