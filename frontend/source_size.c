/* A model file -> the number of its weights and the bytes of its files, also as xz packs them. */
#include <lzma.h>
#include <stdlib.h>
#include "sizes.h"

static const qn_value *root_of(const qn_value *v) {
  while (v->kind == QN_RESULT && v->def->in_count == 1) v = v->def->in[0];
  return v;
}

/* Weights that several layers share count once. */
static int64_t count_weights(qn_arena *a, const qn_func *f) {
  int64_t weights = 0;
  int count = 0;
  const qn_value **seen = qn_alloc(a, ((size_t)f->op_count + 1) * sizeof *seen);
  for (const qn_op *op = f->first; op; op = op->next) {
    if (op->in_count < 2 || !qn_is_weight(op, 1)) continue;
    const qn_value *v = root_of(op->in[1]);
    bool known = v->kind != QN_CONST;
    for (int i = 0; i < count && !known; i++) known = seen[i] == v;
    if (known) continue;
    seen[count++] = v;
    weights += qn_count(&v->type);
  }
  return weights;
}

static qn_status add_file(const qn_source *file, qn_source_size *out) {
  size_t most = lzma_stream_buffer_bound(file->size), used = 0;
  uint8_t *packed = malloc(most ? most : 1);
  if (!packed) return qn_io_error(file->name, "no memory to pack it");
  lzma_ret result =
      lzma_easy_buffer_encode(9 | LZMA_PRESET_EXTREME, LZMA_CHECK_CRC64, NULL,
                              (const uint8_t *)file->text, file->size, packed, &used, most);
  free(packed);
  if (result != LZMA_OK) return qn_io_error(file->name, "xz cannot pack it (%d)", (int)result);
  out->file_bytes += (int64_t)file->size;
  out->xz_bytes += (int64_t)used;
  return QN_OK;
}

static qn_status measure(qn_module *m, const char *path, qn_source_size *out) {
  QN_TRY(qn_load_model(path, m));
  const qn_func *f = qn_main_func(m);
  if (!f) return qn_error(&m->src, qn_nowhere, "a model needs one function, or one named 'main'");
  out->weights = count_weights(&m->arena, f);
  qn_arena again = {0};
  qn_status status = QN_OK;
  for (const qn_file *file = m->arena.files; file && status == QN_OK; file = file->next) {
    qn_source src;
    status = qn_read_file(&again, file->path, &src);
    if (status == QN_OK) status = add_file(&src, out);
  }
  qn_free_arena(&again);
  return status;
}

qn_status qn_measure_source(const char *path, qn_source_size *out) {
  *out = (qn_source_size){0};
  qn_module *m = qn_new_module();
  qn_status status = measure(m, path, out);
  qn_free_module(m);
  return status;
}
