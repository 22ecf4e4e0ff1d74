/* Quantization: what a user asks for (a scheme), what samples showed (statistics), and how real
 * ranges become scales. The passes `calibrate` and `insert-qdq` put them together. */
#ifndef QN_QUANTIZE_H
#define QN_QUANTIZE_H

#include "../ir/ir.h"

/* ------------------------------------------------------------------ schemes */

typedef enum {
#define QN_WEIGHT_FORM(name, elem, most, doc) QN_WEIGHT_FORM_##name,
#include "quantize.def"
  QN_WEIGHT_FORM_COUNT
} qn_weight_form;

typedef enum {
#define QN_ACTIVATION_FORM(name, elem, doc) QN_ACTIVATION_FORM_##name,
#include "quantize.def"
  QN_ACTIVATION_FORM_COUNT
} qn_activation_form;

typedef enum {
#define QN_METHOD(name, doc) QN_METHOD_##name,
#include "quantize.def"
  QN_METHOD_COUNT
} qn_method;

typedef enum {
#define QN_RECOVERY(name, pass, doc) QN_RECOVERY_##name,
#include "quantize.def"
  QN_RECOVERY_COUNT
} qn_recovery;

enum { QN_SIGNS = -1 }; /* in place of the largest magnitude: weights are -1 or 1, none is 0 */

/* The weights of one layer, by the name of its result or, for all of a kind, of its op. */
typedef struct {
  const char *layer;
  int32_t most;
  float step; /* other than 0: as the scheme's step, and most does not count */
} qn_layer_levels;

typedef struct {
  qn_weight_form weights;
  qn_activation_form activations;
  int32_t most; /* weights are stored in -most..most, or QN_SIGNS; 0: as the weight form says */
  float step;   /* other than 0: weights are multiples of so many of their root mean square, for
                 * few bits when they are coded; counts more than most */
  int layer_count;
  const qn_layer_levels *layers; /* those whose weights are stored otherwise; later ones count */
  float prune, prune_channels; /* the part of each layer's weights, and of its channels, to drop */
  float low_rank;              /* the part of a layer's variance that splitting it may lose */
  int32_t cluster;             /* most different weights of a layer; 0: any */
  bool per_tensor; /* one scale for all of a layer's weights */
  bool symmetric;  /* activations have zero point 0 */
  bool stored_io;  /* the model's own inputs and outputs are stored as integers, not real */
  qn_method method;
  float percentile;        /* of that method: 50..100 */
  int keep_count;
  const char *const *keep; /* layers that stay float: names of values, or of ops for all of a kind */
  bool recover[QN_RECOVERY_COUNT];
} qn_scheme;

extern const qn_scheme qn_default_scheme; /* int8, per channel */

/* ------------------------------------------------------------------ statistics */

enum { QN_BINS = 2048, QN_DISTINCT = 256 };

/* What was seen of one value. Bin i counts the elements x other than 0 with
 *   (first + i) * 2^exponent <= x < (first + i + 1) * 2^exponent.
 * exponent and first follow from min and max alone (histogram.c), so that shards of a data set
 * merge into exactly what the whole set gives, in whatever order. The sums are doubles: exact but
 * for their last bit. */
typedef struct {
  const char *name;
  int64_t samples, count, zeros; /* count: elements; zeros: those that are 0 */
  float min, max;
  double sum_min, sum_max; /* of each sample's least and greatest element */
  int32_t exponent, first, used; /* used: bins, up to the one that holds max */
  int64_t *bins;                 /* QN_BINS */
  int32_t distinct_count;
  float *distinct; /* of an input of the model: its elements, sorted; NULL: more than QN_DISTINCT */
} qn_statistic;

typedef struct {
  const char *model;    /* its name */
  uint64_t fingerprint; /* of the module: qn_fingerprint */
  int64_t samples;
  int count;
  qn_statistic *at; /* one per f32 parameter and result of the main function, views left out */
} qn_statistics;

/* -- histogram.c */
void qn_open_statistic(qn_arena *a, const char *name, qn_statistic *out);
/* One sample's elements; all finite, count > 0. */
void qn_see_elements(qn_statistic *s, const float *x, int64_t count);
void qn_merge_statistic(qn_statistic *into, const qn_statistic *from);
/* The bins' grid for min..max: 2^exponent is the least width, at least 2^-22 of the greatest
 * magnitude, with which QN_BINS bins are enough. */
void qn_fit_grid(float min, float max, int32_t *out_exponent, int32_t *out_first, int32_t *out_used);

/* -- grid.c: inputs that are multiples of a step. */
void qn_open_distinct(qn_arena *a, qn_statistic *s); /* from now on they are kept */
void qn_see_distinct(qn_statistic *s, const float *x, int64_t count);
/* The step of which all elements are multiples, at most QN_DISTINCT steps apart; false: none. */
bool qn_find_grid(const qn_statistic *s, double *out_step);

/* -- statistics.c: statistics of a module's main function. */
/* Called after each sample with each parameter and result that is not a view, in order of
 * definition, and its dense data. */
typedef qn_status (*qn_see)(void *of, int64_t sample, const qn_value *v, const void *data);
/* Whoever can run a module on the user's calibration samples: compiled code, which passes know
 * nothing of. run leaves m as it is, but for a memory plan. */
typedef struct {
  void *context;
  qn_status (*run)(void *context, qn_module *m, qn_see see, void *of);
  /* f's parameters only, nothing runs. */
  qn_status (*read)(void *context, const qn_func *f, qn_see see, void *of);
} qn_sampler;
/* An element that is not finite is an error that names the layer and the sample. */
qn_status qn_collect_statistics(qn_module *m, const qn_sampler *sampler, qn_statistics *out) QN_MUST_CHECK;
/* Statistics of the same values (QN_EIO otherwise, naming the file `from_name`), into `into`. */
qn_status qn_merge_statistics(qn_statistics *into, const qn_statistics *from,
                              const char *from_name) QN_MUST_CHECK;
/* FNV-1a over the names, types and attributes of the main function and the constants it uses. */
uint64_t qn_fingerprint(const qn_module *m);

/* -- ranges.c */
/* By the scheme's method; low <= 0 <= high. */
void qn_choose_range(const qn_statistic *s, const qn_scheme *scheme, float out[2]);

/* -- scales.c */
qn_elem qn_activation_elem(const qn_scheme *scheme);
/* Weights of 16 bits, all else float: no samples, no ranges. */
bool qn_is_halved(const qn_scheme *scheme);
/* Activations are quantized at run time: no ranges. */
bool qn_is_dynamic(const qn_scheme *scheme);
/* Zero points are 0: by the user's wish or by the form. */
bool qn_is_symmetric(const qn_scheme *scheme);
/* Steps between the least and the greatest stored activation: 255 of int8, 254 when symmetric. */
int32_t qn_activation_steps(const qn_scheme *scheme);
/* The quantization of elem that covers low..high, 0 exactly: asymmetric
 *   scale = (high - low) / (most - least),  zero = round(least - low / scale)
 * symmetric: scale = max(-low, high) / most, zero 0. All 0: scale 1. */
qn_quant qn_range_quant(qn_elem elem, bool symmetric, float low, float high);

/* -- quantize_constants.c */
/* A convolution, depthwise convolution or dense layer. */
bool qn_has_weights(const qn_op *op);
/* The largest magnitude that op's weights are to be stored with, or QN_SIGNS; NULL: of a layer without levels of
 * its own. */
int32_t qn_weight_most(const qn_scheme *scheme, const qn_op *op);
/* The step of op's weights as a part of their root mean square; 0: they have levels. NULL as above. */
float qn_weight_step(const qn_scheme *scheme, const qn_op *op);
/* The float constants among op's operands, but for biases, become integers behind a dequantize;
 * weights are stored as `levels` say. Its operands and its result are stored already (insert-qdq). */
void qn_quantize_constants(qn_module *m, qn_func *f, qn_op *op, const qn_scheme *scheme,
                           qn_layer_levels levels);

/* -- insert_qdq.c */
/* Whether the scheme leaves op float, by name or by kind. */
bool qn_is_kept(const qn_scheme *scheme, const qn_op *op);
/* An error when the scheme finds nothing to do: the model is integer already, or no
 *    layer can or may be. */
qn_status qn_check_quantizable(qn_module *m, const qn_scheme *scheme) QN_MUST_CHECK;

#endif
