/* A compiled model -> the text of its C header: self-contained C99 and C++. */
#include <ctype.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include "unit.h"

typedef struct {
  qn_arena *arena;
  char *at;
  size_t size, room;
} text;

static void add(text *t, const char *format, ...) QN_PRINTF(2, 3);

static void add(text *t, const char *format, ...) {
  va_list args, again;
  va_start(args, format);
  va_copy(again, args);
  size_t more = (size_t)vsnprintf(NULL, 0, format, args);
  va_end(args);
  if (t->size + more >= t->room) {
    t->room = 2 * (t->size + more) + 1024;
    char *grown = qn_alloc(t->arena, t->room);
    if (t->size) memcpy(grown, t->at, t->size);
    t->at = grown;
  }
  vsnprintf(t->at + t->size, t->room - t->size, format, again);
  va_end(again);
  t->size += more;
}

/* ------------------------------------------------------------------ names */

/* Words of C and C++ that cannot name a parameter, and the parameter that is there already. */
static const char reserved[] =
    " memory alignas alignof and and_eq asm auto bitand bitor bool break case catch char class"
    " compl const constexpr continue decltype default delete do double else enum explicit export"
    " extern false float for friend goto if inline int long mutable namespace new noexcept not"
    " not_eq nullptr operator or or_eq private protected public register restrict return short"
    " signed sizeof static struct switch template this throw true try typedef typeid typename"
    " union unsigned using virtual void volatile wchar_t while xor xor_eq requires concept int8_t"
    " uint8_t int16_t uint16_t int32_t uint32_t int64_t uint64_t co_await co_return co_yield"
    " char8_t char16_t char32_t consteval constinit const_cast dynamic_cast reinterpret_cast"
    " static_cast static_assert thread_local ";

static bool is_reserved(qn_arena *a, const char *name) {
  return strstr(reserved, qn_format(a, " %s ", name)) != NULL;
}

static bool is_taken(const char *name, const char *const *list, int count) {
  for (int i = 0; i < count; i++) {
    if (strcmp(list[i], name) == 0) return true;
  }
  return false;
}

/* name as a C identifier that none of the first `count` names is. */
static const char *identifier(qn_arena *a, const char *name, const char *const *names, int count) {
  char *base = qn_format(a, "%s%s", isalpha((unsigned char)name[0]) ? "" : "t", name);
  for (char *p = base; *p; p++) {
    if (!isalnum((unsigned char)*p)) *p = '_';
  }
  const char *unique = base;
  for (int n = 1; is_reserved(a, unique) || is_taken(unique, names, count); n++)
    unique = qn_format(a, "%s_%d", base, n);
  return unique;
}

static const char *c_type(qn_elem e) {
  switch (e) {
  case QN_f32: return "float";
  case QN_i8: return "int8_t";
  case QN_f16:
  case QN_bf16: return "uint16_t"; /* the bits */
  case QN_i16: return "int16_t";
  case QN_i32: return "int32_t";
  case QN_i64: return "int64_t";
  case QN_i4:
  case QN_u8:
  case QN_bool:
  case QN_ELEM_COUNT: break;
  }
  return "uint8_t";
}

/* How many of c_type(elem). i4 is two per byte. */
static int64_t c_count(const qn_type *t) { return t->elem == QN_i4 ? qn_bytes(t) : qn_count(t); }

/* ------------------------------------------------------------------ pieces */

/* A float constant with the fewest digits that read back equal. */
static void add_float(text *t, float x) {
  char digits[32];
  for (int n = 1; n <= 9; n++) {
    snprintf(digits, sizeof digits, "%.*g", n, (double)x);
    if (strtof(digits, NULL) == x) break;
  }
  add(t, "%s%sf", digits, strpbrk(digits, ".e") ? "" : ".0");
}

/* Macros of one tensor, e.g. KWS_INPUT0_DIMS. */
static void add_tensor(text *t, const char *prefix, const char *kind, int index,
                       const qn_value *v) {
  const qn_type *type = &v->type;
  add(t, "/* %s: %s */\n", v->name, qn_type_text(t->arena, type));
  const char *name = qn_format(t->arena, "%s_%s%d", prefix, kind, index);
  add(t, "#define %s_RANK %d\n", name, type->rank);
  if (type->rank > 0) {
    add(t, "#define %s_DIMS {", name);
    for (int i = 0; i < type->rank; i++) add(t, "%s%" PRId64, i ? ", " : "", type->dim[i]);
    add(t, "}\n");
  }
  add(t, "#define %s_COUNT %" PRId64 "\n", name, qn_count(type));
  add(t, "#define %s_BYTES %" PRId64 "\n", name, qn_bytes(type));
  if (type->q.on && !type->q.scales) {
    add(t, "#define %s_SCALE ", name);
    add_float(t, type->q.scale);
    add(t, " /* real = SCALE * (stored - ZERO) */\n#define %s_ZERO (%" PRId32 ")\n", name,
        type->q.zero);
  }
  add(t, "\n");
}

static void add_number(text *t, const char *prefix, const char *name, int64_t n, const char *doc) {
  add(t, "#define %s_%s %" PRId64 "%s%s%s\n", prefix, name, n, *doc ? " /* " : "", doc,
      *doc ? " */" : "");
}

static void add_sizes(text *t, qn_unit *u, const char *prefix, const qn_object *object) {
  int64_t macs = 0;
  bool split = u->options->split, selftest = u->options->selftest;
  for (const qn_op *op = u->f->first; op; op = op->next) macs += qn_macs(op);
  add_number(t, prefix, "MEMORY_BYTES", object->memory_bytes,
             split ? "the caller's: activations" : "the caller's: decoded weights and activations");
  if (split)
    add_number(t, prefix, "WEIGHTS_MEMORY_BYTES", object->split_bytes,
               "the caller's other memory: decoded weights");
  add_number(t, prefix, "MEMORY_ALIGN", 64, "");
  if (selftest)
    add_number(t, prefix, "SELFTEST_BYTES", object->selftest_bytes,
               "of memory, for selftest: inputs and outputs lie there too");
  add_number(t, prefix, "STACK_BYTES", object->stack_bytes,
             selftest ? "at most, of init, run and selftest" : "at most, of init and of run");
  add_number(t, prefix, "WEIGHT_BYTES", object->weight_bytes, "constants inside the object");
  add_number(t, prefix, "CODE_BYTES", object->text_bytes, "");
  add_number(t, prefix, "FLASH_BYTES", object->flash_bytes, "code, constants and description");
  add_number(t, prefix, "MACS", macs, "multiply-accumulates of one run");
  if (u->m->hash)
    add(t,
        "/* of the source model: its ops, types and constants, whatever file holds them */\n"
        "#define %s_MODEL_SHA256 \"%s\"\n",
        prefix, u->m->hash);
  add(t, "\n");
}

/* ------------------------------------------------------------------ helpers */

/* Whether a tensor's stored numbers are those of a C type, with one scale. */
static bool has_helper(const qn_type *type) {
  return type->q.on && !type->q.scales && qn_elem_bits(type->elem) <= 16 && type->elem != QN_i4;
}

/* The arithmetic of op quantize, without libm. */
static void add_quantize(text *t, const char *name, const char *prefix, int index,
                         const qn_type *type) {
  int64_t low, high, zero = type->q.zero;
  qn_elem_limits(type->elem, &low, &high);
  const char *stored = c_type(type->elem);
  add(t, "/* The number to store for a real one: the nearest, halves away from 0. */\n");
  add(t, "static inline %s %s_quantize_input%d(float real) {\n", stored, name, index);
  add(t, "  float x = real / %s_INPUT%d_SCALE;\n  int32_t whole;\n", prefix, index);
  add(t, "  if (x >= %" PRId64 ".0f) return %" PRId64 ";\n", high - zero, high);
  add(t, "  if (x <= %" PRId64 ".0f) return %" PRId64 ";\n", low - zero, low);
  add(t, "  if (!(x < %" PRId64 ".0f)) return %" PRId64 "; /* not a number */\n", high - zero,
      zero);
  add(t, "  whole = (int32_t)x;\n  x -= (float)whole;\n");
  add(t, "  return (%s)(whole + (x >= 0.5f) - (x <= -0.5f) + %s_INPUT%d_ZERO);\n}\n\n", stored,
      prefix, index);
}

static void add_dequantize(text *t, const char *name, const char *prefix, int index,
                           const qn_type *type) {
  add(t, "/* The real number that is stored so. */\n");
  add(t, "static inline float %s_dequantize_output%d(%s stored) {\n", name, index,
      c_type(type->elem));
  add(t, "  return %s_OUTPUT%d_SCALE * (float)(stored - %s_OUTPUT%d_ZERO);\n}\n\n", prefix, index,
      prefix, index);
}

static void add_helpers(text *t, const qn_unit *u, const char *prefix) {
  const char *name = u->options->name;
  int i = 0;
  for (const qn_value *p = u->f->params; p; p = p->next, i++)
    if (has_helper(&p->type)) add_quantize(t, name, prefix, i, &p->type);
  for (i = 0; i < u->f->result_count; i++)
    if (has_helper(&u->f->results[i]->type))
      add_dequantize(t, name, prefix, i, &u->f->results[i]->type);
}

/* ------------------------------------------------------------------ prototypes */

static void add_init(text *t, const qn_unit *u) {
  const char *name = u->options->name;
  bool split = u->options->split;
  add(t,
      "/* Prepares memory, once before run. 0, or an error: 1 the coded weights are damaged,\n"
      " * 2 memory is NULL or not aligned%s.%s */\n",
      qn_uses_tiles(u) ? ",\n * 5 a layer uses AMX, which the processor or the system lacks" : "",
      split ? " The weights are decoded into weights_memory, where\n"
              " * run reads them: it keeps their address in memory."
            : "");
  add(t, "int32_t %s_init(void *memory%s);\n\n", name, split ? ", void *weights_memory" : "");
  if (!u->options->selftest) return;
  add(t, "/* Prepares memory, runs the model on noise and checks what comes out. 0, 1 or 2 as "
         "above, or 3:\n * another answer than when the model was compiled. */\n");
  add(t, "int32_t %s_selftest(void *memory%s);\n\n", name, split ? ", void *weights_memory" : "");
}

static void add_run(text *t, qn_unit *u) {
  const char *name = u->options->name;
  int count = u->f->result_count, next = 0;
  for (const qn_value *p = u->f->params; p; p = p->next) count++;
  const char **names = qn_alloc(t->arena, (size_t)count * sizeof *names);
  add(t, "/* Runs the model once. The tensors overlap neither each other nor memory. 0, or 2 as "
         "above.\n"
         " * Threads may run at the same time, each with memory of its own. */\n");
  add(t, "int32_t %s_run(void *memory", name);
  for (const qn_value *p = u->f->params; p; p = p->next, next++) {
    names[next] = identifier(t->arena, p->name, names, next);
    add(t, ", const %s %s[%" PRId64 "]", c_type(p->type.elem), names[next], c_count(&p->type));
  }
  for (int i = 0; i < u->f->result_count; i++, next++) {
    const qn_value *v = u->f->results[i];
    names[next] = identifier(t->arena, v->name, names, next);
    add(t, ", %s %s[%" PRId64 "]", c_type(v->type.elem), names[next], c_count(&v->type));
  }
  add(t, ");\n\n/* The same, described for programs that handle any model: see quern.h.%s */\n",
      u->options->split ? " Its init is missing:\n * weights_memory is this one's to take." : "");
  add(t, "struct quern_model;\nextern const struct quern_model %s_model;\n", name);
}

const char *qn_header_text(qn_unit *u, const qn_object *object) {
  text t = {.arena = &u->m->arena};
  char *prefix = qn_format(t.arena, "%s", u->options->name);
  for (char *p = prefix; *p; p++) *p = (char)toupper((unsigned char)*p);
  add(&t, "/* The model '%s', compiled by quern for the target '%s'. */\n", u->options->name,
      u->options->target->name);
  add(&t, "#ifndef %s_QUERN_H\n#define %s_QUERN_H\n\n#include <stdint.h>\n\n", prefix, prefix);
  add(&t, "#ifdef __cplusplus\nextern \"C\" {\n#endif\n\n");
  add_sizes(&t, u, prefix, object);
  int i = 0;
  for (const qn_value *p = u->f->params; p; p = p->next) add_tensor(&t, prefix, "INPUT", i++, p);
  for (i = 0; i < u->f->result_count; i++) add_tensor(&t, prefix, "OUTPUT", i, u->f->results[i]);
  add_helpers(&t, u, prefix);
  add_init(&t, u);
  add_run(&t, u);
  add(&t, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
  return t.at;
}
