/* The program: command line, and the readers and writers of model and tensor files. */
#ifndef QN_FRONTEND_H
#define QN_FRONTEND_H

#include "../ir/ir.h"

/* -- build.c: a module from layers, as the readers of YAML, TFLite and ONNX see them. Layers compute on
 *    real values: a quantized operand is dequantized for them, a quantized result is quantized
 *    from theirs. So  q(0.5,0) -> conv2d -> q(0.25,0)  becomes dequantize, conv2d, quantize, which
 *    is what fuse-int8 turns into an integer op. */
typedef struct {
  qn_opcode code;
  qn_loc loc;
  const char *name; /* of the layer's result */
  int in_count;
  qn_value *in[QN_MAX_IN];
  qn_attrs a;
  bool typed;   /* the file states the result's type */
  qn_type type; /* element and quantization; dims are compared with the inferred ones when rank > 0 */
} qn_layer;
/* Appends to f; the layer's (quantized) result in out. */
qn_status qn_add_layer(qn_module *m, qn_func *f, const qn_layer *layer, qn_value **out) QN_MUST_CHECK;

/* -- outputs.c */
/* A file to write: `what` it is, for messages. */
typedef struct {
  const char *what, *path;
  const void *data;
  size_t size;
} qn_output;
/* Not standard output, a device or a pipe; there need not be such a file yet. */
bool qn_is_plain_file(const char *path);
/* QN_EIO when two of them, or one of them and a file that was read, are the same file. */
qn_status qn_check_outputs(const qn_output *list, int count, const qn_file *read) QN_MUST_CHECK;
/* In order; when one cannot be written, those before it are removed. */
qn_status qn_write_outputs(const qn_output *list, int count) QN_MUST_CHECK;
/* Text on its way to an output: written to `to` between open and close, which puts it into a. */
typedef struct {
  FILE *to;
  char *text;
  size_t size;
} qn_text;
qn_status qn_open_text(const char *path, qn_text *out) QN_MUST_CHECK;
void qn_close_text(qn_arena *a, qn_text *t, qn_output *out);

/* -- npy.c: NumPy's format 1.0 to 3.0, little endian, C order; f4 f2 i1 u1 i2 i4 i8 b1.
 *    The data, 16-byte aligned, stays in src where it is aligned there, else it is a copy in the
 *    arena. At most QN_MAX_RANK dims, and nothing behind the data. */
qn_status qn_read_npy(qn_arena *a, const qn_source *src, qn_type *out_type, const void **out_data) QN_MUST_CHECK;
/* Such a file's bytes, in a, for out->path. */
qn_status qn_encode_npy(qn_arena *a, const qn_type *type, const void *data, qn_output *out) QN_MUST_CHECK;
/* data when it is 16-byte aligned, else a copy that is. */
const void *qn_align_data(qn_arena *a, const void *data, size_t bytes);

/* -- safetensors.c */
typedef struct {
  const char *name;
  qn_type type;
  const void *data;
} qn_tensor;
typedef struct {
  qn_source src;
  int count;
  qn_tensor *at;
} qn_tensor_file;
/* Tensors in the order of the header; names differ, data is as qn_read_npy's, and together they are
 * all of the file's data. F32 F16 BF16 I8 U8 I16 I32 I64 BOOL. */
qn_status qn_read_safetensors(qn_arena *a, const qn_source *src, qn_tensor_file *out) QN_MUST_CHECK;
/* Tensors in the order given, without gaps (the format's rule) from a 64-byte aligned place on;
 * deterministic bytes, in a, for out->path. */
qn_status qn_encode_safetensors(qn_arena *a, const qn_tensor *at, int count, qn_output *out) QN_MUST_CHECK;

/* -- tflite.c */
qn_status qn_read_tflite(qn_module *m, const qn_source *src) QN_MUST_CHECK;

/* -- onnx.c */
qn_status qn_read_onnx(qn_module *m, const qn_source *src) QN_MUST_CHECK;

/* -- yaml.c: libyaml's events as a tree of nodes with places; yaml_model.c: tree -> module;
 *    yaml_write.c: module -> YAML and safetensors. */
qn_status qn_read_yaml(qn_module *m, const qn_source *src) QN_MUST_CHECK;
/* Writes path and, beside it, its name with .safetensors, both or none. m is as a reader left it: float ops,
 * quantize and dequantize. Compiling the YAML gives the same bytes as compiling m. */
qn_status qn_write_yaml(const char *path, const qn_module *m) QN_MUST_CHECK;

/* -- schema.c: a JSON schema of the YAML form, for editors; from the op and attribute tables. */
void qn_print_schema(FILE *to);
void qn_print_quantize_schema(FILE *to); /* scheme.c: the part of the key `quantize` */

/* -- load.c: any model file, by its first bytes and its name's ending. */
qn_status qn_load_model(const char *path, qn_module *m) QN_MUST_CHECK;
/* A model that nothing named takes its file's name. */
void qn_name_model(qn_module *m, const char *path);
bool qn_is_yaml(const char *path); /* by its ending */
/* Text as a C identifier: other characters become _, a digit in front gets `model_` before it. */
const char *qn_identifier(qn_arena *a, const char *text, size_t size);

#endif
