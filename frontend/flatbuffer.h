/* Checked access to FlatBuffers, the format of TFLite files.
 *
 * A file starts with a u32, the root table's position, and 4 letters that name its schema. A table
 * starts with an i32, the distance back to its vtable; a vtable is u16s: its own size, the table's
 * size, then one entry per field, the field's distance from the table's start or 0 when the file
 * leaves the field out. Scalars lie in the table; strings, vectors and tables lie where a u32
 * distance points. A vector is a u32 count and its elements. A union is two fields: a u8 that says
 * which table, and the table.
 *
 * Nothing the file says is trusted: every access is compared with the file's size. The first thing
 * that is wrong is reported with its byte and kept in `status`; from then on everything reads as
 * left out. So a caller reads a whole table and looks at `status` once. */
#ifndef QN_FLATBUFFER_H
#define QN_FLATBUFFER_H

#include "../ir/ir.h"

typedef struct {
  const qn_source *src;
  qn_status status;
} qn_fb;

typedef struct {
  size_t at;                    /* 0: left out; all its fields read as left out */
  size_t vtable;                /* position */
  uint32_t vtable_bytes, bytes; /* sizes of the vtable and of the table */
} qn_fb_table;

typedef struct {
  size_t at;      /* of the first element; 0: left out */
  uint32_t count; /* 0 when left out */
  int elem_bytes;
} qn_fb_vector;

/* The root table. letters: what bytes 4 to 7 must be; kind: the file's kind, for messages. */
qn_fb_table qn_fb_root(qn_fb *fb, const char letters[4], const char *kind);

/* Fields of a table, by their number in the schema; absent: the value of one that is left out. */
int64_t qn_fb_int(qn_fb *fb, const qn_fb_table *t, int field, int bytes, int64_t absent);
uint64_t qn_fb_uint(qn_fb *fb, const qn_fb_table *t, int field, int bytes, uint64_t absent);
float qn_fb_float(qn_fb *fb, const qn_fb_table *t, int field, float absent);
qn_fb_table qn_fb_child(qn_fb *fb, const qn_fb_table *t, int field);
qn_fb_vector qn_fb_list(qn_fb *fb, const qn_fb_table *t, int field, int elem_bytes);

/* Elements of a vector, i < v->count. Tables are vectors of 4-byte distances. */
int64_t qn_fb_int_at(const qn_fb *fb, const qn_fb_vector *v, uint32_t i);
float qn_fb_float_at(const qn_fb *fb, const qn_fb_vector *v, uint32_t i);
qn_fb_table qn_fb_table_at(qn_fb *fb, const qn_fb_vector *v, uint32_t i);

#endif
