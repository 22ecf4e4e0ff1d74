/* Accuracy back after quantization. The float network is the teacher and the quantized one the
 * pupil: both run on the same calibration samples, layer after layer, and each layer of the pupil
 * is mended before the next one sees what it answers. */
#ifndef QN_RECOVER_H
#define QN_RECOVER_H

#include "match.h"
#include "passes.h"

/* -- layout.c: a convolution, depthwise convolution or dense layer in one form.
 * Channel c of the result belongs to group c / outputs and is a sum over the group's columns: taps
 * in the order of rows and columns, of each the group's input channels. */
typedef struct {
  qn_window g;
  int32_t channels, groups, outputs; /* of the result; outputs: of one group */
  int32_t inputs, taps, columns;     /* inputs: of one group; columns = taps * inputs */
  int64_t out_stride, tap_stride;    /* in the weights */
  int64_t pixels;                    /* of the result: its elements over channels */
} qn_layout;
/* false: op is no such layer. */
bool qn_layout_of(const qn_op *op, qn_layout *out);
/* Where the weight of a channel's column is. */
int64_t qn_weight_at(const qn_layout *l, int32_t channel, int32_t column);
/* What a group's columns read for one pixel of the result: row[columns]; real 0 outside x. */
void qn_gather_row(const qn_layout *l, const float *x, int32_t group, int64_t pixel, float *row);

/* -- pupil.c: the stored weights of a quantized layer. */
typedef struct {
  qn_module *m;
  qn_op *op;
  qn_layout layout;
  qn_value *stored; /* the integers; nothing else reads them */
  int32_t most;     /* they lie in -most..most, as far as that is used */
  bool signs;       /* they are -1 or 1, none is 0 */
} qn_pupil;
/* false: op is no layer whose weights are integers of its own behind a dequantize, with one scale
 * for all or one per channel of the result. */
bool qn_pupil_of(qn_module *m, qn_func *f, qn_op *op, qn_pupil *out);
float qn_pupil_scale(const qn_pupil *p, int32_t channel);
int32_t qn_pupil_weight(const qn_pupil *p, int32_t channel, int32_t column);
/* Element c of the bias, 0 without one. */
double qn_bias_at(const qn_op *op, int32_t channel);
/* Whether there is no bias, or its elements are known. */
bool qn_has_known_bias(const qn_op *op);
/* bias: one per channel; becomes a constant of its own. */
void qn_set_bias(qn_pupil *p, const double *bias);
/* scales: one per channel, or one for all when the pupil has one. */
void qn_set_scales(qn_pupil *p, const double *scales);
void qn_set_weights(qn_pupil *p, const int32_t *integers); /* in the order of the weights */
/* The real values that op's result can take on: by its activation, clamps behind it and the stored
 * form that it ends in. */
qn_interval qn_result_interval(const qn_func *f, qn_op *op);

/* -- keep_teacher.c */
bool qn_is_teacher(const qn_module *m, const qn_func *f);
/* NULL and an error: keep-teacher did not run before. */
qn_status qn_find_teacher(const qn_module *m, const qn_func **out) QN_MUST_CHECK;
/* The teacher's op that computes what op, of the pupil f, computes: by the name of the result or of
 * its stored form. NULL: none. */
const qn_op *qn_twin_of(const qn_func *teacher, const qn_func *f, const qn_op *op);

/* -- moments.c: what a float network's values are like, without samples. */
/* Element i of a value, counted from its first, has mean[i % channels] and that variance, over all
 * inputs that the network may get. */
typedef struct {
  int32_t channels;
  double *mean, *variance;
} qn_moments;
/* What a layer's operands have in common: which sums of deviations there are. */
typedef enum {
  QN_TOGETHER_pixels, /* neighbours are alike, channels are independent: what is likely */
  QN_TOGETHER_all     /* all err to the same side: the worst case */
} qn_together;
typedef struct {
  qn_numbering numbers;
  qn_together together;
  qn_moments *at; /* by number; channels 0: not known */
} qn_moment_table;
/* Of the parameters and results of f, in a. An error when a parameter that counts has no range. */
qn_status qn_find_moments(qn_arena *a, const qn_module *m, const qn_func *f, qn_together together,
                          qn_moment_table *out) QN_MUST_CHECK;
/* NULL: not known. v is no constant. */
const qn_moments *qn_moments_of(const qn_moment_table *t, const qn_value *v);
/* The result of a layer before its activation, one of each per channel, from the moments of what it
 * reads; its weights and bias are known. */
void qn_layer_moments(const qn_op *op, qn_together together, const qn_moments *x, double *mean,
                      double *variance);

/* -- replay.c: the teacher and the pupil on all samples, layer by layer. */
typedef struct {
  qn_pupil pupil;
  const qn_op *twin;
  int64_t samples;
  const float *const *x;    /* what the pupil's op reads, by sample: upstream layers are mended */
  const float *const *want; /* the teacher's result before its activation, by sample */
} qn_lesson;
typedef qn_status (*qn_teach)(const qn_lesson *lesson, void *of);
/* Calls teach for every quantized layer of the main function that has a twin, in order. Needs
 * options->sampler; `pass` is its name for messages. */
qn_status qn_replay(qn_module *m, const qn_pass_options *options, const char *pass, qn_teach teach,
                    void *of) QN_MUST_CHECK;
/* -- round_adaptive.c */
/* What integers a layer's weights may be. */
typedef struct {
  const int32_t *values; /* ascending; count 0: those up to the pupil's most, or its signs */
  int32_t count;
  const bool *zero; /* by channel * columns + column: only 0; NULL: none */
  bool rated;       /* weights will be coded: bits count, and the scale stays (count is 0) */
} qn_choices;
/* Rounds the pupil's weights for the least error on the lesson's samples; leaves layers that are
 * too large. */
void qn_round_layer(const qn_lesson *lesson, const qn_choices *choices);

/* -- replay.c, continued */
/* The pupil's result before its activation on lesson->x, with its weights as they are now, by
 * sample; in a. */
float **qn_answer(qn_arena *a, const qn_lesson *lesson);

#endif
