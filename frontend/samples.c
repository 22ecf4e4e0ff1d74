/* Samples from .npy files through a model, one by one: compiled code by default, the reference
 * evaluator with --interpret. */
#include <inttypes.h>
#include <math.h>
#include <string.h>
#include "command.h"

qn_status qn_open_runner(const char *path, const qn_options *o, qn_runner *out) {
  *out = (qn_runner){.m = qn_new_module()};
  qn_compile_options options;
  qn_status status = qn_prepare(path, o, out->m, &out->f);
  if (status == QN_OK) status = qn_get_compile_options(o, out->m, &options);
  if (status == QN_OK && !o->interpret) status = qn_load(out->m, &options, &out->program);
  if (status != QN_OK) qn_close_runner(out);
  return status;
}

void qn_close_runner(qn_runner *r) {
  if (r->program) qn_unload(r->program);
  qn_free_module(r->m);
  *r = (qn_runner){0};
}

/* f32 samples as a quantized input stores them: the arithmetic of the op `quantize`. */
static void quantize_samples(const float *from, int64_t count, const qn_type *type, void *to) {
  const qn_quantize_params p = {.outer = 1, .channels = 1, .inner = (int32_t)count,
                                .elem_bytes = 1, .is_signed = 1, .zero = type->q.zero,
                                .scale = type->q.scale};
  const void *in[2] = {from, NULL};
  qn_kernel_quantize(&p, in, to, NULL);
}

/* data, of type `from`, as count elements of the model's input type; NULL: no such conversion. */
static const void *convert(qn_arena *a, const qn_type *from, const void *data, int64_t count,
                           const qn_type *to) {
  if (from->elem == to->elem) return data;
  if (from->elem == QN_u8 && to->elem == QN_f32) {
    float *real = qn_alloc(a, (size_t)count * sizeof *real);
    for (int64_t i = 0; i < count; i++) real[i] = ((const uint8_t *)data)[i];
    return real;
  }
  if (from->elem == QN_f32 && to->elem == QN_i8 && to->q.on) {
    int8_t *stored = qn_alloc(a, (size_t)count);
    quantize_samples(data, count, to, stored);
    return stored;
  }
  return NULL;
}

/* One input's samples, converted, and how many there are. */
static qn_status read_samples(qn_arena *a, const char *path, const qn_value *input, const void **out,
                              int64_t *out_count) {
  qn_source src;
  qn_type type;
  const void *data;
  QN_TRY(qn_read_file(a, path, &src));
  QN_TRY(qn_read_npy(a, &src, &type, &data));
  int64_t count = qn_count(&type), sample = qn_count(&input->type);
  bool whole = type.rank > 0 && count % sample == 0;
  bool stacked = whole && (type.dim[0] == count / sample || count == sample ||
                           type.dim[0] == count / sample * input->type.dim[0]);
  if (!stacked)
    return qn_error(&src, qn_nowhere, "samples are %s, which is no stack of the input '%s', %s",
                    qn_type_text(a, &type), input->name, qn_type_text(a, &input->type));
  *out = convert(a, &type, data, count, &input->type);
  if (!*out)
    return qn_error(&src, qn_nowhere, "samples are %s, the input '%s' is %s",
                    qn_elem_name(type.elem), input->name, qn_type_text(a, &input->type));
  *out_count = count / sample;
  return QN_OK;
}

static qn_status read_inputs(qn_runner *r, const qn_texts *files, const void **inputs, int64_t *out_count) {
  int needed = 0;
  for (const qn_value *p = r->f->params; p; p = p->next) needed++;
  if (files->count != needed)
    return qn_io_error("quern", "the model has %d input%s, got %d -i", needed, needed == 1 ? "" : "s",
                       files->count);
  int i = 0;
  for (const qn_value *p = r->f->params; p; p = p->next, i++) {
    int64_t count;
    QN_TRY(read_samples(&r->m->arena, files->at[i], p, &inputs[i], &count));
    if (i && count != *out_count)
      return qn_io_error(files->at[i], "%" PRId64 " samples, but %" PRId64 " in '%s'", count, *out_count,
                         files->at[0]);
    *out_count = count;
  }
  return QN_OK;
}

qn_status qn_run_samples(qn_runner *r, const qn_texts *files, int64_t *out_count,
                         void *out_results[QN_MAX_IN]) {
  const void *inputs[QN_MAX_IN];
  QN_TRY(read_inputs(r, files, inputs, out_count));
  for (int i = 0; i < r->f->result_count; i++)
    out_results[i] = qn_alloc(&r->m->arena, (size_t)(*out_count * qn_bytes(&r->f->results[i]->type)));
  for (int64_t n = 0; n < *out_count; n++) {
    const void *in[QN_MAX_IN];
    void *out[QN_MAX_IN];
    int i = 0;
    for (const qn_value *p = r->f->params; p; p = p->next, i++)
      in[i] = (const char *)inputs[i] + n * qn_bytes(&p->type);
    for (i = 0; i < r->f->result_count; i++)
      out[i] = (char *)out_results[i] + n * qn_bytes(&r->f->results[i]->type);
    if (r->program) QN_TRY(qn_run(r->program, in, out));
    else qn_eval(r->f, in, out);
  }
  return QN_OK;
}
