/* The channels of an int8 network, one by one: which stored values each can hold and which of them
 * the function's results depend on. What eliminate-constants decides by.
 *
 * The channels of an int8 value with one scale are the indices of its last dim. Any other value
 * counts as one channel of which nothing is known. A slot is a channel of a value of the function;
 * slots of one value follow each other. */
#ifndef QN_CHANNELS_H
#define QN_CHANNELS_H

#include "../ir/ir.h"

/* Stored values, low <= high; low == high: always that one. */
typedef struct {
  int32_t low, high;
} qn_bounds;

/* -- channels.c: how an op's result channels come from its operands'. */
typedef enum {
  QN_CHANNELS_MIXED,   /* in no known way: all of them, or none */
  QN_CHANNELS_LINKED,  /* the same ones of qn_linked_operands(op) operands, by qn_link_of */
  QN_CHANNELS_WEIGHTED /* sums of operand 0's channels with constant weights: qn_weighted_of */
} qn_channel_kind;

/* Channel (x + u) mod x's channels of an operand is channel (y + u) mod y's channels of the result,
 * for u < count. spread: the operand's only channel takes part in every channel of the result. */
typedef struct {
  int32_t x, y, count;
  bool spread;
} qn_link;

int32_t qn_channel_count(const qn_value *v);
qn_channel_kind qn_channel_kind_of(const qn_op *op);
int qn_linked_operands(const qn_op *op); /* of a linked op; constants are among them */
qn_link qn_link_of(const qn_op *op, int operand);
/* The last dim is the one that concat joins, slice cuts or pad lengthens. */
bool qn_changes_last_dim(const qn_op *op);
/* An add, subtraction or multiplication: its operands may be broadcast. */
bool qn_is_elementwise_pair(const qn_op *op);

/* Taps from..to-1 of a kernel, along one direction. */
typedef struct {
  int32_t from, to;
} qn_tap_span;

/* A convolution, depthwise convolution or dense layer in one form. Result channel o of group
 * o / outputs sums its group's `inputs` channels over `taps` taps:
 * weight (o, tap, i) is w[o*out_stride + tap*tap_stride + i]. */
typedef struct {
  const int8_t *w;
  int32_t groups, inputs, outputs, taps; /* inputs and outputs are of one group */
  int64_t out_stride, tap_stride;
  bool shared; /* another op has the same weights */
  /* The taps that lie inside the input, for every result pixel: one of the row spans and one of
   * the column spans. Each pair of them occurs. */
  qn_tap_span *rows, *columns;
  int32_t row_spans, column_spans, kernel_w;
  int64_t *sums; /* scratch of qn_sum_taps */
} qn_weighted;

/* In the arena. op is QN_CHANNELS_WEIGHTED. */
void qn_weighted_of(qn_arena *a, const qn_op *op, qn_weighted *out);
/* The least and the largest sum, over all result pixels, of the taps inside: value[taps]. */
void qn_sum_taps(const qn_weighted *p, const int64_t *value, int64_t *out_least,
                 int64_t *out_most);

/* What is known of a function. Everything is in `arena`. */
typedef struct {
  qn_arena *arena;
  qn_func *f;
  qn_numbering numbers;
  int32_t *first;    /* by number: the slot of channel 0; first[numbers.count]: number of slots */
  qn_weighted **weighted; /* by number of the result; NULL for other ops */
  qn_bounds *bounds; /* by slot */
  int32_t *start;    /* by slot of a weighted op's result: an accumulator that gives bounds.low */
  int32_t *parent;   /* by slot: towards the slot that stands for all that stay or go together */
  bool *needed;      /* by standing slot */
  bool *read;        /* by number: an op that is computed reads the value, or it is returned */
  bool *computed;    /* by number: the op stays */
} qn_channels;

/* Slots, and for each the stored values that can occur, whatever the function's inputs. False, and
 * nothing usable in out, when the function has too many channels to look at. */
bool qn_find_channels(qn_arena *a, qn_func *f, qn_channels *out);

/* -- intervals.c: fills bounds and start, in the order of the ops. */
void qn_find_bounds(qn_channels *c);
/* Of a constant's channel, by its elements. out: one per channel. */
void qn_bound_constant(const qn_value *v, qn_bounds *out);

/* -- needs.c: fills parent, needed, read and computed. */
void qn_find_needs(qn_channels *c);
int32_t qn_slot_of(const qn_channels *c, const qn_value *v, int32_t channel);
bool qn_is_needed(const qn_channels *c, const qn_value *v, int32_t channel);
/* Every channel of v that is needed holds one value only. False for parameters and constants. */
bool qn_is_uniform(const qn_channels *c, const qn_value *v);
/* The result channel of a weighted op holds one value only and can do so without weights. */
bool qn_is_blank(const qn_channels *c, const qn_op *op, int32_t channel);
/* op, an elementwise pair, can read operand i as one constant per channel. */
bool qn_reads_as_constant(const qn_channels *c, const qn_op *op, int i);

#endif
