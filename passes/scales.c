/* Real ranges -> scales and zero points. */
#include <float.h>
#include <math.h>
#include "quantize.h"

const qn_scheme qn_default_scheme = {.method = QN_METHOD_mse, .percentile = 99.99f};

qn_elem qn_activation_elem(const qn_scheme *scheme) {
  static const qn_elem elems[] = {
#define QN_ACTIVATION_FORM(name, elem, doc) QN_##elem,
#include "quantize.def"
  };
  return elems[scheme->activations];
}

bool qn_is_halved(const qn_scheme *scheme) {
  return scheme->weights == QN_WEIGHT_FORM_fp16 || scheme->weights == QN_WEIGHT_FORM_bf16;
}

bool qn_is_dynamic(const qn_scheme *scheme) {
  return scheme->activations == QN_ACTIVATION_FORM_dynamic;
}

bool qn_is_symmetric(const qn_scheme *scheme) {
  return scheme->symmetric || scheme->activations == QN_ACTIVATION_FORM_int16;
}

int32_t qn_activation_steps(const qn_scheme *scheme) {
  int64_t least, most;
  qn_elem_limits(qn_activation_elem(scheme), &least, &most);
  return (int32_t)(qn_is_symmetric(scheme) ? 2 * most : most - least);
}

/* A scale that a float holds with all its bits; 1 for a value that is 0, as good as. */
static double positive_scale(double scale) { return scale >= FLT_MIN ? scale : 1; }

qn_quant qn_range_quant(qn_elem elem, bool symmetric, float low, float high) {
  int64_t least, most;
  qn_elem_limits(elem, &least, &most);
  if (symmetric) {
    double scale = positive_scale(fmax(-(double)low, high) / (double)most);
    return (qn_quant){.on = true, .scale = (float)scale};
  }
  double scale = positive_scale(((double)high - low) / (double)(most - least));
  double zero = round((double)least - low / scale);
  zero = fmin(fmax(zero, (double)least), (double)most);
  return (qn_quant){.on = true, .scale = (float)scale, .zero = (int32_t)zero};
}
