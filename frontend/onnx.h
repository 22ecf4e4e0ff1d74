/* What the ONNX reader's files share: onnx.c (the file: opsets, names, the graph), onnx_values.c
 * (tensors as constants and values, their order of dims), onnx_attrs.c (nodes' attributes and
 * messages) and the operators: onnx_windows.c, onnx_arithmetic.c, onnx_moves.c, onnx_blocks.c,
 * onnx_shapes.c, onnx_quant.c.
 *
 * ONNX has channels in dim 1, the IR in the last one. A tensor's `dim` is ONNX's; its values may be
 * in either order, or both: an operator asks for the order that it needs (qn_onnx_take), and only
 * then is one made of the other. Operators that do not care take what is there (qn_onnx_form_of).
 * So a network of convolutions is transposed where it begins and where it ends, or not even there.
 */
#ifndef QN_ONNX_H
#define QN_ONNX_H

#include "frontend.h"
#include "protobuf.h"

/* TensorProto.DataType */
enum {
  QN_ONNX_FLOAT = 1,
  QN_ONNX_UINT8 = 2,
  QN_ONNX_INT8 = 3,
  QN_ONNX_INT32 = 6,
  QN_ONNX_INT64 = 7,
  QN_ONNX_BOOL = 9
};

typedef enum {
  QN_ONNX_PLAIN, /* dims as ONNX has them */
  QN_ONNX_LAST,  /* dim 1 moved to the end. Of rank 2, where `channels` is set: columns of C blocks
                    of n as n blocks of C. Other ranks below 3: the same as plain */
  QN_ONNX_FORMS
} qn_onnx_form;

/* A name of the graph. It gets its type when an initializer, an input or a node defines it. */
typedef struct {
  const char *name;
  qn_pb_bytes text; /* the name in the file */
  qn_loc loc;
  uint32_t uses; /* as operands of nodes */
  bool is_output, is_defined;
  bool owns; /* its value was made for it and is nobody else's */
  int code;  /* element type; of a dequantized tensor, float32 */
  int rank;  /* of a constant that no node has used yet, at most QN_MAX_RANK + 1 */
  int64_t dim[QN_MAX_RANK];

  qn_pb_bytes proto;     /* a constant's TensorProto until it is decoded; size 0: none */
  const void *data;      /* a constant, decoded: `stored` elements in the machine's form */
  const char *data_name; /* of who brought the data; NULL: name */
  int stored;            /* the element type of data: float32, uint8, int8, int32 or int64 */
  int scale_count;       /* 0: data are the elements; else real = scales[c] * (stored - zeros[c]) */
  const float *scales;
  const int32_t *zeros;
  int axis; /* of scales */

  struct qn_onnx_made *made;   /* constants of the module that were made of it */
  int64_t channels;            /* see QN_ONNX_LAST; 0: not known */
  qn_value *as[QN_ONNX_FORMS]; /* NULL: not made yet. A value with a scale stands for its reals */
} qn_onnx_tensor;

typedef struct {
  qn_module *m;
  qn_func *f;
  qn_pb pb;
  qn_pb_bytes graph;
  int64_t opset;
  size_t copied; /* bytes of constants: bounded, since a file can use one of its own many times */
  uint32_t tensor_count, slot_mask;
  qn_onnx_tensor *tensors;
  uint32_t *slots; /* number of a tensor + 1, by its name */
} qn_onnx;

typedef struct qn_onnx_op qn_onnx_op;

/* A node of the graph. Operands and results that are left out are NULL. */
typedef struct {
  qn_onnx *r;
  uint32_t index;
  qn_loc loc;
  const char *name, *type; /* its own, or "", and its operator's */
  const qn_onnx_op *row;   /* NULL: not supported */
  qn_pb_bytes message, domain;
  int in_count, out_count;
  qn_onnx_tensor *in[QN_MAX_IN], *out[QN_MAX_IN];
} qn_onnx_node;

/* A row of onnx.def. */
struct qn_onnx_op {
  const char *domain, *name;
  qn_opcode op;
  bool takes_stored; /* uint8 and int8 values, too */
  int least, most, results;
  const char *attrs;
  qn_status (*read)(qn_onnx_node *n);
};

/* -- onnx.c */
/* The row of that operator of ONNX's own set; NULL: there is none. */
const qn_onnx_op *qn_onnx_find_op(const char *name);
/* Text of the file as a name that messages and the IR can show. */
const char *qn_onnx_text_of(qn_onnx *r, qn_pb_bytes text);
const char *qn_onnx_type_name(int code);

/* -- onnx_attrs.c: messages, and a node's attributes by name. An attribute that is left out leaves
 *    *out as it is. */
/* Reports `node 3 'div', Div (float32[1,4], float32[4] -> y): ...` at the node. */
qn_status qn_onnx_error(const qn_onnx_node *n, const char *format, ...) QN_PRINTF(2, 3);
const char *qn_onnx_describe(const qn_onnx_node *n);
const char *qn_onnx_tensor_text(qn_arena *a, const qn_onnx_tensor *t); /* float32[1,4] */
/* An error for each attribute that the row does not name. */
qn_status qn_onnx_check_attrs(qn_onnx_node *n) QN_MUST_CHECK;
bool qn_onnx_has_attr(qn_onnx_node *n, const char *name);
qn_status qn_onnx_int(qn_onnx_node *n, const char *name, int64_t *out) QN_MUST_CHECK;
qn_status qn_onnx_float(qn_onnx_node *n, const char *name, float *out) QN_MUST_CHECK;
/* Up to `most` numbers, each within int32. */
qn_status qn_onnx_ints(qn_onnx_node *n, const char *name, int most, int32_t *out,
                       int *count) QN_MUST_CHECK;
/* The text's bytes in the file; size 0 when it is left out. */
qn_status qn_onnx_text(qn_onnx_node *n, const char *name, qn_pb_bytes *out) QN_MUST_CHECK;
/* The attribute's message; false when it is left out. */
bool qn_onnx_find_attr(qn_onnx_node *n, const char *name, qn_pb_bytes *out);
/* axis as 0..rank-1 */
qn_status qn_onnx_axis(const qn_onnx_node *n, int64_t axis, int rank, int *out) QN_MUST_CHECK;
/* Marks the axes of a tensor of that rank, each 0..rank-1, that attribute "axes" or, in later
 * versions, operand 1 names; *count: how many. An error: one that stands twice or is outside. */
qn_status qn_onnx_axes(qn_onnx_node *n, int rank, bool named[QN_MAX_RANK],
                       int *count) QN_MUST_CHECK;

/* -- onnx_values.c */
/* Operand i, which must be there and defined; a constant is decoded. */
qn_status qn_onnx_operand(qn_onnx_node *n, int i, qn_onnx_tensor **out) QN_MUST_CHECK;
bool qn_onnx_is_given(const qn_onnx_node *n, int i);
/* The order in which an operator that does not care finds t. */
qn_onnx_form qn_onnx_form_of(const qn_onnx_tensor *t);
/* t in that order: made, or converted, when it is not there yet. */
qn_status qn_onnx_take(qn_onnx_node *n, qn_onnx_tensor *t, qn_onnx_form form,
                       qn_value **out) QN_MUST_CHECK;
/* The same for an operand of lower rank: dims of 1 come in front first. */
qn_status qn_onnx_take_rank(qn_onnx_node *n, qn_onnx_tensor *t, qn_onnx_form form, int rank,
                            qn_value **out) QN_MUST_CHECK;
/* Result dim i of the conversion to that order is operand dim perm[i]. */
void qn_onnx_fill_perm(qn_onnx_form to, int rank, int32_t *perm);
/* Where dim `axis` of a tensor of that rank is in that order. */
int qn_onnx_axis_in(qn_onnx_form form, int rank, int axis);

/* A constant as a view of other dims, then with these in another order: result dim i is dim
 * perm[i]. axis: which of dim has the scales, if there are several. */
typedef struct {
  int rank, axis;
  int64_t dim[QN_MAX_RANK];
  int32_t perm[QN_MAX_RANK];
} qn_onnx_view;
qn_status qn_onnx_add_const(qn_onnx_node *n, qn_onnx_tensor *t, const qn_onnx_view *view,
                            qn_value **out) QN_MUST_CHECK;
/* The constant with its dims in another order, for a node's result or operand to be. */
qn_status qn_onnx_turn_const(qn_onnx_node *n, const qn_onnx_tensor *t, const int32_t *perm,
                             qn_onnx_tensor *out) QN_MUST_CHECK;
/* The same dims in the same order. */
qn_onnx_view qn_onnx_plain_view(const qn_onnx_tensor *t);
int64_t qn_onnx_count(const qn_onnx_tensor *t);
bool qn_onnx_is_const(const qn_onnx_tensor *t);
/* To be called before t's elements are copied, in whatever form: copies may together be a fixed
 * multiple of the file. */
qn_status qn_onnx_reserve(qn_onnx *r, const qn_onnx_tensor *t, int64_t bytes) QN_MUST_CHECK;
/* A constant's real values. */
qn_status qn_onnx_floats(qn_onnx_node *n, const qn_onnx_tensor *t, const float **out) QN_MUST_CHECK;
/* Operand i, a constant of up to `most` int32 or int64, each brought into int32. */
qn_status qn_onnx_numbers(qn_onnx_node *n, int i, int most, int32_t *out, int *count) QN_MUST_CHECK;
/* Operand i, a constant of one real number. */
qn_status qn_onnx_number(qn_onnx_node *n, int i, float *out) QN_MUST_CHECK;
/* A new float constant of one dim; the caller reserves more than a number. */
qn_value *qn_onnx_add_floats(qn_onnx_node *n, const char *suffix, const float *at, int64_t count);
/* A copy of a record is to be another constant: it has no values yet. */
void qn_onnx_forget_values(qn_onnx_tensor *t);
/* A constant's type and dims, not judged yet; rank is QN_MAX_RANK + 1 where there are more. */
void qn_onnx_read_shape(qn_onnx *r, qn_onnx_tensor *t);
qn_status qn_onnx_decode(qn_onnx *r, qn_onnx_tensor *t) QN_MUST_CHECK;

/* Layers. l->name is set by qn_onnx_layer: result 0's. */
qn_layer qn_onnx_layer(const qn_onnx_node *n, qn_opcode code);
qn_status qn_onnx_add(qn_onnx_node *n, const qn_layer *l, qn_value **out) QN_MUST_CHECK;
/* A layer in front of the last one, named with a suffix. */
qn_status qn_onnx_add_before(qn_onnx_node *n, qn_layer *l, const char *suffix,
                             qn_value **out) QN_MUST_CHECK;
/* The last layer: its result is the node's result i, in that order. */
qn_status qn_onnx_add_result(qn_onnx_node *n, qn_layer *l, int i, qn_onnx_form form) QN_MUST_CHECK;
/* v is the node's result i. */
qn_status qn_onnx_define(qn_onnx_node *n, int i, qn_value *v, qn_onnx_form form) QN_MUST_CHECK;
/* The node's result is t, under another name. */
qn_status qn_onnx_define_alias(qn_onnx_node *n, const qn_onnx_tensor *t) QN_MUST_CHECK;
/* v with other dims, or in another order; v itself when nothing changes. */
qn_status qn_onnx_reshape(qn_onnx_node *n, const char *name, int rank, const int64_t *dim,
                          qn_value **v) QN_MUST_CHECK;
qn_status qn_onnx_transpose(qn_onnx_node *n, const char *name, const int32_t *perm,
                            qn_value **v) QN_MUST_CHECK;

/* -- onnx_moves.c */
/* The node's result is x with other dims. */
qn_status qn_onnx_reshape_to(qn_onnx_node *n, qn_onnx_tensor *x, int rank,
                             const int64_t *dim) QN_MUST_CHECK;

/* -- onnx_shapes.c */
/* A node all of whose operands are constant integers, such as those that compute with shapes, is
 * computed here; done: it was. */
qn_status qn_onnx_fold_ints(qn_onnx_node *n, bool *done) QN_MUST_CHECK;

/* -- onnx_quant.c */
/* What a node says of how a tensor is stored: real = scales[c] * (stored - zeros[c]). */
typedef struct {
  int code; /* element type */
  int count, axis;
  const float *scales;
  const int32_t *zeros;
} qn_onnx_quant;
/* Operands i, the scales, and i + 1, the zero points; these left out: 0 of type `code`. */
qn_status qn_onnx_read_quant(qn_onnx_node *n, int i, int code, qn_onnx_quant *out) QN_MUST_CHECK;
/* Of one scale: how the IR stores it, uint8 as int8. */
qn_quant qn_onnx_one_quant(const qn_onnx_quant *q);

/* -- the operators' files */
#define QN_ONNX_OP(domain, name, op, takes, read, least, most, results, attrs)                     \
  qn_status qn_onnx_read_##read(qn_onnx_node *n) QN_MUST_CHECK;
#include "onnx.def"

#endif
