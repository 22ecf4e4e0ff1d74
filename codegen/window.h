/* What emitters of convolutions share whatever the instructions: the window over a padded copy of
 * the input, and the sums that can occur. */
#ifndef QN_WINDOW_H
#define QN_WINDOW_H

#include "build.h"
#include "rescale.h"

/* A window over a copy of the input that has its padding around it, one image. Elements are of any
 * size. A run is a stretch of elements that lie side by side in the copy and in the weights of one
 * output channel: a row of the window or, where columns are dilated, one tap. */
typedef struct {
  qn_window g;                         /* straightened; groups are left to the emitter */
  int32_t rows, row_elems;             /* of the copy */
  int32_t copied_rows, copied_columns; /* of the input */
  int32_t runs_per_row, run_elems;     /* runs in a row of the window; elements of one */
} qn_padded;

/* Makes rows of pixels long: one column becomes one row; windows of one pixel see all pixels of the
 * batch as one row. */
void qn_straighten(qn_window *g);
/* false: the copy would have 2^29 elements or more, or a window that only padding sees. */
bool qn_pad_window(const qn_window *g, qn_padded *out);
/* The copy would be the input as it is. */
bool qn_is_unpadded(const qn_padded *p);
int64_t qn_padded_elems(const qn_padded *p);

/* The lead (qn_op) of a kernel for int8 that computes pixels in their order, reads a pixel's window
 * before it writes it, and repeats at most `again` pixels that it has written. */
int64_t qn_window_lead(const qn_window *g, int32_t again);
/* The same of one that reads all of an image before it writes any of the image's results. */
int64_t qn_image_lead(const qn_window *g);

/* Where rows are that have a margin around their image: bytes from row to row and from image to
 * image of elements of a byte, and from the image's first byte to its first pixel. */
typedef struct {
  int64_t row, image, first;
} qn_pitch;
qn_pitch qn_pitch_of(const qn_margin *m, int32_t height, int32_t width, int32_t channels);

/* One round per image of the batch: its first element in x and in y, whose elements take so many
 * bytes. */
typedef struct {
  qn_loop loop;
  LLVMValueRef x, y;
} qn_images;
qn_images qn_begin_images(qn_build *b, const qn_window *g, int32_t elem_bytes,
                          LLVMValueRef *x_and_y);
/* The same of `count` images that are so many bytes apart. */
qn_images qn_begin_pitched_images(qn_build *b, int32_t count, int64_t x_bytes, int64_t y_bytes,
                                  LLVMValueRef *x_and_y);
void qn_end_images(qn_build *b, qn_images *images);

/* How elements get into the copy. Both may write beyond the end, what the next call overwrites:
 * rows are written in ascending order. */
typedef struct {
  int32_t elem_bytes, x_bytes; /* of an element of the copy, of the input */
  const void *of;
  void (*copy)(qn_build *b, const void *of, LLVMValueRef to, LLVMValueRef from, int64_t elems);
  void (*fill)(qn_build *b, const void *of, LLVMValueRef to, int64_t elems);
} qn_copier;
/* Makes the copy, and returns `to`. */
LLVMValueRef qn_emit_padded_copy(qn_build *b, const qn_padded *p, const qn_copier *how,
                                 LLVMValueRef x, LLVMValueRef to);

/* Sums of bias + w[i * step] * (x - x_zero) over `taps` weights of an int8 channel. */
typedef struct {
  int64_t weights;   /* their sum */
  int64_t low, high; /* for any x in -128..127 */
} qn_sums;
qn_sums qn_bound_sums(const int8_t *w, int32_t taps, int32_t step, int32_t x_zero, int32_t bias);

/* The input is computed when the model runs, all other operands that there are are constants. */
bool qn_has_constant_operands(const qn_unit *u, const qn_call *call);
/* Channel number `channel` of a call with qn_conv_i8_params and constant multipliers; any
 * accumulator can occur. */
qn_rescaling qn_rescaling_of(const qn_unit *u, const qn_call *call, int channel);

/* The same of a call whose operands are all constants. */
typedef struct {
  qn_rescaling r; /* with what can occur in its accumulators */
  int64_t bias;   /* for sums of w * (x + offset); where it leaves int32, sums wrap */
} qn_bounded;
/* w: the channel's first weight of `taps`, each `step` after the one before. offset: what the code
 * adds to the stored values it multiplies; the zero point of x is then the bias's affair. */
qn_bounded qn_bound_channel(const qn_unit *u, const qn_call *call, int channel, const int8_t *w,
                            int32_t taps, int32_t step, int32_t offset);

#endif
