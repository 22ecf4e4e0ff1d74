/* Any model file -> a module. What a file is shows in its first bytes, else in its name. */
#include <string.h>
#include "frontend.h"

static bool is_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

const char *qn_identifier(qn_arena *a, const char *text, size_t size) {
  if (size > QN_MAX_NAME - 8) size = QN_MAX_NAME - 8;
  bool digit = size > 0 && text[0] >= '0' && text[0] <= '9';
  char *name = qn_format(a, "%s%.*s", size == 0 ? "model" : digit ? "model_" : "", (int)size, text);
  for (char *p = name; *p; p++)
    if (!is_letter(*p)) *p = '_';
  return name;
}

static bool ends_with(const char *text, const char *end) {
  size_t size = strlen(text), end_size = strlen(end);
  return size >= end_size && strcmp(text + size - end_size, end) == 0;
}

bool qn_is_yaml(const char *path) { return ends_with(path, ".yaml") || ends_with(path, ".yml"); }

static qn_status read_model(qn_module *m, const char *path) {
  const qn_source *src = &m->src;
  bool tflite = src->size >= 8 && memcmp(src->text + 4, "TFL3", 4) == 0;
  if (tflite || ends_with(path, ".tflite")) return qn_read_tflite(m, src);
  if (ends_with(path, ".onnx")) return qn_read_onnx(m, src);
  if (qn_is_yaml(path)) return qn_read_yaml(m, src);
  if (ends_with(path, ".qn") || strcmp(path, "-") == 0) return qn_parse(m, src);
  return qn_error(src, qn_nowhere,
                  "unknown kind of model file, expected .yaml, .tflite, .onnx or .qn");
}

/* The file's name without folders and its last ending. */
static const char *name_of_path(qn_arena *a, const char *path) {
  const char *slash = strrchr(path, '/');
  const char *name = slash ? slash + 1 : path;
  const char *dot = strrchr(name, '.');
  return qn_identifier(a, name, dot && dot > name ? (size_t)(dot - name) : strlen(name));
}

void qn_name_model(qn_module *m, const char *path) {
  bool named = strcmp(m->name, "model") != 0;
  if (!named && strcmp(path, "-") != 0) m->name = name_of_path(&m->arena, path);
}

/* IR text is left as it reads, since printing it again must give the same text. */
qn_status qn_load_model(const char *path, qn_module *m) {
  qn_source src;
  QN_TRY(qn_read_file(&m->arena, path, &src));
  m->src = src;
  QN_TRY(read_model(m, path));
  if (!ends_with(path, ".qn")) qn_name_model(m, path);
  return QN_OK;
}
