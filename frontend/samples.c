/* Samples from .npy files through a model, one by one: compiled code by default, the reference
 * evaluator with --interpret. */
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "command.h"

qn_status qn_open_runner(const char *path, const qn_options *o, qn_runner *out) {
  *out = (qn_runner){.m = qn_new_module()};
  qn_compile_options options;
  qn_status status = qn_prepare(path, o, out->m, &out->f);
  if (status == QN_OK) status = qn_get_compile_options(o, out->m, &options);
  options.as_row = true;
  if (status == QN_OK && !o->interpret) status = qn_load(out->m, &options, &out->program);
  if (status != QN_OK) qn_close_runner(out);
  return status;
}

void qn_close_runner(qn_runner *r) {
  if (r->program) qn_unload(r->program);
  qn_free_module(r->m);
  *r = (qn_runner){0};
}

double qn_real_at(const qn_type *t, const void *data, int64_t i) {
  double stored;
  switch (t->elem) {
  case QN_f32: return ((const float *)data)[i];
  case QN_i8: stored = ((const int8_t *)data)[i]; break;
  case QN_u8: stored = ((const uint8_t *)data)[i]; break;
  case QN_i16: stored = ((const int16_t *)data)[i]; break;
  case QN_i32: stored = ((const int32_t *)data)[i]; break;
  default: return NAN;
  }
  return t->q.on ? (double)t->q.scale * (stored - t->q.zero) : stored;
}

/* f32 samples as a quantized input stores them: the arithmetic of the op `quantize`. */
static void quantize_samples(const float *from, int64_t count, const qn_type *type, void *to) {
  const qn_quantize_params p = {.outer = 1,
                                .channels = 1,
                                .inner = (int32_t)count,
                                .elem_bytes = qn_elem_bits(type->elem) / 8,
                                .is_signed = 1,
                                .zero = type->q.zero,
                                .scale = type->q.scale};
  const void *in[2] = {from, NULL};
  qn_kernel_quantize(&p, in, to, NULL);
}

static const float *widen(qn_arena *a, const uint8_t *data, int64_t count) {
  float *real = qn_alloc(a, (size_t)count * sizeof *real);
  for (int64_t i = 0; i < count; i++) real[i] = data[i];
  return real;
}

/* data, of type `from`, as count elements of the model's input type; NULL: no such conversion. */
static const void *convert(qn_arena *a, const qn_type *from, const void *data, int64_t count,
                           const qn_type *to) {
  if (from->elem == to->elem) return data;
  bool stored = (to->elem == QN_i8 || to->elem == QN_i16) && to->q.on;
  if (to->elem != QN_f32 && !stored) return NULL;
  if (from->elem == QN_u8)
    data = widen(a, data, count);
  else if (from->elem != QN_f32)
    return NULL;
  if (!stored) return data;
  void *quantized = qn_alloc(a, (size_t)count * (size_t)qn_elem_bits(to->elem) / 8);
  quantize_samples(data, count, to, quantized);
  return quantized;
}

/* ------------------------------------------------------------------ files */

/* `X.npy@FIRST:END`: path without the slice, and its numbers; false: there is none, and out is as
 * it was. */
static bool split_slice(qn_arena *a, const char *path, const char **out_path, int64_t out[2]) {
  const char *at = strrchr(path, '@');
  char *middle, *end;
  *out_path = path;
  if (!at || !isdigit((unsigned char)at[1])) return false;
  errno = 0;
  int64_t first = strtoll(at + 1, &middle, 10);
  if (*middle != ':' || !isdigit((unsigned char)middle[1])) return false;
  int64_t last = strtoll(middle + 1, &end, 10);
  if (*end || errno) return false;
  out[0] = first;
  out[1] = last;
  *out_path = qn_strndup(a, path, (size_t)(at - path));
  return true;
}

const char *qn_slice_stack(qn_arena *a, const char *path, int64_t from, int64_t to) {
  int64_t slice[2] = {0, 0};
  split_slice(a, path, &path, slice);
  return qn_format(a, "%s@%" PRId64 ":%" PRId64, path, slice[0] + from, slice[0] + to);
}

qn_status qn_read_stack(qn_arena *a, const char *path, qn_stack *out) {
  int64_t slice[2];
  bool sliced = split_slice(a, path, &path, slice);
  QN_TRY(qn_read_file(a, path, &out->src));
  QN_TRY(qn_read_npy(a, &out->src, &out->type, &out->data));
  if (!sliced) return QN_OK;
  int64_t rows = out->type.rank > 0 ? out->type.dim[0] : 0;
  if (slice[0] >= slice[1] || slice[1] > rows)
    return qn_io_error(path, "has %" PRId64 " samples, the slice is %" PRId64 ":%" PRId64, rows,
                       slice[0], slice[1]);
  size_t row_bytes = (size_t)(qn_bytes(&out->type) / rows);
  out->type.dim[0] = slice[1] - slice[0];
  out->data = qn_align_data(a, (const char *)out->data + (size_t)slice[0] * row_bytes,
                            (size_t)out->type.dim[0] * row_bytes);
  return QN_OK;
}

qn_status qn_is_npy(qn_arena *a, const char *path, bool *out) {
  int64_t slice[2];
  qn_source src;
  split_slice(a, path, &path, slice);
  QN_TRY(qn_read_file(a, path, &src));
  *out = src.size > 0 && (unsigned char)src.text[0] == 0x93;
  return QN_OK;
}

/* One input's samples, converted, and how many there are. */
static qn_status fit_stack(qn_arena *a, const qn_stack *s, const qn_value *input, const void **out,
                           int64_t *out_count) {
  int64_t count = qn_count(&s->type), sample = qn_count(&input->type);
  bool whole = s->type.rank > 0 && count % sample == 0;
  bool stacked = whole && (s->type.dim[0] == count / sample || count == sample ||
                           s->type.dim[0] == count / sample * input->type.dim[0]);
  if (!stacked)
    return qn_error(&s->src, qn_nowhere, "samples are %s, which is no stack of the input '%s', %s",
                    qn_type_text(a, &s->type), input->name, qn_type_text(a, &input->type));
  *out = convert(a, &s->type, s->data, count, &input->type);
  if (!*out)
    return qn_error(&s->src, qn_nowhere, "samples are %s, the input '%s' is %s",
                    qn_elem_name(s->type.elem), input->name, qn_type_text(a, &input->type));
  *out_count = count / sample;
  return QN_OK;
}

static int count_params(const qn_func *f) {
  int count = 0;
  for (const qn_value *p = f->params; p; p = p->next) count++;
  return count;
}

qn_status qn_read_inputs(qn_arena *a, const qn_func *f, const qn_texts *files, qn_inputs *out) {
  int needed = count_params(f);
  if (files->count != needed)
    return qn_io_error("quern", "the model has %d input%s, got %d file%s of samples", needed,
                       needed == 1 ? "" : "s", files->count, files->count == 1 ? "" : "s");
  int i = 0;
  for (const qn_value *p = f->params; p; p = p->next, i++) {
    qn_stack stack;
    int64_t count;
    QN_TRY(qn_read_stack(a, files->at[i], &stack));
    QN_TRY(fit_stack(a, &stack, p, &out->at[i], &count));
    if (i && count != out->count)
      return qn_io_error(files->at[i], "%" PRId64 " samples, but %" PRId64 " in '%s'", count,
                         out->count, files->at[0]);
    out->count = count;
  }
  return QN_OK;
}

/* ------------------------------------------------------------------ running */

qn_status qn_run_sample(const qn_runner *r, const qn_inputs *inputs, int64_t n, qn_sample *s) {
  int i = 0;
  for (const qn_value *p = r->f->params; p; p = p->next, i++)
    s->in[i] = (const char *)inputs->at[i] + n * qn_bytes(&p->type);
  if (r->program) return qn_run(r->program, s->in, s->out);
  qn_eval(r->f, s->in, s->out);
  return QN_OK;
}

qn_status qn_run_samples(qn_runner *r, const qn_texts *files, int64_t *out_count,
                         void *out_results[QN_MAX_IN]) {
  qn_inputs inputs;
  QN_TRY(qn_read_inputs(&r->m->arena, r->f, files, &inputs));
  *out_count = inputs.count;
  for (int i = 0; i < r->f->result_count; i++)
    out_results[i] =
        qn_alloc(&r->m->arena, (size_t)(inputs.count * qn_bytes(&r->f->results[i]->type)));
  for (int64_t n = 0; n < inputs.count; n++) {
    qn_sample s;
    for (int i = 0; i < r->f->result_count; i++)
      s.out[i] = (char *)out_results[i] + n * qn_bytes(&r->f->results[i]->type);
    QN_TRY(qn_run_sample(r, &inputs, n, &s));
  }
  return QN_OK;
}
