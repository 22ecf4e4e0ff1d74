/* What tflite.c (the file: tensors, buffers, the graph) and tflite_ops.c (its operators) share. */
#ifndef QN_TFLITE_H
#define QN_TFLITE_H

#include "flatbuffer.h"
#include "frontend.h"

/* A tensor as the file states it. It becomes a value when an operator defines or uses it. */
typedef struct {
  qn_loc loc;
  const char *name;
  int code; /* of its element type */
  int rank; /* dims past QN_MAX_RANK are not kept */
  int32_t dim[QN_MAX_RANK];
  uint32_t buffer;
  bool is_variable, is_sparse, has_custom_quant;
  qn_fb_vector scales, zeros;
  int32_t axis;    /* of scales */
  bool is_const;   /* the file has its elements ... */
  size_t at, size; /* ... here */
  qn_value *value; /* NULL: not defined yet */
} qn_tflite_tensor;

typedef struct {
  qn_module *m;
  qn_func *f;
  qn_fb fb;
  int64_t scale_count; /* of all tensors read so far: at most what the file can hold */
  size_t copied;       /* bytes of constants so far: the same */
  uint32_t tensor_count;
  qn_tflite_tensor *tensors;
  const void **buffers; /* copies, aligned, made when first used */
} qn_tflite;

typedef struct qn_tflite_op qn_tflite_op;

/* An operator of the file. */
typedef struct {
  qn_tflite *r;
  uint32_t index;
  qn_loc loc;
  const char *name;        /* for a custom one, its own */
  const qn_tflite_op *row; /* NULL: not supported */
  qn_fb_table options;
  qn_fb_vector in, out; /* tensors' numbers, checked; -1: left out */
} qn_tflite_node;

/* A row of tflite.def. */
struct qn_tflite_op {
  int code;
  qn_opcode op;
  int least, most, options;
  qn_status (*read)(qn_tflite_node *n);
};

/* -- tflite.c */
const char *qn_tflite_type_name(int code);
/* The operand's value, made when it is a constant; an error when nothing has defined it. */
qn_status qn_tflite_operand(qn_tflite_node *n, int i, qn_value **out) QN_MUST_CHECK;
/* The type that the file states of a tensor: float32, or int8 with a scale; a constant may be int32
 * with a scale. Everything else is an error. Scales per channel, which only constants have, are not
 * filled in: q.scale is the first. */
qn_status qn_tflite_type_of(qn_tflite *r, const qn_tflite_tensor *t, qn_type *out) QN_MUST_CHECK;
/* Reports `operator 3, DIV (float32[4], float32[4] -> float32[4]): ...` at the operator. */
qn_status qn_tflite_error(const qn_tflite_node *n, const char *format, ...) QN_PRINTF(2, 3);
/* `operator 3, DIV (float32[4], float32[4] -> float32[4])` */
const char *qn_tflite_describe(const qn_tflite_node *n);

/* -- tflite_ops.c */
const qn_tflite_op *qn_find_tflite_op(int code); /* NULL: not supported */
const char *qn_tflite_op_name(int code);         /* NULL: not in the table */
/* Appends what the operator computes; defines its result's tensor. */
qn_status qn_read_tflite_op(qn_tflite_node *n) QN_MUST_CHECK;

#endif
