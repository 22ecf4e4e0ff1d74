/* The sizes of a compiled model, layer by layer, and what they are to be compared with. */
#ifndef QN_SIZES_H
#define QN_SIZES_H

#include "command.h"

/* The model as it was read, before any pass. */
typedef struct {
  int64_t weights;               /* how many weights its layers have */
  int64_t file_bytes, xz_bytes;  /* all files that it was read from; each through `xz -9e` */
} qn_source_size;
qn_status qn_measure_source(const char *path, qn_source_size *out) QN_MUST_CHECK;

typedef struct {
  qn_module *m;
  const qn_func *f;
  const char *path;
  const qn_object *object;
  qn_source_size source;
} qn_size_report;
void qn_print_sizes(const qn_size_report *r, bool json);

#endif
