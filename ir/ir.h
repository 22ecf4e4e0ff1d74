/* The compiler's data: read this first.
 *
 * A module holds constants and functions. A function is straight-line SSA: parameters, then ops,
 * each with exactly one result, then a return of one or more values. There are no blocks, no
 * regions and no use lists: a pass that asks the same of every op counts for itself, at its start,
 * in an array by number (qn_number_values), which no edit elsewhere can leave stale.
 *
 * Everything reachable from a module lives in its arena and dies with it; removing an op unlinks
 * it. Functions borrow their arguments; results go last, as `out`. A qn_status other than QN_OK
 * means that exactly one error has been reported; the caller only forwards it (QN_TRY).
 *
 * Folders depend on each other in one direction: runtime <- ir <- {passes, codegen} <- frontend. */
#ifndef QN_IR_H
#define QN_IR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include "../runtime/kernels.h"

/* Limits, checked where text or files become numbers. */
enum {
  QN_MAX_RANK = 6,
  QN_MAX_IN = QN_KERNEL_OPERANDS,
  QN_MAX_PARAM_BYTES = 512,  /* of a kernel's parameter struct */
  QN_MAX_NAME = 256,         /* bytes of a name */
  QN_MAX_OPS = 20000         /* of a function, and constants of a module: edits walk the lists */
};
#define QN_MAX_COUNT ((int64_t)1 << 28) /* elements of one tensor */
#define QN_MAX_FILE ((size_t)1 << 30)   /* bytes of one input file */

typedef enum {
  QN_OK = 0,
  QN_EINPUT = 1, /* the user's file is wrong; reported with its place. Also the exit status */
  QN_EIO = 2,    /* usage or file trouble */
  QN_EBUG = 4    /* the compiler broke its own rule, e.g. the verifier after a pass */
} qn_status;
#define QN_MUST_CHECK __attribute__((warn_unused_result))
#define QN_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define QN_TRY(e)                                                                                  \
  do {                                                                                             \
    qn_status st_ = (e);                                                                           \
    if (st_ != QN_OK) return st_;                                                                  \
  } while (0)

/* ------------------------------------------------------------------ memory and messages */

/* A file that was read. */
typedef struct qn_file {
  const char *path;
  struct qn_file *next;
} qn_file;

typedef struct qn_arena {
  struct qn_chunk *chunks;
  qn_file *files; /* what qn_read_file read into it, in order; standard input left out */
} qn_arena;

/* A file that messages point into. Binary files have places in bytes, not lines. */
typedef struct {
  const char *name;
  const char *text; /* not NUL-terminated; NULL when it is not kept */
  size_t size;
  bool binary;
} qn_source;

typedef struct {
  int32_t line, col; /* from 1, col in characters; line 0: col is a byte offset into a binary file,
                        or -1: no place */
} qn_loc;

/* ------------------------------------------------------------------ types */

typedef enum {
#define QN_ELEM(name, bits, id, doc) QN_##name,
#include "elems.def"
  QN_ELEM_COUNT
} qn_elem;

typedef struct qn_value qn_value;

/* real = scale * (stored - zero). Per channel: scales is an f32 constant with one element per
 * index of dim `axis`, scale is unused, and zero is 0. */
typedef struct {
  bool on;
  float scale;
  int32_t zero;
  qn_value *scales; /* NULL: one scale for all */
  int axis;
} qn_quant;

typedef struct {
  qn_elem elem;
  int rank;
  int64_t dim[QN_MAX_RANK];
  qn_quant q;
} qn_type;

/* ------------------------------------------------------------------ attributes */

typedef struct {
  int32_t count, at[QN_MAX_RANK];
} qn_list;

typedef enum {
#define QN_ACTIVATION(name, doc) QN_ACTIVATION_##name,
#include "words.def"
  QN_ACTIVATION_COUNT
} qn_activation;

typedef enum {
#define QN_PADDING(name, doc) QN_PADDING_##name,
#include "words.def"
  QN_PADDING_COUNT
} qn_padding_mode;

typedef struct {
  qn_padding_mode mode;
  int32_t top, bottom, left, right; /* of mode explicit */
} qn_padding;

#define QN_FIELD_int(name, count) int32_t name;
#define QN_FIELD_ints(name, count) int32_t name[count];
#define QN_FIELD_real(name, count) float name;
#define QN_FIELD_reals(name, count) float name[count];
#define QN_FIELD_flag(name, count) bool name;
#define QN_FIELD_list(name, count) qn_list name;
#define QN_FIELD_padding(name, count) qn_padding name;
#define QN_FIELD_activation(name, count) qn_activation name;
#define QN_FIELD_contract(name, count) qn_contract name;
#define QN_SET(set) typedef struct {
#define QN_ATTR(set, kind, name, count, def, doc) QN_FIELD_##kind(name, count)
#define QN_NEED(set, kind, name, count, doc) QN_FIELD_##kind(name, count)
#define QN_END(set)                                                                                \
  char no_more;                                                                                    \
  }                                                                                                \
  qn_attrs_##set;
#include "attrs.def"

typedef union {
#define QN_SET(set) qn_attrs_##set set;
#include "attrs.def"
} qn_attrs;

typedef enum {
  QN_ATTR_int,
  QN_ATTR_ints,
  QN_ATTR_real,
  QN_ATTR_reals,
  QN_ATTR_flag,
  QN_ATTR_list,
  QN_ATTR_padding,
  QN_ATTR_activation,
  QN_ATTR_contract
} qn_attr_kind;

/* A row of attrs.def. */
typedef struct {
  const char *name, *doc;
  qn_attr_kind kind;
  int count;      /* elements of ints and reals */
  bool needed;    /* has no default */
  size_t offset;  /* in qn_attrs */
  double def[4];
} qn_attr;

/* What a file says of an attribute: numbers, or a word. */
typedef struct {
  int count; /* of num; -1: it is the word */
  bool is_list; /* written in brackets */
  double num[16];
  const char *word;
} qn_attr_text;

/* ------------------------------------------------------------------ ops, functions, modules */

typedef enum {
#define QN_OP(name, operands, sig, attrs, infer, bind, fuse, doc) QN_OP_##name,
#include "ops.def"
  QN_OP_COUNT
} qn_opcode;

typedef struct qn_op qn_op;
typedef struct qn_func qn_func;

/* How the kernel that a target has for an op lets the result overlap operand 0, if that dies there
 * (beyond what qn_bind says of the runtime's kernel). */
typedef enum {
  QN_APART,    /* not at all */
  QN_IN_PLACE, /* both may start at the same byte */
  QN_AHEAD     /* the result may start qn_op.lead bytes in front of the operand, or more */
} qn_overlap;

typedef enum { QN_CONST, QN_PARAM, QN_RESULT } qn_value_kind;

/* Room around a value's pixels in memory (dimensions 1 and 2 of 4), and behind the last. */
typedef struct {
  int32_t top, left, bottom, right; /* pixels */
  int32_t beyond;                   /* bytes that are read, and mean nothing */
} qn_margin;

struct qn_value {
  const char *name; /* without % or @; unique among the module's constants or the function's values */
  qn_value_kind kind;
  qn_type type;
  bool has_range;
  float range[2];   /* observed real values */
  int64_t offset;   /* plan-memory: byte offset in memory; -1: not placed */
  qn_margin margin; /* for plan-memory: what the kernels that write and read it want */
  qn_op *def;       /* of a result */
  const void *data; /* of a constant: dense, little endian; i4 packed */
  qn_loc loc;
  qn_value *next;   /* the next constant or parameter */
};

struct qn_op {
  qn_opcode code;
  qn_loc loc;
  int in_count;
  qn_value *in[QN_MAX_IN]; /* optional operands that are left out are not counted */
  qn_value *out;
  qn_attrs a;
  int64_t scratch;         /* plan-memory: byte offset of the kernel's scratch; -1: none */
  int64_t needs;           /* bytes of scratch of the kernel that a target has for the op, aligned to
                            * QN_SCRATCH_ALIGN; -1: the runtime's kernel, which qn_bind knows */
  qn_overlap overlap;      /* for plan-memory, which puts the result accordingly */
  int64_t lead;            /* of QN_AHEAD, from 0 */
  qn_op *prev, *next;
};

struct qn_func {
  const char *name;
  qn_loc loc;
  qn_value *params;
  int result_count;
  qn_value *results[QN_MAX_IN]; /* what it returns; their types are the function's result types */
  int32_t op_count;
  qn_op *first, *last;
  qn_func *next;
};

typedef struct {
  qn_arena arena;
  qn_source src;
  const char *name; /* the model's; "model" when nothing said */
  const char *hash; /* qn_hash_module of the model as it was read; NULL: not asked for */
  qn_value *consts; /* in order of definition */
  qn_func *funcs;
  struct qn_index *index; /* module.c's, see qn_forget_names */
} qn_module;

/* A row of ops.def. */
typedef struct {
  const char *name, *operands, *sig, *doc;
  const qn_attr *attrs; /* ends with a NULL name */
  bool view;            /* the result is the operand's bytes */
} qn_op_info;
extern const qn_op_info qn_ops[QN_OP_COUNT];

/* -- arena.c: memory that is freed at once. Never returns NULL: out of memory prints one line and
 *    exits with 3, so sizes that come from a file are bounded first. */
void *qn_alloc(qn_arena *a, size_t bytes);                   /* zeroed, 16-byte aligned */
void *qn_grow(void *p, size_t bytes); /* realloc, for what grows outside an arena; new bytes are unset */
char *qn_strndup(qn_arena *a, const char *s, size_t size);
char *qn_format(qn_arena *a, const char *format, ...) QN_PRINTF(2, 3);
void qn_free_arena(qn_arena *a);

/* -- diag.c: messages on standard error, `file:line:col: error: text` and the line with a caret;
 *    of binary files `file: byte N: error: text`; without a place `file: error: text`.
 *    Text: lower case, names in quotes, both values, no full stop. */
extern const qn_loc qn_nowhere;
qn_loc qn_byte(size_t offset); /* a place in a binary file */
qn_status qn_error(const qn_source *src, qn_loc loc, const char *format, ...) QN_PRINTF(3, 4); /* QN_EINPUT */
qn_status qn_io_error(const char *name, const char *format, ...) QN_PRINTF(2, 3);              /* QN_EIO */
qn_status qn_bug(const char *format, ...) QN_PRINTF(1, 2);                                     /* QN_EBUG */
void qn_note(const qn_source *src, qn_loc loc, const char *format, ...) QN_PRINTF(3, 4);
/* The candidate (a NULL-terminated list) nearest to name by edit distance, when near enough to be
 * a slip (at most a third of the letters); else NULL. */
const char *qn_nearest(const char *name, const char *const *candidates);

/* -- file.c: whole files in, whole files out. */
/* Reads up to QN_MAX_FILE bytes into the arena. `-` is standard input. */
qn_status qn_read_file(qn_arena *a, const char *path, qn_source *out) QN_MUST_CHECK;
/* Writes path.tmp.PID and renames it, so that path is either untouched or whole. */
qn_status qn_write_file(const char *path, const void *data, size_t size) QN_MUST_CHECK;

/* -- type.c */
int qn_elem_bits(qn_elem e);
const char *qn_elem_name(qn_elem e);
bool qn_find_elem(const char *name, size_t size, qn_elem *out);
bool qn_elem_is_int(qn_elem e);
int64_t qn_count(const qn_type *t);  /* elements; 1 for rank 0 */
int64_t qn_bytes(const qn_type *t);  /* as stored */
/* Product of dims with every dim in 1..QN_MAX_COUNT and the product at most QN_MAX_COUNT. */
bool qn_checked_count(const int64_t *dim, int rank, int64_t *out);
bool qn_same_shape(const qn_type *a, const qn_type *b);
bool qn_same_quant(const qn_quant *a, const qn_quant *b); /* scales by name or by content */
bool qn_same_type(const qn_type *a, const qn_type *b);
qn_type qn_make_type(qn_elem e, int rank, const int64_t *dim);
float qn_scale_at(const qn_type *t, int64_t channel); /* scale, or scales[channel] */
bool qn_elem_is_float(qn_elem e);                     /* f32, f16, bf16 */
void qn_elem_limits(qn_elem e, int64_t *out_low, int64_t *out_high); /* of integers and bool */
int32_t qn_max_summands(qn_elem e); /* of a mean of i8 or i16: so many have a sum that fits int32 */
/* Element i of dense data as stored (i4 packed, low half first); data is aligned to its elements.
 * Integers and bool; put keeps the low bits of x. */
int64_t qn_int_at(qn_elem e, const void *data, int64_t i);
void qn_put_int(qn_elem e, void *data, int64_t i, int64_t x);
/* f32, f16, bf16; at also reads integers. Rounds to nearest even. */
float qn_float_at(qn_elem e, const void *data, int64_t i);
void qn_put_float(qn_elem e, void *data, int64_t i, float x);
float qn_f16_to_f32(uint16_t bits);
uint16_t qn_f32_to_f16(float x); /* to nearest even; from 65520 on infinite */
float qn_bf16_to_f32(uint16_t bits);
uint16_t qn_f32_to_bf16(float x);

/* -- op.c: the op table. */
bool qn_find_op(const char *name, size_t size, qn_opcode *out);
const char *qn_nearest_op(const char *name); /* a misspelt name's suggestion, or NULL */
int qn_max_operands(qn_opcode code);  /* QN_MAX_IN for variadic */
int qn_min_operands(qn_opcode code);
char qn_sig_letter(qn_opcode code, int operand); /* of the operand; '*' past the end */

/* -- attr.c: the attributes of an op, by their rows. */
const qn_attr *qn_find_attr(qn_opcode code, const char *name, size_t size); /* or NULL */
void qn_default_attrs(qn_opcode code, qn_attrs *out);
/* Sets one attribute; NULL, or what is wrong ("must be 2 integers"), in the arena or static. */
const char *qn_set_attr(qn_arena *a, qn_attrs *attrs, const qn_attr *attr, const qn_attr_text *text);
/* The same the other way: what a file says to set attr to its value in attrs. */
void qn_get_attr(const qn_attrs *attrs, const qn_attr *attr, qn_attr_text *out);
bool qn_is_default_attr(const qn_attrs *attrs, const qn_attr *attr); /* false for needed ones */
const char *qn_nearest_attr(qn_opcode code, const char *name); /* or NULL */
const char *qn_attr_words(qn_attr_kind kind, int index); /* that can be written; NULL past the last */

/* -- module.c: edits of modules and functions. */
qn_module *qn_new_module(void);
void qn_free_module(qn_module *m);
qn_func *qn_find_func(const qn_module *m, const char *name);
qn_func *qn_main_func(const qn_module *m); /* `main`, or the only one; else NULL */
/* A constant at the end of the list; the name is made unique (qn_unique_name). Data is borrowed: in
 * the arena or static, aligned to 16 bytes. */
qn_value *qn_add_const(qn_module *m, const char *name, const qn_type *type, const void *data);
qn_value *qn_add_param(qn_module *m, qn_func *f, const char *name, const qn_type *type);
qn_func *qn_add_func(qn_module *m, const char *name);
/* An op with default attributes, its result named `name` (made unique in f), inserted before
 * `before` (NULL: at the end). The result's type is the caller's to set (qn_infer). */
qn_op *qn_add_op(qn_module *m, qn_func *f, qn_op *before, qn_opcode code, const char *name,
                 qn_value *const *in, int in_count);
void qn_remove_op(qn_func *f, qn_op *op);
/* name, cleaned, with a suffix .1, .2, ... if f (NULL: the module's constants) has it already. It
 * is the caller's: no later call returns it again. */
const char *qn_unique_name(qn_module *m, const qn_func *f, const char *name);
/* Gives v, of f, a name that no other value of f has or no longer has. */
void qn_rename(qn_module *m, const qn_func *f, qn_value *v, const char *name);
/* The functions above remember the names of a module from the first one that they are asked for.
 * Ops may be removed by qn_remove_op meanwhile; who unlinks constants or renames values by hand
 * says so with this. qn_run_passes does before every pass. */
void qn_forget_names(qn_module *m);
/* The name as the text form can write it: at most QN_MAX_NAME bytes of letters, digits, _ and .,
 * others replaced by _; "v" when nothing is left. */
const char *qn_clean_name(qn_arena *a, const char *name);
int qn_count_uses(const qn_func *f, const qn_value *v);  /* operands and returns */
qn_op *qn_only_user(const qn_func *f, const qn_value *v); /* NULL: none, several, or returned; may use it twice */
void qn_replace_uses(qn_func *f, const qn_value *old, qn_value *now);
bool qn_is_returned(const qn_func *f, const qn_value *v);

/* -- parse.c, print.c: the text form; the grammar stands at the top of parse.c.
 *    Printing what was parsed gives canonical text; parsing canonical text and printing is the
 *    identity. Functions parsed are verified. */
qn_status qn_parse(qn_module *m, const qn_source *src) QN_MUST_CHECK; /* src->name also finds side files */
/* Constants above 256 bytes go to `side` (written as file("side_name", offset)) when side is not
 * NULL, or are elided as `...` (not parseable) when elide is set; else they are written inline. */
typedef struct {
  FILE *side;
  const char *side_name;
  bool elide;
} qn_print_options;
void qn_print(FILE *to, const qn_module *m, const qn_print_options *options);
void qn_print_type(FILE *to, const qn_type *t);
const char *qn_type_text(qn_arena *a, const qn_type *t);
/* What an op computes, without names and scales: "qconv2d i8[1,8,8,4], i8[8,1,1,4] stride=[2,2] :
 * i8[1,4,4,8]". Operands that are left out are not there. */
const char *qn_op_shape(qn_arena *a, const qn_op *op);
/* The fewest digits (rounded from x, at most 9) that read back as the same float. inf, -inf, nan. */
void qn_print_float(FILE *to, float x);

/* -- hash.c */
/* SHA-256, as 64 hexadecimal digits in the arena, of what the text form says: functions, types,
 * attributes and the bytes of constants. The model's name and that of its file do not matter. */
const char *qn_hash_module(qn_module *m);

/* -- infer.c, verify.c */
/* Where op keeps the attribute of that name; NULL when its set has none. So code that serves
 * several sets reads "stride" or "clamp" without a switch over them. */
const void *qn_attr_of(const qn_op *op, const char *name);
/* The result type of op from its operands and attributes, into op->out->type: dims always; element
 * and quantization where the signature fixes them (f, i, *, a); for q and n only what the caller
 * set is kept. Reports shape mismatches at op->loc. */
qn_status qn_infer(qn_module *m, qn_op *op) QN_MUST_CHECK;
/* The geometry of a window op, padding resolved: convolutions, depthwise ones (groups is in_c),
 * pools (groups is 1), and dense as a 1x1 window over [1, rows, 1, K]. op has been verified. */
qn_window qn_window_of(const qn_op *op);
/* Every rule that a pass may rely on: signatures, names, types as inferred, scales finite and
 * positive, constants of the right size, definitions before uses, offsets that do not overlap
 * while both live. */
qn_status qn_verify(qn_module *m) QN_MUST_CHECK;

/* -- bind.c: an op as a call of a runtime kernel; what the evaluator runs and codegen emits. */
typedef enum {
#define QN_KERNEL(name, params) QN_KERNEL_##name,
#include "../runtime/kernels.def"
  QN_KERNEL_COUNT
} qn_kernel;

typedef struct {
  qn_kernel kernel;
  int param_bytes;
  _Alignas(16) unsigned char params[QN_MAX_PARAM_BYTES]; /* the kernel's struct; unused bytes 0 */
  int in_count;               /* op->in in order; missing optional ones are NULL */
  const qn_value *in[QN_MAX_IN];
  int64_t scratch_bytes;
  bool in_place[QN_MAX_IN];   /* the result may take this operand's bytes */
} qn_call;

extern const char *const qn_kernel_names[QN_KERNEL_COUNT];
/* op has been verified. */
void qn_bind(const qn_op *op, qn_call *out);

/* -- work.c: what the call takes. */
/* Bytes that the kernel uses between its start and end: scratch_bytes. */
int64_t qn_kernel_scratch(const qn_op *op, const qn_call *c);
int64_t qn_macs(const qn_op *op); /* multiply-accumulates, padding taps counted; 0 for the others */

/* -- eval.c: the reference semantics. */
void qn_eval_op(const qn_op *op, const void *const *in, void *out); /* in: op->in_count pointers */
/* Runs f once. inputs, outputs: dense tensors, one per parameter and result. */
void qn_eval(const qn_func *f, const void *const *inputs, void *const *outputs);
/* The same; see is called after each op with its result and where that is until the next call. */
typedef void (*qn_see_value)(void *of, const qn_value *v, const void *data);
void qn_eval_seen(const qn_func *f, const void *const *inputs, void *const *outputs,
                  qn_see_value see, void *of);

/* -- storage.c: where a value's bytes are when the function runs. */
typedef enum { QN_IN_CONST, QN_IN_INPUT, QN_IN_OUTPUT, QN_IN_MEMORY } qn_place_kind;
typedef struct {
  qn_place_kind kind;
  int index;             /* of the parameter or the result */
  const qn_value *value; /* of a constant; in memory: the value whose offset counts */
  int64_t offset;        /* in memory; -1: not planned yet */
} qn_place;
/* The rules, first match:
 *   1. a constant is in QN_IN_CONST, a parameter in QN_IN_INPUT, returned or not;
 *   2. a returned value is in the output of the first index that returns it;
 *   3. a view (reshape, flatten) is where its operand is;
 *   4. a value with a returned view is where that view is: of those that are reached through views
 *      that are not returned, the one with the lowest output;
 *   5. every other value is in memory, at its own offset. Views have no offset of their own.
 * So: a view whose place equals its operand's needs no code and any other is a copy; a result i
 * that is not placed in output i (a constant, a parameter, or returned twice) is copied at the end. */
qn_place qn_place_of(const qn_func *f, const qn_value *v);
bool qn_same_place(const qn_place *a, const qn_place *b);
/* The bytes that a value takes in memory: qn_bytes of its type, and its margin. */
int64_t qn_room(const qn_value *v);
bool qn_same_rows(const qn_margin *a, const qn_margin *b); /* but for what is beyond */
int64_t qn_memory_bytes(const qn_func *f); /* of a planned function: end of the highest place */
/* The scratch that op needs while it runs, by op->needs or by call, which is op's, bound. */
enum { QN_SCRATCH_ALIGN = 64, QN_RUNTIME_SCRATCH_ALIGN = 16 };
typedef struct {
  int64_t bytes, align;
} qn_scratch;
qn_scratch qn_scratch_of(const qn_op *op, const qn_call *call);
/* The result of op, with bytes from y on, may overlap operand i, with bytes from x on, if that dies
 * there. call is op's, bound. */
bool qn_may_overlap(const qn_op *op, const qn_call *call, int i, int64_t y, int64_t x);
/* Of a function with any offset: every value in memory and every scratch has one that is aligned,
 * and none overlaps what is alive. A part of qn_verify. */
qn_status qn_check_memory(qn_module *m, const qn_func *f) QN_MUST_CHECK;

/* Parameters and results of a function numbered from 0 in order of definition, so that a pass can
 * keep an array beside them. */
typedef struct {
  const qn_value **values; /* by number */
  int32_t count, *slots;
  uint32_t mask;
} qn_numbering;
void qn_number_values(qn_arena *a, const qn_func *f, qn_numbering *out);
int32_t qn_number_of(const qn_numbering *n, const qn_value *v); /* -1: not of this function */
/* qn_place_of of every value, by number, in time linear in the ops. */
const qn_place *qn_find_places(qn_arena *a, const qn_func *f, const qn_numbering *n);

#endif
