/* The reference kernels' parameters: one struct per family, int32 and float fields only, so that
 * its bytes are the same on the compiling machine and on every (little-endian) target.
 *
 * Tensors are dense, row major, NHWC. int8 tensors hold  real = scale * (stored - zero); so do int16
 * ones, whose zero is 0: kernels _i8 and _i16 differ in that alone and take the same parameters.
 * Which operands a kernel takes stands in kernels.def; what is computed, above each kernel. */
#ifndef QN_KERNELS_H
#define QN_KERNELS_H

#include <stdint.h>

/* How an int32 accumulator becomes an output: the numeric contracts, defined in fixed.h. */
typedef enum {
#define QN_CONTRACT(name, doc) QN_CONTRACT_##name,
#include "contracts.def"
  QN_CONTRACT_COUNT
} qn_contract;

enum { QN_KERNEL_RANK = 6, QN_KERNEL_OPERANDS = 16 };

/* A window that slides over rows and columns. Taps outside the input read real 0.
 * Output (oy, ox) reads input rows oy*stride_h - top + ky*dilation_h, ky < kernel_h; columns alike. */
typedef struct {
  int32_t batch, in_h, in_w, in_c, out_h, out_w, out_c;
  int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w, top, left;
  int32_t groups; /* convolution only: in_c and out_c are multiples of it */
} qn_window;

typedef struct {
  qn_window g;
  float low, high; /* clamp; -inf, inf when there is none */
} qn_conv_f32_params;

typedef struct {
  qn_window g;
  int32_t x_zero, y_zero, low, high; /* the clamp is of stored values */
  int32_t contract;
  int32_t per_channel; /* 0: mul and shr have one element, 1: out_c elements */
  int32_t long_sums;   /* _i16: bias and sums are int64, not int32 */
  /* Channels of a pixel of the result. g.out_c of them are computed, those of which weights, bias,
   * scales and `out` are the first one's; with fewer than all, g.groups is 1. Depthwise: each input
   * channel has y_c / in_c of them, and x is that of the first one computed. */
  int32_t y_c;
} qn_conv_i8_params;

/* Of a real tensor that is quantized as it is read, with weights of int8. */
typedef struct {
  qn_window g;
  float low, high;
  int32_t per_channel; /* in[3] are the weights' scales by channel; else w_scale counts */
  float w_scale;
} qn_conv_dynamic_params;

/* y[b,m,n] = sum over k of a[b,m,k] * b[b,k,n]. A batch stride of 0 repeats one matrix. */
typedef struct {
  int32_t batch, m, n, k, a_batch_stride, b_batch_stride, transpose_b;
} qn_matmul_f32_params;

typedef struct {
  int32_t batch, m, n, k, a_batch_stride, b_batch_stride, transpose_b;
  int32_t a_zero, b_zero, y_zero, low, high, contract;
  int32_t mul, shr; /* of contract float, mul holds the float's bits */
} qn_matmul_i8_params;

/* Two operands walked together; a stride of 0 repeats an element. Dims are collapsed and right
 * aligned: unused leading dims are 1. The output is dense. */
typedef struct {
  int32_t dim[QN_KERNEL_RANK], a_stride[QN_KERNEL_RANK], b_stride[QN_KERNEL_RANK];
} qn_broadcast;

typedef enum { QN_ADD, QN_SUB, QN_MUL } qn_binary;

typedef struct {
  qn_broadcast walk;
  int32_t op; /* qn_binary */
  float low, high;
} qn_binary_f32_params;

/* add, sub: y = requant(out, requant(a, (a - a_zero) << left_shift) +- requant(b, ...)) + y_zero.
 * Index 0 is a's, 1 is b's, 2 is the result's. Contract float reads scale instead. */
typedef struct {
  qn_broadcast walk;
  int32_t op; /* QN_ADD or QN_SUB */
  int32_t a_zero, b_zero, y_zero, low, high, contract, left_shift;
  int32_t mul[3], shr[3];
  float scale[2]; /* a.scale / y.scale, b.scale / y.scale */
} qn_add_i8_params;

typedef struct {
  qn_broadcast walk;
  int32_t a_zero, b_zero, y_zero, low, high, contract;
  int32_t mul, shr; /* of contract float, mul holds the float's bits */
} qn_mul_i8_params;

typedef struct {
  qn_window g; /* in_c == out_c; average: taps outside are not counted */
  float low, high;
} qn_pool_f32_params;

typedef struct {
  qn_window g;
  int32_t low, high;
} qn_pool_i8_params;

/* Sums over the reduced dims; the kept ones are the dense output's. Both lists are right aligned,
 * unused leading dims are 1. Strides are in elements of the input. */
typedef struct {
  int32_t keep_dim[QN_KERNEL_RANK], keep_stride[QN_KERNEL_RANK];
  int32_t sum_dim[QN_KERNEL_RANK], sum_stride[QN_KERNEL_RANK];
} qn_reduction;

typedef struct {
  qn_reduction r;
} qn_mean_f32_params;

typedef struct {
  qn_reduction r;
  int32_t x_zero, y_zero, low, high, contract;
  int32_t mul, shr; /* the division by the count is folded in; float: mul holds the float's bits */
} qn_mean_i8_params;

/* out = fill everywhere, then in copied to out[before ...]. */
typedef struct {
  int32_t elem_bytes;
  int32_t in_dim[QN_KERNEL_RANK], before[QN_KERNEL_RANK], out_dim[QN_KERNEL_RANK];
  int32_t fill; /* the element's bits, little endian */
} qn_pad_params;

/* out[o, :] = in[0][o, :] ++ in[1][o, :] ++ ...: rows of bytes. */
typedef struct {
  int32_t count, outer, row_bytes[QN_KERNEL_OPERANDS];
} qn_concat_params;

/* out, dense in dim[], = in[offset + sum of index*stride]; offset and strides in elements. */
typedef struct {
  int32_t elem_bytes, offset, dim[QN_KERNEL_RANK], stride[QN_KERNEL_RANK];
} qn_strided_copy_params;

typedef struct {
  int32_t bytes;
} qn_copy_params;

typedef struct {
  int32_t rows, columns;
  float beta;
} qn_softmax_f32_params;

/* TFLite's fixed-point softmax: mul and left_shift scale a difference of stored values to Q5.26,
 * diff_min is the smallest difference that still counts. Output: scale 1/256, zero -128; of int16
 * 1/32768, 0. */
enum { QN_SOFTMAX_TABLE = 256 };
typedef struct {
  int32_t rows, columns, mul, left_shift, diff_min;
  int32_t tabulate; /* of int8: compute QN_SOFTMAX_TABLE exponentials first, into scratch */
} qn_softmax_i8_params;

typedef enum {
  QN_LOGISTIC,
  QN_TANH,
  QN_CLIP, /* also relu: [0, inf], relu6: [0, 6] */
  QN_LEAKY_RELU,
  QN_HARD_SWISH
} qn_unary;

typedef struct {
  int32_t op, count; /* qn_unary */
  float low, high, alpha;
} qn_unary_f32_params;

typedef struct {
  int32_t count;
} qn_lookup_i8_params;

typedef struct {
  int32_t count;
} qn_flip_sign_params;

typedef struct {
  int32_t rows, channels;
  float epsilon;
} qn_batch_norm_f32_params;

/* outer x channels x inner elements; per_channel: scales has `channels` elements, else scale counts.
 * elem_bytes and is_signed describe the stored integer. */
typedef struct {
  int32_t outer, channels, inner, per_channel, elem_bytes, is_signed, zero;
  float scale;
} qn_quantize_params;
typedef qn_quantize_params qn_dequantize_params;

typedef struct {
  int32_t count, x_zero, y_zero, low, high, contract, mul, shr; /* float: mul holds the bits */
} qn_requantize_i8_params;

#define QN_KERNEL(name, params)                                                                    \
  void qn_kernel_##name(const qn_##params##_params *p, const void *const *in, void *out,           \
                        void *scratch);
#include "kernels.def"

#endif
