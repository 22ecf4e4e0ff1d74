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

static void add_sizes(text *t, qn_unit *u, const char *prefix, const qn_object *object) {
  int64_t macs = 0;
  for (const qn_op *op = u->f->first; op; op = op->next) macs += qn_macs(op);
  add(t,
      "#define %s_MEMORY_BYTES %" PRId64 " /* the caller's: decoded weights and activations */\n",
      prefix, object->memory_bytes);
  add(t, "#define %s_MEMORY_ALIGN 64\n", prefix);
  add(t, "#define %s_STACK_BYTES %" PRId64 " /* at most, of init and of run */\n", prefix,
      object->stack_bytes);
  add(t, "#define %s_WEIGHT_BYTES %" PRId64 " /* constants inside the object */\n", prefix,
      object->weight_bytes);
  add(t, "#define %s_CODE_BYTES %" PRId64 "\n", prefix, object->text_bytes);
  add(t, "#define %s_MACS %" PRId64 " /* multiply-accumulates of one run */\n\n", prefix, macs);
}

static void add_prototypes(text *t, qn_unit *u) {
  const char *name = u->options->name;
  int count = u->f->result_count, next = 0;
  for (const qn_value *p = u->f->params; p; p = p->next) count++;
  const char **names = qn_alloc(t->arena, (size_t)count * sizeof *names);
  add(t, "/* Prepares memory, once before run. 0, or an error: 1 the coded weights are damaged,\n"
         " * 2 memory is NULL or not aligned. */\n");
  add(t, "int32_t %s_init(void *memory);\n\n", name);
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
  add(t, ");\n\n/* The same, described for programs that handle any model: see quern.h. */\n");
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
  add_prototypes(&t, u);
  add(&t, "\n#ifdef __cplusplus\n}\n#endif\n\n#endif\n");
  return t.at;
}
